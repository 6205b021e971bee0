"""Unbiased pass@k (arXiv:2107.03374) and its mirror pass^k, for one problem or for all of them.

    pass@k = 1 - C(n - c, k) / C(n, k)    k answers drawn without replacement hold a correct one
    pass^k =     C(c, k)     / C(n, k)    k answers drawn without replacement are all correct
    bootstrap =  1 - (1 - c / n)^k        k answers drawn with replacement hold a correct one

Shapes: P = problems, K = values of k. n samples of a problem, c of them correct.
"""

from collections.abc import Sequence
from math import comb

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def pass_at_k(num_samples: int, num_correct: int, k: int) -> float:
    """Probability that k of the samples, drawn without replacement, hold a correct one.

    Returns 1 - C(n - c, k) / C(n, k) in [0, 1], correctly rounded from exact integers, for 1 <= k <= n and 0 <= c <= n.
    """
    if not 0 <= num_correct <= num_samples:
        raise ValueError(f"num_correct must be in [0, {num_samples}], got {num_correct}.")
    if not 1 <= k <= num_samples:
        raise ValueError(f"pass@{k} needs k >= 1 and at least k samples per problem, got {num_samples}.")
    num_draws = comb(num_samples, k)
    return (num_draws - comb(num_samples - num_correct, k)) / num_draws


def pass_at_k_table(num_samples_P: npt.ArrayLike, num_correct_P: npt.ArrayLike, ks: Sequence[int]) -> FloatArray:
    """pass@k of every problem at every k.

    Relative error below 1e-12 up to n = 10^4, monotone in c and in k at any n.

    Args:
        num_samples_P: (P,) int, n of each problem.
        num_correct_P: (P,) int, c of each problem, 0 <= c <= n.
        ks: K values of k, each >= 1, in any order.

    Returns:
        (P, K) in [0, 1]; NaN where n < k: with fewer than k samples pass@k cannot be estimated, least of all by 1.
    """
    num_samples, num_correct = _checked(num_samples_P, num_correct_P, ks)
    return -np.expm1(_log_share_without(num_samples, num_correct, ks))


def pass_hat_k_table(num_samples_P: npt.ArrayLike, num_correct_P: npt.ArrayLike, ks: Sequence[int]) -> FloatArray:
    """pass^k of every problem at every k, the probability that k answers are all correct.

    Arguments and NaN as in ``pass_at_k_table``. Returns (P, K) in [0, 1].
    """
    num_samples, num_correct = _checked(num_samples_P, num_correct_P, ks)
    return np.exp(_log_share_without(num_samples, num_samples - num_correct, ks))


def bootstrap_pass_at_k_table(
    num_samples_P: npt.ArrayLike, num_correct_P: npt.ArrayLike, ks: Sequence[int]
) -> FloatArray:
    """pass@k by bootstrap of every problem at every k: what resampling k of its n samples with replacement tends to.

    Exact instead of simulated: the mean over all n^k draws. Never above the unbiased estimate and equal to it at k = 1,
    because a correct sample that is drawn twice counts once: biased downward, most at k = n.

    Arguments and NaN as in ``pass_at_k_table``. Returns (P, K) in [0, 1].
    """
    num_samples, num_correct = _checked(num_samples_P, num_correct_P, ks)
    with np.errstate(divide="ignore"):  # all correct: the log of 0
        log_wrong_P = np.log1p(-num_correct / np.maximum(num_samples, 1))
    ks_K = np.asarray(ks, dtype=np.int64)
    shares_PK: FloatArray = 0.0 - np.expm1(log_wrong_P[:, None] * ks_K)
    return np.where(num_samples[:, None] < ks_K, np.nan, shares_PK)


def powers_of_two_up_to(num_samples: int) -> list[int]:
    """1, 2, 4, ... and n itself: the k at which a curve is reported."""
    if num_samples < 1:
        raise ValueError(f"pass@k needs at least 1 sample per problem, got n = {num_samples}.")
    powers = [1 << exponent for exponent in range(num_samples.bit_length())]
    return powers if powers[-1] == num_samples else [*powers, num_samples]


def _log_share_without(num_samples_P: IntArray, num_marked_P: IntArray, ks: Sequence[int]) -> FloatArray:
    """Log of C(n - m, k) / C(n, k), the share of k-draws without any of the m marked samples; NaN where n < k.

    The ratio is the product of (1 - k/i) over i = n-m+1 .. n. Summed from i = n downwards all terms have one sign, so
    nothing cancels, and one cumulative sum serves every m.
    """
    log_share_PK = np.full((len(num_samples_P), len(ks)), np.nan)
    for num_samples in np.unique(num_samples_P):
        is_here_P = num_samples_P == num_samples
        num_marked = num_marked_P[is_here_P]
        i = np.arange(num_samples, num_samples - num_marked.max(initial=0), -1, dtype=np.float64)
        for column, k in enumerate(ks):
            if k > num_samples:
                continue
            with np.errstate(divide="ignore"):  # i = k is log(0): too few unmarked samples are left for a draw
                terms = np.log1p(-k / np.maximum(i, k))
            log_share_PK[is_here_P, column] = np.concatenate(([0.0], np.cumsum(terms)))[num_marked]
    return log_share_PK


def _checked(
    num_samples_P: npt.ArrayLike, num_correct_P: npt.ArrayLike, ks: Sequence[int]
) -> tuple[IntArray, IntArray]:
    num_samples = np.asarray(num_samples_P, dtype=np.int64)
    num_correct = np.asarray(num_correct_P, dtype=np.int64)
    if num_samples.ndim != 1 or num_samples.shape != num_correct.shape:
        raise ValueError(
            "num_samples and num_correct must be two lists with one entry per problem, "
            f"got shapes {num_samples.shape} and {num_correct.shape}."
        )
    is_bad_P = (num_correct < 0) | (num_correct > num_samples)
    if is_bad_P.any():
        first = int(np.argmax(is_bad_P))
        raise ValueError(
            f"num_correct must be in [0, {num_samples[first]}], got {num_correct[first]} (problem {first})."
        )
    for k in ks:
        if k < 1:
            raise ValueError(f"k must be at least 1, got {k}.")
    return num_samples, num_correct
