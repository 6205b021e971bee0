"""Runs that repeat to the bit: ``trainer.deterministic=True``.

Every sample has a seed of its own, made from what it is, and vLLM gets all requests of a batch before it computes the first,
in an order of their own: so the same rows stand in the same batches of its passes, whose rounding depends on them. verl's
``full_determinism`` gives every request the same seed, so that the answers to a prompt are all the same one.
"""

from typing import Any

from verl_ext.objectives.names import OUR_ASYNC_TRAINER, OUR_TRAINER
from verl_ext.training.one_process import is_one_process

OPTION = "trainer.deterministic"
PRIORITY = "priority"
"""vLLM's policy under which it takes requests in the order of a number that they have, whenever they arrive."""


def is_deterministic(config: Any) -> bool:
    return bool(config.trainer.get("deterministic", False))


def choose_order(config: Any) -> None:
    """Let vLLM order requests by their number where the run is to repeat."""
    if is_deterministic(config):
        config.actor_rollout_ref.rollout.scheduling_policy = PRIORITY


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
    if not is_one_process(config):
        raise ValueError(
            f"{OPTION}=True needs a run that is one process: device=cpu, one rank (trainer.n_gpus_per_node=1), and the agent "
            "loop, the grader and the trainer that device=cpu chooses. Elsewhere requests arrive as they come."
        )
    if config.actor_rollout_ref.rollout.full_determinism:
        raise ValueError(
            f"{OPTION}=True and actor_rollout_ref.rollout.full_determinism=True exclude each other: the latter gives all "
            "samples of a prompt one seed, so that they are one answer."
        )
    if config.actor_rollout_ref.rollout.multi_turn.enable:
        raise ValueError(f"{OPTION}=True needs answers of one turn: actor_rollout_ref.rollout.multi_turn.enable=False.")
