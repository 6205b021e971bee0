"""Options of verl 0.9.1 that nobody reads in a run of this kind (V1 trainer, FSDP2), with what works instead.

They are in verl's configuration for its older trainer, for other engines or out of habit. A run that was given one would
go on without a word as if it had not been. ``tests/training/test_dead_options.py`` fails when verl starts to read one.

Where verl reads another name for the same thing, ``config/trainer.yaml`` lets that one follow (``grad_clip``), so that the
usual name works. Both given with different values is refused here.
"""

from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from verl_ext.training.moved_options import MOVED

ACTOR, ROLLOUT, REF, MODEL = (f"actor_rollout_ref.{name}" for name in ("actor", "rollout", "ref", "model"))
NOTHING = "Nothing has its effect here: leave it out."


class Dead(NamedTuple):
    """An option that is not read, what it holds when nobody has set it, and what to set instead."""

    option: str
    unset: Any
    instead: str


DEAD = (
    *(
        Dead(f"custom_reward_function.{key}", None, f"Set reward.custom_reward_function.{key}.")
        for key in ("path", "name")
    ),
    *(
        Dead(f"sandbox_fusion.{key}", None, f"Set reward.sandbox_fusion.{key}.")
        for key in ("url", "max_concurrent", "memory_limit_mb")
    ),
    Dead("reward_model.num_workers", None, "Set reward.num_workers."),
    Dead("reward_model.reward_manager", None, "Set reward.reward_manager.name."),
    Dead("reward_model.reward_loop_source", None, "Set reward.reward_manager.source."),
    Dead("reward_model.reward_loop_module_path", None, "Set reward.reward_manager.module.path."),
    Dead("reward_model.reward_loop_class_name", None, "Set reward.reward_manager.name."),
    Dead("reward_model.model.path", None, "Set reward.reward_model.model_path."),
    Dead("reward_model", None, "Set the option of the same name in reward.reward_model."),
    Dead(f"{ACTOR}.ppo_micro_batch_size", None, f"Set {ACTOR}.ppo_micro_batch_size_per_gpu."),
    Dead(f"{ROLLOUT}.log_prob_micro_batch_size", None, f"Set {ROLLOUT}.log_prob_micro_batch_size_per_gpu."),
    Dead(f"{REF}.log_prob_micro_batch_size", None, f"Set {REF}.log_prob_micro_batch_size_per_gpu."),
    Dead("critic.ppo_micro_batch_size", None, "Set critic.ppo_micro_batch_size_per_gpu."),
    Dead("critic.forward_micro_batch_size", None, "Set critic.ppo_micro_batch_size_per_gpu."),
    Dead(f"{ACTOR}.fsdp_config.strategy", "fsdp", f"Set {ACTOR}.strategy."),
    Dead(f"{REF}.fsdp_config.strategy", "fsdp", f"Set {REF}.strategy."),
    Dead("critic.fsdp.strategy", "fsdp", "Set critic.strategy."),
    Dead(f"{ACTOR}.calculate_sum_pi_squared", False, NOTHING),
    Dead(f"{ACTOR}.freeze_vision_tower", False, NOTHING),
    Dead(f"{ROLLOUT}.do_sample", True, f"Set {ROLLOUT}.temperature."),
    Dead("actor_rollout_ref.nccl_timeout", 600, NOTHING),
    # verl would also take the actor without its adapter for the reference, and there is none: the KL would be 0.
    Dead(f"{MODEL}.lora.rank", 0, f"That is Megatron's. Set {MODEL}.lora_rank."),
    Dead(f"{MODEL}.lora.alpha", 32, f"That is Megatron's. Set {MODEL}.lora_alpha."),
    Dead(f"{MODEL}.lora.dropout", 0.0, "That is Megatron's."),
    Dead(f"{MODEL}.lora.exclude_modules", [], f"That is Megatron's. Set {MODEL}.exclude_modules."),
    Dead(f"{MODEL}.lora.adapter_path", None, f"That is Megatron's. Set {MODEL}.lora_adapter_path."),
    Dead("algorithm.filter_groups.max_num_gen_batches", 0, "Set algorithm.filter_groups.max_inflight_gen_batches."),
)

FOLLOWERS = (
    # The usual name, what it holds when nobody has set it, and what verl reads, which follows it unless it is given itself.
    (f"{ACTOR}.grad_clip", 1.0, f"{ACTOR}.optim.clip_grad"),
    (f"{ACTOR}.fsdp_config.dtype", "bfloat16", f"{ACTOR}.fsdp_config.mixed_precision.param_dtype"),
    (f"{REF}.fsdp_config.dtype", "bfloat16", f"{REF}.fsdp_config.mixed_precision.param_dtype"),
    (f"{ACTOR}.use_torch_compile", False, f"{ACTOR}.fsdp_config.use_torch_compile"),
    (f"{REF}.use_torch_compile", False, f"{REF}.fsdp_config.use_torch_compile"),
    ("critic.grad_clip", 1.0, "critic.optim.clip_grad"),
    ("critic.ppo_max_token_len_per_gpu", 32768, "critic.ppo_infer_max_token_len_per_gpu"),
    ("critic.forward_max_token_len_per_gpu", 32768, "critic.ppo_infer_max_token_len_per_gpu"),
    ("critic.use_dynamic_bsz", True, "critic.fsdp.use_dynamic_bsz"),
    ("critic.ppo_micro_batch_size_per_gpu", None, "critic.fsdp.micro_batch_size_per_gpu"),
    ("critic.forward_micro_batch_size_per_gpu", None, "critic.fsdp.infer_micro_batch_size_per_gpu"),
    ("critic.ulysses_sequence_parallel_size", 1, "critic.fsdp.ulysses_sequence_parallel_size"),
    ("critic.fsdp.dtype", "bfloat16", "critic.fsdp.mixed_precision.param_dtype"),
)


def _plain(config: Any, option: str) -> Any:
    value = OmegaConf.select(config, option)
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def _given(value: Any, option: str, unset: Any) -> str | None:
    """``option=value`` of what was set: the option itself, or the first that is set in a section of nothing."""
    if isinstance(value, dict):
        found = (_given(inner, f"{option}.{key}", unset) for key, inner in value.items())
        return next((text for text in found if text), None)
    return None if value == unset else f"{option}={value}"


def check_dead_options(config: DictConfig) -> None:
    """Nothing was set that nobody reads.

    Raises:
        ValueError: It was; the message has the option that works instead.
    """
    for option, instead in MOVED.items():
        section, _, key = option.rpartition(".")
        if key in (OmegaConf.select(config, section) or {}):  # with a + in front
            raise ValueError(f"{option} is an option of an earlier version, which nothing reads. {instead}")
    for option, unset, instead in DEAD:
        given = _given(_plain(config, option), option, unset)
        if given:
            raise ValueError(f"{given} would be ignored: verl does not read it. {instead}")
    for usual, unset, read in FOLLOWERS:
        value, actual = _plain(config, usual), _plain(config, read)
        # On a CPU dtype is set by precision, and what is null is chosen by the launcher: neither is the user's.
        if value not in (unset, actual, config.get("precision"), None):
            raise ValueError(
                f"{usual}={value} would be ignored, because verl reads {read}={actual}. Give one of the two."
            )
    sampling = config.actor_rollout_ref.rollout.val_kwargs
    if sampling.do_sample is not None and bool(sampling.do_sample) != (sampling.temperature > 0):
        raise ValueError(
            f"{ROLLOUT}.val_kwargs.do_sample={sampling.do_sample} would be ignored: verl reads {ROLLOUT}.val_kwargs.temperature="
            f"{sampling.temperature}. 0 is greedy, anything above samples."
        )
