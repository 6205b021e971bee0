"""What this package adds to verl. verl imports this module through the ``verl.plugins`` entry point.

The table is the whole list. Everything is registered when verl imports the module that keeps the registry, so a
process that never trains (a rollout server, a reward worker) pays nothing for it, and an error shows where it is used
instead of in verl's plugin loader, which hides import errors at DEBUG level.
"""

import os
from types import ModuleType

from wrapt import when_imported

CPU_PLATFORM = "cpu"


@when_imported("hydra.core.config_store")
def _register_variables(_config_store: ModuleType) -> None:
    """``device=cpu`` of this package's configuration, for verl's own entry point."""
    from verl_ext.host.vllm_on_cpu import register_variables

    register_variables()


@when_imported("verl.trainer.ppo.core_algos")
def _register_estimators(core_algos: ModuleType) -> None:
    """``algorithm.adv_estimator`` = one of ``verl_ext.objectives.names.OUR_ESTIMATORS``."""
    from verl_ext.objectives.estimators import ESTIMATORS

    for name, estimator in ESTIMATORS.items():
        core_algos.register_adv_est(name)(estimator)


@when_imported("verl.trainer.ppo.core_algos")
def _register_policy_losses(_core_algos: ModuleType) -> None:
    """``actor.policy_loss.loss_mode`` = one of ``verl_ext.objectives.names.OUR_LOSSES``."""
    import verl_ext.training.losses  # noqa: F401


@when_imported("verl.trainer.ppo.v1.trainer_sync")
def _register_trainers(_trainer_sync: ModuleType) -> None:
    """``trainer.v1.trainer_mode`` = one of ``verl_ext.objectives.names.OUR_TRAINERS``."""
    import verl_ext.training.trainer  # noqa: F401


@when_imported("verl_ext.training.trainer")
def _register_async_trainer(_trainer: ModuleType) -> None:
    """The one that is not synchronous, when what it builds on is whole: that may be what has imported verl's trainers."""
    import verl_ext.training.async_trainer  # noqa: F401


@when_imported("verl.trainer.ppo.v1.trainer_base")
def _prepare_advantages(trainer_base: ModuleType) -> None:
    """A prompt's group has one member per session, also for our objectives, which get log-probs where they need them."""
    from verl_ext.patches import count_sessions_in_groups, hand_on_log_probs

    count_sessions_in_groups(trainer_base)
    hand_on_log_probs(trainer_base)


@when_imported("verl.trainer.ppo.metric_utils")
def _compute_extremes(metric_utils: ModuleType) -> None:
    """``best@k`` and ``worst@k`` of a validation by formula."""
    from verl_ext.patches import compute_extremes_exactly

    compute_extremes_exactly(metric_utils)


@when_imported("verl.workers.engine.fsdp.transformer_impl")
def _equip_learner(transformer_impl: ModuleType) -> None:
    """``attn_implementation`` of ours, log-probs and entropy in float32 and in chunks, a critic without flash-attn."""
    from verl_ext import patches
    from verl_ext.learner import packed_attention, shared_prompts

    packed_attention.register()
    shared_prompts.register()
    patches.compute_token_statistics_in_float32(transformer_impl)
    patches.compute_heads_in_chunks(transformer_impl)
    patches.load_value_model_as_configured()
    patches.save_no_attention(transformer_impl)


@when_imported("verl.workers.rollout.vllm_rollout.vllm_rollout")
def _bind_own_socket(vllm_rollout: ModuleType) -> None:
    """Two runs on one machine do not take each other's weights."""
    from verl_ext.patches import bind_own_socket

    bind_own_socket(vllm_rollout.ServerAdapter)


@when_imported("verl.workers.rollout.vllm_rollout.utils")
def _connect_to_own_socket(utils: ModuleType) -> None:
    """The other side, in vLLM's worker."""
    from verl_ext.patches import connect_to_own_socket

    connect_to_own_socket(utils.vLLMColocateWorkerExtension)


@when_imported("transfer_queue.interface")
def _keep_queue_to_the_stack(interface: ModuleType) -> None:
    """Two runs on one cluster do not take each other's samples."""
    from verl_ext.patches import keep_queue_to_the_stack

    keep_queue_to_the_stack(interface)


def _multiply_by_one_adapter(lora_ops: ModuleType) -> None:
    from verl_ext.cpu.one_adapter import operations
    from verl_ext.patches import multiply_by_one_adapter

    multiply_by_one_adapter(lora_ops, operations(lora_ops))


def _add_cpu_platform() -> None:
    """``VERL_PLATFORM=cpu``: nothing below exists for a process on a machine with an accelerator."""
    import verl_ext.cpu.platform  # noqa: F401
    from verl_ext import patches
    from verl_ext.cpu.environment import draw_tokens_on_cpu, use_vllms_kernels

    patches.answer_for_the_vllm_distribution()
    when_imported("verl.utils.distributed")(patches.use_one_gloo_backend)
    draw_tokens_on_cpu()
    use_vllms_kernels()
    when_imported("vllm.utils.system_utils")(patches.fork_engine_of_server)
    when_imported("vllm.lora.ops.torch_ops.lora_ops")(_multiply_by_one_adapter)

    @when_imported("verl.workers.engine.fsdp")
    def _register_engines(_fsdp: ModuleType) -> None:
        import verl_ext.cpu.engine  # noqa: F401


if os.environ.get("VERL_PLATFORM", "").strip().lower() == CPU_PLATFORM:
    _add_cpu_platform()
