"""What each of a run's workers is configured with, built by verl's own code without Ray, devices or weights.

verl makes the critic's configuration in ``PPOTrainer._setup`` and those of the actor, the reference and the rollout in
``ActorRolloutRefWorker.init_model``. Both run here as they are; replaced is what they start.
"""

from typing import Any
from unittest.mock import MagicMock, patch

from omegaconf import OmegaConf
from verl.trainer.ppo.utils import need_critic, need_reference_policy
from verl.trainer.ppo.v1 import trainer_base
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
from verl.utils.config import validate_config
from verl.workers import engine_workers


class _Worker:
    """Stands for a TrainingWorker: keeps its configuration and its loss."""

    def __init__(self, config: Any) -> None:
        self.config = config
        self.loss_fn: Any = None

    def reset(self) -> None: ...

    def set_loss_fn(self, loss_fn: Any) -> None:
        self.loss_fn = loss_fn

    def get_dispatch_collect(self) -> dict[str, Any]:
        return {}


class _ActorRolloutRef(engine_workers.ActorRolloutRefWorker):
    actor_worker_cls = ref_worker_cls = _Worker
    world_size = 1

    def __init__(self, config: Any, role: str, world_size: int) -> None:
        self.config, self.role = config, role
        self.distillation_enabled = False
        self._omega_profiler_config = config.actor.profiler
        type(self).world_size = world_size
        self.ref = self.actor = None

    def set_dispatch_collect(self, *_args: Any, **_kwargs: Any) -> None: ...


class Workers:
    """The workers of one run: ``actor``, and ``ref``, ``critic`` or None; ``rollout`` is verl's RolloutConfig."""

    def __init__(self, config: Any) -> None:
        config = OmegaConf.create(OmegaConf.to_container(config, resolve=True))
        validate_config(config, use_reference_policy=need_reference_policy(config), use_critic=need_critic(config))
        started = self._start_trainer(config)
        critic = started.get("critic")
        self.critic = None if critic is None else critic["worker"]
        (role,) = [role for role in started if role.startswith("actor")]
        self._start_actor(started[role]["arguments"]["config"], role, config.trainer)

    @staticmethod
    def _start_trainer(config: Any) -> dict[str, dict[str, Any]]:
        started: dict[str, dict[str, Any]] = {}

        class Group:
            def __init__(self, resource_pool: Any, ray_cls_with_init: Any, **_kwargs: Any) -> None:
                self._classes = ray_cls_with_init

            def spawn(self, prefix_set: Any) -> dict[str, Any]:
                groups = {}
                for role in prefix_set:
                    arguments = self._classes[role]
                    is_critic = role == "critic"
                    groups[role] = _Worker(arguments["config"]) if is_critic else MagicMock()
                    started[role] = {"arguments": arguments, "worker": groups[role]}
                return groups

        trainer = object.__new__(PPOTrainerSync)
        trainer.config = config
        trainer.use_critic, trainer.use_reference_policy = need_critic(config), need_reference_policy(config)
        trainer.use_teacher_policy = False
        for name in ("_init_tokenizer", "_init_dataloader", "_init_dump_executor", "_load_checkpoint"):
            setattr(trainer, name, lambda: None)
        with (
            patch.object(trainer_base, "RayClassWithInitArgs", lambda cls, **arguments: arguments),
            patch.object(trainer_base, "create_colocated_worker_cls", lambda class_dict: class_dict),
            patch.object(trainer_base, "RayWorkerGroup", Group),
            patch.object(trainer_base, "ResourcePoolManager", _OnePool),
            patch.object(trainer_base, "RewardLoopManager", MagicMock()),
            patch.object(trainer_base, "LLMServerManager", MagicMock()),
            patch.object(trainer_base, "CheckpointEngineManager", MagicMock()),
        ):
            trainer._setup()
        return started

    def _start_actor(self, config: Any, role: str, trainer: Any) -> None:
        rollouts: list[Any] = []

        class Rollout:
            def __init__(self, config: Any, model_config: Any, device_mesh: Any) -> None:
                rollouts.append(config)

        with (
            patch.object(engine_workers, "init_device_mesh", MagicMock()),
            patch.object(engine_workers, "get_rollout_class", lambda *_args: Rollout),
            patch.object(engine_workers, "CheckpointEngineRegistry", MagicMock()),
            patch.object(engine_workers, "aggressive_empty_cache", lambda **_kwargs: None),
            patch.object(engine_workers.torch.distributed, "get_rank", lambda: 0),
        ):
            worker = _ActorRolloutRef(config, role, trainer.n_gpus_per_node * trainer.nnodes)
            worker.init_model()
        self.actor, self.ref, self.rollout = worker.actor, worker.ref, rollouts[0]


class _OnePool:
    """Stands for verl's ResourcePoolManager: one pool for every role."""

    def __init__(self, resource_pool_spec: Any, mapping: Any) -> None:
        self.resource_pool_dict = {"global_pool": "pool"}

    def create_resource_pool(self) -> None: ...

    def get_resource_pool(self, _role: Any) -> str:
        return "pool"
