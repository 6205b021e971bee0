"""What the policy loss is a mean over, so that the update on the kept samples can equal the one on all of them."""

from typing import Any

LINEAR_LOSSES = ("vanilla", "vanilla_by_sign", "paper", "gspo", "sapo", "gpg", "cispo", "dppo_tv", "dppo_kl")
"""Policy losses that grow in proportion to the advantages, and are divided by tokens or responses of the mini-batch."""


def kept_share(actor: Any, *, tokens: tuple[int, int], responses: tuple[int, int]) -> float:
    """What the policy loss is multiplied by under ``algorithm.loss_normalizer=all``.

    Args:
        actor: The section actor_rollout_ref.actor, which says what the loss is a mean over.
        tokens: Response tokens that were kept, and of all samples.
        responses: The same of responses that have a token.
    """
    over = actor.loss_agg_mode
    if actor.policy_loss.get("loss_mode", "vanilla") == "sapo":
        over = "seq-mean-token-mean"  # whatever is configured
    if over == "token-sum":
        return 1.0
    kept, everything = tokens if over == "token-mean" else responses
    return kept / max(everything, 1)
