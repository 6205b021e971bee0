"""What verl reports of old log-probs, for those that come out of an update and not of a pass before it.

By verl's own functions, under verl's names: ``actor/entropy``, ``training/rollout_probs_diff_*``, ``rollout_corr/*``.
"""

from typing import Any

from tensordict import TensorDict
from verl.protocol import DataProto
from verl.trainer.ppo.core_algos import agg_loss
from verl.trainer.ppo.rollout_corr_helper import compute_rollout_correction_and_rejection_mask
from verl.utils.debug.metrics import calculate_debug_metrics

FIELDS = ("old_log_probs", "entropy", "response_mask", "responses", "rollout_log_probs")
"""What is read of each row of the step."""


def reported(data: TensorDict, actor: Any) -> dict[str, float]:
    """The numbers of a step.

    Args:
        data: ``FIELDS`` of all its rows, (B, T) each; without the rollout's log-probs where there are none.
        actor: The section actor_rollout_ref.actor, which says what the entropy is a mean over.
    """
    entropy = agg_loss(
        loss_mat=data["entropy"],
        loss_mask=data["response_mask"],
        loss_agg_mode=actor.loss_agg_mode,
        loss_scale_factor=actor.loss_scale_factor,
    )
    metrics = {"actor/entropy": entropy.item()}
    if "rollout_log_probs" in data:
        metrics |= calculate_debug_metrics(DataProto(batch=data))
        _, _, of_correction = compute_rollout_correction_and_rejection_mask(
            old_log_prob=data["old_log_probs"],
            rollout_log_prob=data["rollout_log_probs"],
            response_mask=data["response_mask"],
        )
        metrics |= of_correction
    return metrics
