"""Policy losses: verl's own, and the paper's, both with the clip fraction counted for each sign of the advantage.

All tensors are (B, T), B responses of the micro-batch, T response tokens.
"""

from typing import Any

import torch
from verl.trainer.ppo.core_algos import compute_policy_loss_vanilla, register_policy_loss

NAME = "vanilla_by_sign"
PAPER_NAME = "paper"


@register_policy_loss(NAME)
def policy_loss_vanilla_by_sign(
    old_log_prob: torch.Tensor,
    log_prob: torch.Tensor,
    advantages: torch.Tensor,
    response_mask: torch.Tensor,
    loss_agg_mode: str = "token-mean",
    config: Any = None,
    rollout_is_weights: torch.Tensor | None = None,
) -> tuple[torch.Tensor, dict[str, Any]]:
    """Return exactly verl's vanilla loss, two shares of the tokens more for each sign, and how far the ratio is from 1.

    ``actor/tokens_<sign>`` is the share of response tokens with that sign of advantage, ``actor/clipped_<sign>`` the
    share of all response tokens that have it and are clipped. Their ratio, averaged over micro-batches, is the clip
    fraction of that sign: a positive token is clipped above 1 + clip_ratio_high, a negative one below 1 - clip_ratio_low.
    ``actor/ratio_error_max`` is the largest difference of a token's ratio from 1.
    All tensors are (B, T), B responses of the micro-batch, T response tokens.
    """
    loss, metrics = compute_policy_loss_vanilla(
        old_log_prob=old_log_prob,
        log_prob=log_prob,
        advantages=advantages,
        response_mask=response_mask,
        loss_agg_mode=loss_agg_mode,
        config=config,
        rollout_is_weights=rollout_is_weights,
    )
    return loss, metrics | _clipped_by_sign(old_log_prob, log_prob, advantages, response_mask, config)


@register_policy_loss(PAPER_NAME)
def policy_loss_paper(
    old_log_prob: torch.Tensor,
    log_prob: torch.Tensor,
    advantages: torch.Tensor,
    response_mask: torch.Tensor,
    loss_agg_mode: str = "token-mean",
    config: Any = None,
    rollout_is_weights: torch.Tensor | None = None,
) -> tuple[torch.Tensor, dict[str, Any]]:
    """The loss of the released code of arXiv:2506.01347: PPO's clip, nothing more, averaged as there.

        max(-A rho, -A clip(rho, 1 - eps, 1 + eps)), rho = pi / pi_old

    There is no dual clip: for A < 0 the loss grows without bound above 1 + eps. The mean is over the tokens of each
    micro-batch, and micro-batches weigh by their number of responses; so it depends on how responses are packed, and
    ``loss_agg_mode`` is ignored. Padding rows count for nothing.
    """
    if rollout_is_weights is not None:
        raise ValueError("policy_loss.loss_mode=paper has no correction for the rollout's probabilities.")
    ratio_BT = (log_prob - old_log_prob).exp()
    clipped_BT = ratio_BT.clamp(1 - config.clip_ratio, 1 + config.clip_ratio)
    losses_BT = torch.maximum(-advantages * ratio_BT, -advantages * clipped_BT)
    num_tokens = response_mask.sum().clamp(min=1)
    num_responses = response_mask.bool().any(dim=-1).sum()
    whole = config.global_batch_info
    # FSDP averages over the ranks, so a rank's share of the mini-batch is its part over the size per rank.
    share = num_responses * (whole.get("dp_size") or 1) / whole["global_batch_size"]
    loss = (losses_BT * response_mask).sum() / num_tokens * share
    with torch.no_grad():
        is_clipped_BT = (-advantages * clipped_BT > -advantages * ratio_BT) * response_mask
        metrics = {
            "actor/pg_clipfrac": (is_clipped_BT.sum() / num_tokens).item(),
            "actor/ppo_kl": (((old_log_prob - log_prob) * response_mask).sum() / num_tokens).item(),
            "actor/pg_clipfrac_lower": 0.0,
        }
    return loss, metrics | _clipped_by_sign(old_log_prob, log_prob, advantages, response_mask, config)


def _clipped_by_sign(
    old_log_prob: torch.Tensor,
    log_prob: torch.Tensor,
    advantages: torch.Tensor,
    response_mask: torch.Tensor,
    config: Any,
) -> dict[str, float]:
    metrics = {}
    with torch.no_grad():
        low = config.clip_ratio if config.clip_ratio_low is None else config.clip_ratio_low
        high = config.clip_ratio if config.clip_ratio_high is None else config.clip_ratio_high
        mask_BT = response_mask.bool()
        num_tokens = mask_BT.sum().clamp(min=1)
        ratio_BT = (log_prob - old_log_prob).exp()
        # verl takes the largest over micro-batches and updates of what has max in its name.
        metrics["actor/ratio_error_max"] = ((ratio_BT - 1).abs() * mask_BT).max().item()
        for sign, has_sign_BT, is_clipped_BT in (
            ("positive", advantages > 0, ratio_BT > 1 + high),
            ("negative", advantages < 0, ratio_BT < 1 - low),
        ):
            has_sign_BT = has_sign_BT & mask_BT
            metrics[f"actor/tokens_{sign}"] = (has_sign_BT.sum() / num_tokens).item()
            metrics[f"actor/clipped_{sign}"] = ((has_sign_BT & is_clipped_BT).sum() / num_tokens).item()
    return metrics
