"""verl's worker group of one rank, whose worker lives in a thread of the trainer's process.

verl gives every rank a process, which imports the whole stack again (seconds of a core) and is reached by messages.
A CPU with few cores has one rank, and its trainer waits while that rank works: a thread does as well. The worker is verl's
own class, and so is what dispatches to it and collects from it.
"""

import os
import socket
from collections.abc import Callable, Collection
from typing import Any

import ray
from verl.single_controller.base.worker_group import WorkerGroup

from verl_ext.cpu.loop_thread import LoopThread

ADDRESS = "127.0.0.1"


def _enter_group_of_one() -> None:
    """Set what verl's workers read of their place among the ranks, as ``RayWorkerGroup`` does for its processes."""
    with socket.socket() as free:
        free.bind((ADDRESS, 0))
        port = free.getsockname()[1]
    os.environ.update({"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0", "RAY_LOCAL_WORLD_SIZE": "1"})
    os.environ.update({"MASTER_ADDR": ADDRESS, "MASTER_PORT": str(port)})


class LocalWorkerGroup(WorkerGroup):
    """One worker of one rank in a thread of this process; its methods are called as those of ``RayWorkerGroup`` are."""

    def __init__(self, thread: LoopThread, worker_class: type, arguments: dict[str, Any]) -> None:
        super().__init__(resource_pool=None)
        self._thread = thread
        self._worker = thread.call(worker_class, **arguments)
        self._bind_worker_method(worker_class, _method)

    @property
    def world_size(self) -> int:
        return 1

    @property
    def workers(self) -> list[Any]:
        """Handles of Ray's actors: there are none."""
        return []

    def execute_all(self, method_name: str, *arguments: Any, **options: Any) -> list[Any]:
        """What a method returns, for each rank; as verl has it, arguments that are lists of one for each rank are shared out."""
        values = [*arguments, *options.values()]
        if all(isinstance(value, list) and len(value) == self.world_size for value in values):
            arguments, options = tuple(one for (one,) in arguments), {name: one for name, (one,) in options.items()}
        return [self.execute_rank_zero(method_name, *arguments, **options)]

    def execute_rank_zero(self, method_name: str, *arguments: Any, **options: Any) -> Any:
        """What a method returns on the first rank."""
        values = {name: _fetched(value) for name, value in options.items()}
        return self._thread.call(getattr(self._worker, method_name), *map(_fetched, arguments), **values)

    def use_server(self, server: Any) -> None:
        """Let the worker push its weights to ``server``, which no name of Ray's leads to."""
        self._worker.rollout.server_handle = server


def _fetched(value: Any) -> Any:
    """The dispatch functions put some arguments into Ray's store."""
    return ray.get(value) if isinstance(value, ray.ObjectRef) else value


def _method(
    group: LocalWorkerGroup,
    method_name: str,
    dispatch_fn: Callable[..., Any],
    collect_fn: Callable[..., Any],
    execute_fn: Callable[..., Any],
    blocking: bool,
) -> Callable[..., Any]:
    """A method of a worker as one of its group; what it does not wait for elsewhere comes as Ray's reference."""

    def call(*arguments: Any, **options: Any) -> Any:
        arguments, options = dispatch_fn(group, *arguments, **options)
        outcomes = execute_fn(method_name, *arguments, **options)
        return collect_fn(group, outcomes if blocking else [ray.put(outcome) for outcome in outcomes])

    return call


class _RolesOfOneRank:
    """Stands for the group that verl makes of all roles of a pool, and gives it one for each."""

    def __init__(self, thread: LoopThread, classes: dict[str, Any]) -> None:
        self._groups = {
            role: LocalWorkerGroup(thread, made.cls.__ray_actor_class__, made.kwargs) for role, made in classes.items()
        }

    def spawn(self, prefix_set: Collection[str]) -> dict[str, LocalWorkerGroup]:
        return {role: self._groups[role] for role in prefix_set}


def local_groups_for(trainer: Any) -> Callable[..., _RolesOfOneRank]:
    """What ``trainer`` calls in place of ``RayWorkerGroup`` to have the workers of its one rank here."""
    _enter_group_of_one()
    thread = LoopThread("learner")

    def local(resource_pool: Any, **_options: Any) -> _RolesOfOneRank:
        return _RolesOfOneRank(thread, trainer.resource_pool_to_cls[resource_pool])

    return local
