"""How each model's share of a batch is cut for its forward passes: by tokens, or into so many rows."""

from typing import Any, NamedTuple

from omegaconf import OmegaConf

from verl_ext.training.checks.critic import uses_critic


class Cut(NamedTuple):
    """Options of one kind of pass: whether it cuts by tokens, at most how many, else how many rows, over how many ranks."""

    is_dynamic: str
    max_tokens: str
    num_rows: str
    sequence_parallel: str


ACTOR = "actor_rollout_ref.actor"
CUTS = {
    "the actor's update": Cut(
        f"{ACTOR}.use_dynamic_bsz",
        f"{ACTOR}.ppo_max_token_len_per_gpu",
        f"{ACTOR}.ppo_micro_batch_size_per_gpu",
        f"{ACTOR}.fsdp_config.ulysses_sequence_parallel_size",
    ),
    "the actor's log-probs": Cut(
        "actor_rollout_ref.rollout.log_prob_use_dynamic_bsz",
        "actor_rollout_ref.rollout.log_prob_max_token_len_per_gpu",
        "actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu",
        f"{ACTOR}.fsdp_config.ulysses_sequence_parallel_size",
    ),
    "the reference's log-probs": Cut(
        "actor_rollout_ref.ref.log_prob_use_dynamic_bsz",
        "actor_rollout_ref.ref.log_prob_max_token_len_per_gpu",
        "actor_rollout_ref.ref.log_prob_micro_batch_size_per_gpu",
        "actor_rollout_ref.ref.fsdp_config.ulysses_sequence_parallel_size",
    ),
    "the critic": Cut(
        "critic.use_dynamic_bsz",
        "critic.ppo_max_token_len_per_gpu",
        "critic.ppo_micro_batch_size_per_gpu",
        "critic.fsdp.ulysses_sequence_parallel_size",
    ),
}


def _passes(config: Any) -> list[str]:
    """The passes that the run makes."""
    names = ["the actor's update", "the actor's log-probs"]
    if config.algorithm.use_kl_in_reward or config.actor_rollout_ref.actor.use_kl_loss:
        names.append("the reference's log-probs")
    if uses_critic(config):
        names.append("the critic")
    return names


def check_micro_batches(config: Any) -> None:
    """Every pass knows how to cut its rows, the longest row fits, and no size is given that the other way ignores.

    Raises:
        ValueError: verl would stop with an assertion, or would not read what was given.
    """
    longest = config.data.max_prompt_length + config.data.max_response_length
    by_tokens, for_log_probs = (CUTS[name].is_dynamic for name in ("the actor's update", "the actor's log-probs"))
    if OmegaConf.select(config, by_tokens) != OmegaConf.select(config, for_log_probs):
        raise ValueError(
            f"{by_tokens}={OmegaConf.select(config, by_tokens)} and {for_log_probs}={OmegaConf.select(config, for_log_probs)}: "
            "verl needs both to be the same. Leave the second out: it follows the first."
        )
    for name in _passes(config):
        is_dynamic, max_tokens, num_rows, sequence_parallel = (
            OmegaConf.select(config, option) for option in CUTS[name]
        )
        options = CUTS[name]
        if not is_dynamic and num_rows is None:
            raise ValueError(
                f"{options.is_dynamic}=False cuts {name} into micro-batches of a fixed number of rows: set {options.num_rows}."
            )
        if is_dynamic and num_rows is not None:
            raise ValueError(
                f"{options.num_rows}={num_rows} would be ignored, because {options.is_dynamic}=True cuts by tokens "
                f"({options.max_tokens}={max_tokens}). Set {by_tokens}=False, or leave it out."
            )
        parallel = max(config.actor_rollout_ref.actor.ulysses_sequence_parallel_size, sequence_parallel)
        if is_dynamic and max_tokens is not None and longest > max_tokens * parallel:  # null is chosen so that it fits
            raise ValueError(
                f"data.max_prompt_length + data.max_response_length = {longest} tokens, more than "
                f"{options.max_tokens}={max_tokens}: such a row fits no micro-batch. Raise it to {-(-longest // parallel)}."
            )
