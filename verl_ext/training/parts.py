"""What one run leaves to the next on the same stack: devices, worker processes and rollout servers."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import transfer_queue as tq
from verl.single_controller.ray import RayWorkerGroup, ResourcePoolManager
from verl.trainer.ppo.utils import Role


class _TakenPools(ResourcePoolManager):
    """verl's manager of the devices, which the workers have already."""

    def create_resource_pool(self) -> None:
        """Nothing: another placement group would wait for devices that are taken."""


class _Spawned:
    """Stands for a worker group that the trainer has just made, and gives it those that are there."""

    def __init__(self, groups: dict[str, RayWorkerGroup], arguments: dict[str, dict[str, Any]]) -> None:
        self._groups, self._arguments = groups, arguments

    def spawn(self, prefix_set: Collection[str]) -> dict[str, RayWorkerGroup]:
        """Each group, its workers as new: with the arguments that a new one would have been given."""
        for role in prefix_set:
            self._groups[role].start_over(**self._arguments[role])
        return {role: self._groups[role] for role in prefix_set}


@dataclass(frozen=True)
class Parts:
    """Of a run that has ended well."""

    pools: ResourcePoolManager
    groups: dict[str, RayWorkerGroup]
    """By verl's name of the role."""
    server_manager: type
    """verl's manager of rollout servers, which finds them started (``verl_ext.cpu.servers``)."""

    @classmethod
    def of(cls, trainer: Any) -> "Parts":
        roles = [role for classes in trainer.resource_pool_to_cls.values() for role in classes]
        groups = {role: trainer.critic_wg if role == str(Role.Critic) else trainer.actor_rollout_wg for role in roles}
        return cls(_TakenPools(**vars(trainer.resource_pool_manager)), groups, trainer.server_manager)

    def groups_for(self, trainer: Any) -> Callable[..., _Spawned]:
        """What ``trainer`` calls in place of ``RayWorkerGroup``."""

        def existing(resource_pool: Any, **_options: Any) -> _Spawned:
            classes = trainer.resource_pool_to_cls[resource_pool]
            return _Spawned(self.groups, {role: made.kwargs for role, made in classes.items()})

        return existing


def empty_transfer_queue() -> None:
    """Remove every sample that a run has left, whatever became of it."""
    for partition_id, keys in tq.kv_list().items():
        if keys:
            tq.kv_clear(keys=list(keys), partition_id=partition_id)
