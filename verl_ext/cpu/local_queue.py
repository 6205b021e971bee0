"""TransferQueue's controller and storage in the trainer's process, which is the only one that uses them on one rank.

TransferQueue makes an actor of Ray of each, to have a process; it talks to both over sockets of ZeroMQ, served by threads,
and through Ray only while it starts and stops. The two processes import torch, the second after the first: seconds
of a core that the first step waits for. Samples are not sent over the sockets either, which would encode and decode
each field of each sample: the client calls the storage.
"""

import threading
from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

import ray
from transfer_queue.storage.managers.simple_storage_manager import AsyncSimpleStorageManager


class _MethodHere:
    def __init__(self, method: Any) -> None:
        self._method = method

    def remote(self, *arguments: Any, **options: Any) -> ray.ObjectRef:
        return ray.put(self._method(*arguments, **options))


class _ActorHere:
    """Answers as a handle of Ray's to ``instance`` would."""

    def __init__(self, instance: Any) -> None:
        self._instance = instance

    def __getattr__(self, name: str) -> _MethodHere:
        return _MethodHere(getattr(self._instance, name))


class ActorClassHere:
    """Stands for the actor class ``remote_class`` and makes plain instances of what it was made of."""

    def __init__(self, remote_class: Any) -> None:
        self._class = remote_class.__ray_actor_class__
        self.made: list[Any] = []

    def options(self, **_of_an_actor: Any) -> "ActorClassHere":
        return self

    def remote(self, *arguments: Any, **options: Any) -> _ActorHere:
        self.made.append(self._class(*arguments, **options))
        return _ActorHere(self.made[-1])


class _Locked:
    """``data`` for the threads of this process: one call at a time, as the one thread that answers the socket made sure."""

    def __init__(self, data: Any) -> None:
        self._data = data
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._data, name)
        return partial(self._call, value) if callable(value) else value

    def _call(self, method: Any, *arguments: Any, **options: Any) -> Any:
        with self._lock:
            return method(*arguments, **options)


class StorageHere(AsyncSimpleStorageManager):
    """TransferQueue's client of storage that is in this process. Values are handed over, not copied.

    Whole checkpoints and counts still go over the socket.
    """

    units: ClassVar[list[Any]]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        for unit in self.units:
            unit.storage_data = _Locked(unit.storage_data)
        self._units = {unit.storage_unit_id: unit for unit in self.units}

    async def _put_to_single_storage_unit(
        self,
        global_indexes: list[int],
        storage_data: Mapping[str, Any],
        target_storage_unit: str,
        data_parser: Any = None,
    ) -> None:
        if data_parser is not None:  # the unit looks at what it makes of the values
            await super()._put_to_single_storage_unit(
                global_indexes, storage_data, target_storage_unit=target_storage_unit, data_parser=data_parser
            )
            return
        self._units[target_storage_unit].storage_data.put_data(storage_data, global_indexes)

    async def _get_from_single_storage_unit(
        self, global_indexes: list[int], fields: list[str], target_storage_unit: str
    ) -> tuple[list[str], dict[str, list[Any]]]:
        return fields, self._units[target_storage_unit].storage_data.get_data(fields, global_indexes)

    async def _clear_single_storage_unit(self, global_indexes: list[int], target_storage_unit: str) -> None:
        self._units[target_storage_unit].storage_data.clear(global_indexes)
