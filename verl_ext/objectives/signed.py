"""REINFORCE on a 0/1 outcome, split by its sign (arXiv:2506.01347).

    A_bt = positive_weight if response b is correct, else -negative_weight

Weights (1, 0) are PSR, (0, 1) NSR, (lambda, 1) W-REINFORCE, (1, 1) REINFORCE. There is no baseline and no whitening: in
a batch that the sign filter has reduced to one sign, subtracting a mean would leave nothing.

Shapes: B = responses in the batch, T = response tokens, right-padded.
"""

import torch

from verl_ext.objectives.objective import SignWeights


def signed_advantages(is_correct_B: torch.Tensor, mask_BT: torch.Tensor, weights: SignWeights) -> torch.Tensor:
    """Give every token of a response the signed weight of its outcome.

    Args:
        is_correct_B: (B,) bool, the outcome of each response.
        mask_BT: (B, T) 1 on generated tokens, 0 on padding and tool output.
        weights: Weight of correct (lambda in the paper) and of incorrect responses.

    Returns:
        (B, T) advantages, 0 wherever ``mask_BT`` is 0.

    Raises:
        ValueError: A weight is negative or not a number.
    """
    for name, weight in zip(("positive", "negative"), weights, strict=True):
        if not weight >= 0.0:
            raise ValueError(f"The weight of {name} responses must be >= 0, got {weight}.")
    weight_B = torch.where(is_correct_B, weights.positive, -weights.negative)
    return weight_B.unsqueeze(-1) * mask_BT
