"""Runs that repeat to the bit: ``trainer.deterministic=True``.

Every sample has a seed of its own, made from what it is, and vLLM gets all requests of a batch before it computes the first,
in an order of their own: so the same rows stand in the same batches of its passes, whose rounding depends on them. Of several
ranks' servers each has the prompts that it had the last time, and the ranks add up their gradients over gloo, whose order of
addition is that of the ranks. On accelerators vLLM's batch-invariant mode and verl's deterministic learner take the place of both:
nobody has tried that. verl's ``full_determinism`` of the rollout gives every request the same seed, so that the answers to a prompt are all the same one.
"""

from typing import Any

from omegaconf import OmegaConf

from verl_ext.objectives.names import OUR_ASYNC_TRAINER, OUR_TRAINER
from verl_ext.training.checks.critic import uses_critic
from verl_ext.training.one_process import AGENT_LOOP_MANAGER, samples_here
from verl_ext.training.resources import num_ranks

OPTION = "trainer.deterministic"
BATCH_INVARIANT = "VLLM_BATCH_INVARIANT"
PRIORITY = "priority"
"""vLLM's policy under which it takes requests in the order of a number that they have, whenever they arrive."""


def is_deterministic(config: Any) -> bool:
    return bool(config.trainer.get("deterministic", False))


def choose_order(config: Any) -> None:
    """Let vLLM order requests by their number where the run is to repeat; on accelerators send and compute them as that needs."""
    if not is_deterministic(config):
        return
    rollout = config.actor_rollout_ref.rollout
    rollout.scheduling_policy = PRIORITY
    if config.trainer.device == "cpu":
        return
    if rollout.agent.get("agent_loop_manager_class") is None:
        OmegaConf.update(rollout.agent, "agent_loop_manager_class", AGENT_LOOP_MANAGER, force_add=True)
    config.reward.num_workers = 0
    for model in (config.actor_rollout_ref.actor, config.actor_rollout_ref.ref):
        model.fsdp_config.full_determinism = True


def variables_of(config: Any) -> dict[str, str]:
    """Environment of every process of a run that repeats on accelerators; verl hands these on to the workers."""
    if not is_deterministic(config) or config.trainer.device == "cpu":
        return {}
    return {BATCH_INVARIANT: "1", "PYTHONHASHSEED": str(config.actor_rollout_ref.rollout.seed)}


def described(config: Any) -> str:
    """What somebody who starts such a run should know; empty where nothing."""
    if not is_deterministic(config) or config.trainer.device == "cpu":
        return ""
    return (
        f"{OPTION}=True on {config.trainer.device} is untested: samples with seeds of their own, vLLM with {BATCH_INVARIANT}=1, "
        "the learner with verl's full_determinism. Compare two runs before you rely on it"
    )


def check_deterministic(config: Any) -> None:
    """The run can repeat; raises ValueError."""
    if not is_deterministic(config):
        return
    if config.trainer.v1.trainer_mode == OUR_ASYNC_TRAINER:
        raise ValueError(
            f"{OPTION}=True and trainer.v1.trainer_mode={OUR_ASYNC_TRAINER} exclude each other: which answers are complete when a "
            "step begins, and where an update interrupts the others, depends on the clock. Set trainer.v1.trainer_mode="
            f"{OUR_TRAINER}, or {OPTION}=False."
        )
    if not samples_here(config):
        raise ValueError(
            f"{OPTION}=True needs the agent loop, the grader and the trainer that it chooses, which are all in one process. "
            "Elsewhere requests arrive as they come."
        )
    model = config.actor_rollout_ref.model
    if num_ranks(config) > 1 and ((model.lora_rank > 0 and not model.lora_adapter_path) or uses_critic(config)):
        raise ValueError(
            f"{OPTION}=True with {num_ranks(config)} ranks needs a model whose first weights are on file. Those of a new adapter "
            f"(actor_rollout_ref.model.lora_rank={model.lora_rank}) and of a critic are random numbers, which are seeded where "
            "there is one rank: trainer.n_gpus_per_node=1, trainer.nnodes=1."
        )
    if config.actor_rollout_ref.rollout.full_determinism:
        raise ValueError(
            f"{OPTION}=True and actor_rollout_ref.rollout.full_determinism=True exclude each other: the latter gives all "
            "samples of a prompt one seed, so that they are one answer."
        )
    if config.actor_rollout_ref.rollout.multi_turn.enable:
        raise ValueError(f"{OPTION}=True needs answers of one turn: actor_rollout_ref.rollout.multi_turn.enable=False.")
