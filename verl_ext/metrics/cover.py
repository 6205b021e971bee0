"""Cover@tau: the share of the problems of which at least a share tau of the answers is correct (arXiv:2510.08325).

pass@k asks for one correct answer of k, by luck too. Cover@tau asks for a problem to be solved reliably: Cover@1 counts those
that are always right. An estimate from n samples, c of them correct, counts a problem where c / n is at least tau.
"""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

TAUS = (0.25, 0.5, 0.75, 1.0)
"""Those that are reported."""


def cover_at(num_samples_P: npt.ArrayLike, num_correct_P: npt.ArrayLike, taus: Sequence[float] = TAUS) -> list[float]:
    """Cover@tau at each of ``taus``, in [0, 1].

    Args:
        num_samples_P: (P,) int, n of each problem, at least 1.
        num_correct_P: (P,) int, c of each problem.
        taus: Each above 0 and at most 1; compared exactly, as the decimals that they are written in.

    Raises:
        ValueError: There is no problem, one has no samples, or a tau is out of range.
    """
    num_samples, num_correct = np.asarray(num_samples_P, dtype=np.int64), np.asarray(num_correct_P, dtype=np.int64)
    if not num_samples.size or num_samples.min() < 1:
        raise ValueError("Cover@tau needs at least 1 problem, and at least 1 sample of each.")
    shares = []
    for tau in taus:
        exact = Fraction(str(tau))
        if not 0 < exact <= 1:
            raise ValueError(f"tau must be above 0 and at most 1, got {tau}.")
        shares.append(float((num_correct * exact.denominator >= num_samples * exact.numerator).mean()))
    return shares
