"""What one sampled token does to the logits of its position (arXiv:2506.01347, Eq 7 and 8).

    -dL/dz_v = A ([v = y] - pi_v)    for L = -A pi_y / pi_old_y on the first update, where pi_old is pi

y is the sampled token, A its advantage. Positive, it is PSR's direction: up for y, down for the others in proportion to
their probability. Negative, it is NSR's: down for y, and what y loses goes to the others in the same proportion. The paper
differentiates pi_y itself, whose gradient is this one times pi_y: the same direction, another size.

Shapes: R = repeats, N = tokens sampled at the position, V = tokens of the softmax.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def logit_gradient(probabilities_RV: Floats, sampled_RN: npt.NDArray[np.intp], advantages_RN: Floats) -> Floats:
    """(R, V) the mean of -dL/dz over the N sampled tokens. Every row sums to 0."""
    num_repeats, num_samples = sampled_RN.shape
    given_RV = np.zeros_like(probabilities_RV)
    np.add.at(given_RV, (np.arange(num_repeats)[:, None], sampled_RN), advantages_RN)
    gradient_RV: Floats = (given_RV - probabilities_RV * advantages_RN.sum(axis=1, keepdims=True)) / num_samples
    return gradient_RV
