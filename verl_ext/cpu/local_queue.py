"""TransferQueue's controller and storage in the trainer's process, which is the only one that uses them on one rank.

TransferQueue makes an actor of Ray of each, to have a process; it talks to both over sockets of ZeroMQ, served by threads,
and through Ray only while it starts and stops. The two processes import torch, the second after the first: seconds
of a core that the first step waits for.
"""

from typing import Any

import ray


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

    def options(self, **_of_an_actor: Any) -> "ActorClassHere":
        return self

    def remote(self, *arguments: Any, **options: Any) -> _ActorHere:
        return _ActorHere(self._class(*arguments, **options))
