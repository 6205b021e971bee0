"""Eq 7 and 8 of arXiv:2506.01347 beside what a step does to the logits of a model.

The equations are about logits that are free: a token moves those of its own position only. In a model all positions share the
weights. So each token's logits are looked at twice: when the step is made from this token alone, and when it is made from the
whole batch. A step is plain gradient descent on the part's loss, so small that the change is the slope.

Logits that differ by a constant are one softmax: of each position's changes their mean under its probabilities is taken off.
Tokens that hardly ever come are left out, whose logits nothing holds.

Shapes as in ``verl_ext.dynamics.policy``; M = logits that are looked at.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from verl_ext.dynamics.policy import Responses, response_logits
from verl_ext.dynamics.sign_gradients import loss_gradient, part_advantages
from verl_ext.objectives.logit_gradient import Floats, logit_gradient
from verl_ext.objectives.objective import SignWeights

_REACH = 1e-4
"""How far the weights are moved to either side: their Euclidean distance."""
MIN_PROBABILITY = 0.01


@dataclass(frozen=True)
class LogitChanges:
    """Of one part on one batch, per unit of the learning rate."""

    predicted_M: Floats
    """By Eq 7 or 8."""
    alone_M: Floats
    """Measured after a step from the position's token alone."""
    together_M: Floats
    """Measured after a step from the whole batch."""
    is_drawn_M: npt.NDArray[np.bool_]
    """Of the token that was drawn at its position."""

    @property
    def correlations(self) -> tuple[float, float]:
        """Spearman's, of the prediction with the step alone and with that of the batch."""
        ranks = [values_M.argsort().argsort() for values_M in (self.predicted_M, self.alone_M, self.together_M)]
        alone, together = (float(np.corrcoef(ranks[0], other)[0, 1]) for other in ranks[1:])
        return alone, together


def logit_changes(
    model: Any,
    batch: Sequence[Responses],
    is_correct: Sequence[Sequence[bool]],
    weights: SignWeights,
    *,
    max_positions: int = 60,
    seed: int = 0,
) -> LogitChanges:
    """Measure how fast steps from a copy of ``model``, in float64, move its logits.

    Args:
        model: In evaluation mode.
        batch: Responses to each prompt.
        is_correct: Their outcomes.
        weights: The part: those of PSR or of NSR, or any others.
        max_positions: How many positions are looked at, drawn at random from those that have an advantage.
        seed: Of that draw.

    Raises:
        ValueError: No response has an advantage.
    """
    advantages = part_advantages(batch, is_correct, weights)
    places = [
        (prompt, row, step)
        for prompt, advantage_BT in enumerate(advantages)
        for row, step in advantage_BT.nonzero().tolist()
    ]
    if not places:
        raise ValueError("No response of the batch has an advantage under this part, so it moves no logit.")
    chosen = np.random.default_rng(seed).permutation(len(places))[:max_positions]
    exact = deepcopy(model).double()  # the difference of two float32 logits would be rounding
    looked_at = [
        _One(batch[prompt], advantages[prompt], row, step) for prompt, row, step in (places[at] for at in chosen)
    ]
    whole = loss_gradient(exact, batch, advantages)
    num_tokens = sum(int(responses.mask_BT.sum()) for responses in batch)  # of the mean that the loss is
    columns: list[tuple[Floats, Floats, Floats, npt.NDArray[np.bool_]]] = []
    for one in looked_at:
        probability_V = one.logits_of(exact).softmax(dim=-1).numpy()
        own = loss_gradient(exact, [one.responses], [one.advantage_1T])
        predicted_V = logit_gradient(probability_V[None], np.array([[one.token]]), np.array([[one.advantage]]))[0]
        is_kept_V = probability_V >= MIN_PROBABILITY
        changes = (
            predicted_V / num_tokens,
            _slope(exact, one, own) * one.num_tokens / num_tokens,
            _slope(exact, one, whole),
        )
        predicted, alone, together = ((each - probability_V @ each)[is_kept_V] for each in changes)
        is_drawn_V = np.arange(len(probability_V)) == one.token
        columns.append((predicted, alone, together, is_drawn_V[is_kept_V]))
    predicted_M, alone_M, together_M, is_drawn_M = (np.concatenate(column) for column in zip(*columns, strict=True))
    return LogitChanges(predicted_M, alone_M, together_M, is_drawn_M)


class _One:
    """A token of a response."""

    def __init__(self, group: Responses, advantage_BT: torch.Tensor, row: int, step: int) -> None:
        self.responses = group._replace(token_BT=group.token_BT[row : row + 1], mask_BT=group.mask_BT[row : row + 1])
        self.advantage_1T = torch.zeros_like(advantage_BT[row : row + 1])
        self.advantage_1T[0, step] = advantage_BT[row, step]
        self.advantage = float(advantage_BT[row, step])
        self.token = int(group.token_BT[row, step])
        self.num_tokens = int(self.responses.mask_BT.sum())
        self._step = step

    @torch.no_grad()
    def logits_of(self, model: Any) -> torch.Tensor:
        """(V,) what the token was drawn from."""
        return (
            response_logits(model, self.responses.prompt_ids, self.responses.token_BT)[0, self._step].detach().clone()
        )


def _slope(model: Any, one: _One, gradient: torch.Tensor) -> Floats:
    """(V,) how fast the logits change along a step against ``gradient``, per unit of the learning rate."""
    learning_rate = _REACH / float(gradient.norm())
    _move(model, -learning_rate * gradient)
    after_V = one.logits_of(model)
    _move(model, 2 * learning_rate * gradient)
    before_V = one.logits_of(model)
    _move(model, -learning_rate * gradient)
    slope_V: Floats = ((after_V - before_V) / (2 * learning_rate)).numpy()
    return slope_V


@torch.no_grad()
def _move(model: Any, change: torch.Tensor) -> None:
    """Add to all weights what ``loss_gradient`` has end to end."""
    start = 0
    for weight in model.parameters():
        if weight.requires_grad:
            weight += change[start : start + weight.numel()].view_as(weight)
            start += weight.numel()
