"""The gradients of the PSR and the NSR part of one batch: how long they are, and whether they pull the same way.

Both parts are the mean over all response tokens of the batch of -A pi / pi_old on the first update, so that they add up to
REINFORCE. Shapes as in ``verl_ext.dynamics.policy``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from typing import Any

import torch

from verl_ext.dynamics.policy import Responses, response_logits
from verl_ext.learner.token_statistics import token_log_probs
from verl_ext.objectives.algorithm_options import AlgorithmOptions
from verl_ext.objectives.catalog import OBJECTIVES
from verl_ext.objectives.objective import SignWeights
from verl_ext.objectives.signed import signed_advantages

PSR, NSR = (OBJECTIVES[name].weights_under(AlgorithmOptions.read({}, adv_estimator=name)) for name in ("psr", "nsr"))


@dataclass(frozen=True)
class SignGradients:
    """Of one batch."""

    psr_norm: float
    nsr_norm: float
    cosine: float
    """Between the two, -1 to 1; nan where one of them is 0."""


def sign_gradients(model: Any, batch: Sequence[Responses], is_correct: Sequence[Sequence[bool]]) -> SignGradients:
    """Both gradients over all weights of ``model``, which keeps its own.

    Args:
        model: In evaluation mode.
        batch: Responses to each prompt.
        is_correct: Their outcomes.
    """
    psr, nsr = (loss_gradient(model, batch, part_advantages(batch, is_correct, weights)) for weights in (PSR, NSR))
    psr_norm, nsr_norm = float(psr.norm()), float(nsr.norm())
    product = psr_norm * nsr_norm
    return SignGradients(psr_norm, nsr_norm, float(psr @ nsr) / product if product else nan)


def part_advantages(
    batch: Sequence[Responses], is_correct: Sequence[Sequence[bool]], weights: SignWeights
) -> list[torch.Tensor]:
    """(B, T) the advantages of each prompt's responses."""
    return [
        signed_advantages(torch.tensor(list(correct)), responses.mask_BT, weights)
        for responses, correct in zip(batch, is_correct, strict=True)
    ]


def loss_gradient(model: Any, batch: Sequence[Responses], advantages: Sequence[torch.Tensor]) -> torch.Tensor:
    """(W,) the gradient over the W weights, end to end, of the mean of -A pi / pi_old over all tokens of the batch."""
    num_tokens = sum(int(responses.mask_BT.sum()) for responses in batch)
    parameters = [weight for weight in model.parameters() if weight.requires_grad]
    total = torch.zeros(sum(weight.numel() for weight in parameters), dtype=parameters[0].dtype)
    for responses, advantage_BT in zip(batch, advantages, strict=True):
        if not advantage_BT.any():
            continue
        logits_BTV = response_logits(model, responses.prompt_ids, responses.token_BT)
        log_prob_BT = token_log_probs(logits_BTV, responses.token_BT)
        ratio_BT = (log_prob_BT - log_prob_BT.detach()).exp()
        loss = -(advantage_BT * ratio_BT).sum() / num_tokens
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
        total += torch.cat([gradient.flatten() for gradient in gradients])
    return total
