"""Signed objectives on one softmax: what they make of a next-token distribution, sample by sample.

Each step draws N tokens from the softmax, gives each the advantage of its outcome, and adds to the logits the learning rate
times the mean of ``logit_gradient``. The mean is over all N, as for one prompt among the many of a batch, whose normalizer
does not follow this one. In expectation PSR and NSR take the same step here, since the probabilities of right and wrong sum
to 1; what tells them apart is what the drawn tokens add to it.

Shapes: S = steps, R = repeats, N = tokens drawn in a step, V = tokens of the softmax.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from verl_ext.objectives.logit_gradient import Floats, logit_gradient
from verl_ext.objectives.objective import SignWeights


@dataclass(frozen=True)
class SoftmaxRun:
    """One objective, from the same start and the same uniform random numbers as any other with the same seed."""

    name: str
    weights: SignWeights
    is_right_V: npt.NDArray[np.bool_]
    probabilities_SRV: Floats
    """(S + 1, R, V) before each step, and after the last."""
    drawn_SRN: npt.NDArray[np.intp]
    """(S, R, N) the tokens of each step."""
    gradient_SRV: Floats
    """(S, R, V) what each step adds to the logits, divided by the learning rate."""

    @property
    def right_SR(self) -> Floats:
        """(S + 1, R) the probability of a right token."""
        right_SR: Floats = self.probabilities_SRV[..., self.is_right_V].sum(axis=-1)
        return right_SR

    @property
    def num_right_in_use_SR(self) -> Floats:
        """(S + 1, R) e to the entropy among right tokens: from 1 to the number of right tokens."""
        share_SRV = self.probabilities_SRV[..., self.is_right_V]
        share_SRV = share_SRV / share_SRV.sum(axis=-1, keepdims=True)
        in_use_SR: Floats = np.exp(-(share_SRV * np.log(share_SRV)).sum(axis=-1))
        return in_use_SR


def train_softmax(
    name: str,
    weights: SignWeights,
    start_V: Sequence[float],
    is_right_V: Sequence[bool],
    *,
    num_steps: int,
    num_samples: int,
    learning_rate: float,
    num_repeats: int = 1,
    seed: int = 0,
) -> SoftmaxRun:
    """Train from ``start_V``, which must be positive and sum to 1, ``num_repeats`` times with other random numbers."""
    rights_V = np.array(is_right_V, dtype=np.bool_)
    logits_RV = np.tile(np.log(np.array(start_V, dtype=np.float64)), (num_repeats, 1))
    uniforms_SRN = np.random.default_rng(seed).random((num_steps, num_repeats, num_samples))
    probabilities, drawn, gradients = [_softmax(logits_RV)], [], []
    for uniforms_RN in uniforms_SRN:
        sampled_RN = (uniforms_RN[..., None] > probabilities[-1].cumsum(axis=-1)[:, None, :-1]).sum(axis=-1)
        advantages_RN = np.where(rights_V[sampled_RN], weights.positive, -weights.negative)
        gradient_RV = logit_gradient(probabilities[-1], sampled_RN, advantages_RN)
        logits_RV = logits_RV + learning_rate * gradient_RV
        probabilities.append(_softmax(logits_RV))
        drawn.append(sampled_RN)
        gradients.append(gradient_RV)
    return SoftmaxRun(name, weights, rights_V, np.stack(probabilities), np.stack(drawn), np.stack(gradients))


def _softmax(logits_RV: Floats) -> Floats:
    exponentials_RV = np.exp(logits_RV - logits_RV.max(axis=-1, keepdims=True))
    softmax_RV: Floats = exponentials_RV / exponentials_RV.sum(axis=-1, keepdims=True)
    return softmax_RV
