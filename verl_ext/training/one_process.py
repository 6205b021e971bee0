"""Whether a run's learner, rollout server and queue of samples are threads of the trainer's process."""

from typing import Any

from verl_ext.objectives.names import OUR_TRAINERS
from verl_ext.training.resources import num_ranks

AGENT_LOOP_MANAGER = "verl_ext.cpu.agent_loop.LocalAgentLoopManager"


def samples_here(config: Any) -> bool:
    """Whether agent loop and grader are threads of the trainer's process, which then sends every request itself.

    On a CPU, and on accelerators in a run that repeats to the bit.
    """
    agent, distillation = config.actor_rollout_ref.rollout.agent, config.get("distillation")
    return bool(
        (config.trainer.device == "cpu" or config.trainer.get("deterministic"))
        and config.trainer.v1.trainer_mode in OUR_TRAINERS
        and agent.get("agent_loop_manager_class") == AGENT_LOOP_MANAGER
        and not config.reward.num_workers
        and not config.reward.reward_model.enable
        and not (distillation is not None and distillation.enabled)
    )


def is_one_process(config: Any) -> bool:
    """Whether they are: on a CPU with one rank, where nobody in another process has to reach them."""
    return config.trainer.device == "cpu" and samples_here(config) and num_ranks(config) == 1
