"""Which samples reach the update.

The filter keys on the *sample's advantage*, never on its group: a filter that drops groups of equal rewards (DAPO's)
would drop the all-wrong groups, which carry most of NSR's signal.

Shapes: B = responses in the batch, T = response tokens, right-padded.
"""

import torch


def kept_samples(advantages_BT: torch.Tensor, mask_BT: torch.Tensor) -> torch.Tensor:
    """Which responses have a token with a non-zero advantage, shape (B,), bool.

    A response whose advantages are all zero adds nothing to the policy gradient, so computing its log-probs and its
    backward pass is wasted work. A fully masked response is dropped as well.
    """
    return ((advantages_BT != 0) & (mask_BT != 0)).any(dim=-1)
