"""verl's vanilla policy loss, with its clip fraction also counted for each sign of the advantage."""

from typing import Any

import torch
from verl.trainer.ppo.core_algos import compute_policy_loss_vanilla, register_policy_loss

NAME = "vanilla_by_sign"


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
    """Return exactly verl's vanilla loss, and two shares of the tokens more for each sign.

    ``actor/tokens_<sign>`` is the share of response tokens with that sign of advantage, ``actor/clipped_<sign>`` the
    share of all response tokens that have it and are clipped. Their ratio, averaged over micro-batches, is the clip
    fraction of that sign: a positive token is clipped above 1 + clip_ratio_high, a negative one below 1 - clip_ratio_low.
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
    with torch.no_grad():
        low = config.clip_ratio if config.clip_ratio_low is None else config.clip_ratio_low
        high = config.clip_ratio if config.clip_ratio_high is None else config.clip_ratio_high
        mask_BT = response_mask.bool()
        num_tokens = mask_BT.sum().clamp(min=1)
        ratio_BT = (log_prob - old_log_prob).exp()
        for sign, has_sign_BT, is_clipped_BT in (
            ("positive", advantages > 0, ratio_BT > 1 + high),
            ("negative", advantages < 0, ratio_BT < 1 - low),
        ):
            has_sign_BT = has_sign_BT & mask_BT
            metrics[f"actor/tokens_{sign}"] = (has_sign_BT.sum() / num_tokens).item()
            metrics[f"actor/clipped_{sign}"] = ((has_sign_BT & is_clipped_BT).sum() / num_tokens).item()
    return loss, metrics
