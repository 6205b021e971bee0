"""How far a mean over problems can be trusted: bootstrap, sign-flip test, Holm, and noise at fixed problems.

Two different questions, never mixed:

- *other problems*: what if the problems had been others of their kind? Resample problems (``bootstrap_interval``).
- *other samples*: what if the same problems were sampled again? Noise within problems (``fixed_problems_interval``).

All intervals are at 95 %. Shapes: P = problems, K = columns (values of k), R = resamples. A NaN cell is a problem that
does not count in that column.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from verl_ext.metrics.pass_at_k import FloatArray, pass_at_k_table

CountArray = npt.NDArray[np.unsignedinteger[Any]]

NUM_RESAMPLES = 10_000
_ALPHA = 0.05
_NORMAL_QUANTILE = 1.959963984540054  # of 1 - _ALPHA / 2
_ROUNDING = 1e-12  # as far apart are equal values at most, if they come from different counts
_CELLS_PER_BLOCK = 200_000  # bounds memory: a few arrays of 2 MB, whatever the number of problems
_CELLS_KEPT = 4_000_000  # 8 MB
_EXACT_UP_TO = 13  # problems with a difference: 2^13 sign patterns are fewer than the random ones


def bootstrap_interval(
    values_PK: FloatArray, *, num_resamples: int = NUM_RESAMPLES, seed: int = 0
) -> tuple[FloatArray, FloatArray]:
    """95 % percentile bootstrap over problems of the mean of each column.

    The resamples depend only on P, ``num_resamples`` and ``seed``: two calls with the same problems draw the same ones,
    so that intervals of differences are paired.

    Returns:
        (K,) lower and (K,) upper ends; NaN for a column with fewer than two values: one problem does not tell how
        problems differ, and its resamples are all the same.
    """
    means_RK = resampled_means(values_PK, num_resamples=num_resamples, seed=seed)
    low_K, high_K = np.full(values_PK.shape[1], np.nan), np.full(values_PK.shape[1], np.nan)
    for column, means in enumerate(means_RK.T):
        known = means[~np.isnan(means)]
        if known.size and np.count_nonzero(~np.isnan(values_PK[:, column])) > 1:
            low_K[column], high_K[column] = np.quantile(known, [_ALPHA / 2, 1 - _ALPHA / 2])
    return low_K, high_K


def share_interval(
    values_PK: FloatArray, *, num_resamples: int = NUM_RESAMPLES, seed: int = 0
) -> tuple[FloatArray, FloatArray]:
    """95 % interval over problems of the mean of each column of values in [0, 1]; see ``_bounded_interval``."""
    return _bounded_interval(values_PK, 0.0, 1.0, num_resamples, seed)


def difference_interval(
    differences_PK: FloatArray, *, num_resamples: int = NUM_RESAMPLES, seed: int = 0
) -> tuple[FloatArray, FloatArray]:
    """95 % interval over problems of the mean difference of two such values, paired; see ``_bounded_interval``."""
    return _bounded_interval(differences_PK, -1.0, 1.0, num_resamples, seed)


def _bounded_interval(
    values_PK: FloatArray, least: float, most: float, num_resamples: int, seed: int
) -> tuple[FloatArray, FloatArray]:
    """``bootstrap_interval`` of values in [least, most], with an honest width where every problem has the same value v.

    There no resample differs from another and the bootstrap has no width. If a share s of all problems of the kind has the
    value v, all P have it with probability s^P, which bounds s from below by (alpha/2)^(1/P). At worst the rest are all at
    one end of the range, so the mean is between least + s (v - least) and most - s (most - v).

    NaN for a single problem whose value is at neither end of the range.
    """
    low_K, high_K = bootstrap_interval(values_PK, num_resamples=num_resamples, seed=seed)
    for column in range(values_PK.shape[1]):
        known = values_PK[~np.isnan(values_PK[:, column]), column]
        if not known.size or np.ptp(known) > _ROUNDING or (known.size == 1 and known[0] not in (least, most)):
            continue
        value, share = known[0], (_ALPHA / 2) ** (1 / known.size)
        low_K[column], high_K[column] = least + share * (value - least), most - share * (most - value)
    return low_K, high_K


def ratio_interval(
    parts_P: FloatArray, wholes_P: FloatArray, *, num_resamples: int = NUM_RESAMPLES, seed: int = 0
) -> tuple[float, float]:
    """95 % percentile bootstrap over problems of sum(parts) / sum(wholes), 0 <= parts <= wholes.

    Where no part, or every whole, counts it has the width of ``share_interval`` for as many problems as the wholes add up
    to. NaN where fewer than two problems have a whole above 0.
    """
    if np.count_nonzero(wholes_P) < 2:
        return np.nan, np.nan
    reach = float((_ALPHA / 2) ** (1 / wholes_P.sum()))
    if (parts_P == 0).all():
        return 0.0, 1 - reach
    if (parts_P == wholes_P).all():
        return reach, 1.0
    means_R2 = resampled_means(np.stack([parts_P, wholes_P], axis=1), num_resamples=num_resamples, seed=seed)
    means_R2 = means_R2[means_R2[:, 1] > 0]
    low, high = np.quantile(means_R2[:, 0] / means_R2[:, 1], [_ALPHA / 2, 1 - _ALPHA / 2])
    return float(low), float(high)


def resampled_means(values_PK: FloatArray, *, num_resamples: int = NUM_RESAMPLES, seed: int = 0) -> FloatArray:
    """Mean of each column over problems drawn with replacement, one row per resample.

    Returns:
        (R, K); NaN where a resample holds no problem that counts in the column.
    """
    if values_PK.ndim != 2 or not len(values_PK):
        raise ValueError(f"A bootstrap needs (problems, columns) with at least 1 problem, got shape {values_PK.shape}.")
    is_known_PK = ~np.isnan(values_PK)
    known_PK = np.where(is_known_PK, values_PK, 0.0)
    blocks = []
    for block in _resample_counts(len(values_PK), num_resamples, seed):
        times_RP = block.astype(np.float64)
        totals = times_RP @ known_PK
        if is_known_PK.all():
            blocks.append(totals / len(values_PK))
        else:
            with np.errstate(invalid="ignore"):
                blocks.append(totals / (times_RP @ is_known_PK.astype(np.float64)))
    return np.concatenate(blocks)


def _resample_counts(num_problems: int, num_resamples: int, seed: int) -> Iterable[CountArray]:
    """How often each problem is in each resample, as blocks of (R, P)."""
    if num_problems * num_resamples > _CELLS_KEPT:
        return _draw_counts(num_problems, num_resamples, seed)
    return _kept_counts(num_problems, num_resamples, seed)


@lru_cache(maxsize=1)
def _kept_counts(num_problems: int, num_resamples: int, seed: int) -> tuple[CountArray, ...]:
    # Every curve and difference of a report is over the same problems: drawing is most of a bootstrap's time.
    return tuple(_draw_counts(num_problems, num_resamples, seed))


def _draw_counts(num_problems: int, num_resamples: int, seed: int) -> Iterator[CountArray]:
    rng = np.random.default_rng(seed)
    dtype: type[np.unsignedinteger[Any]] = np.uint16 if num_problems < 1 << 16 else np.uint32
    for rows in _block_sizes(num_problems, num_resamples):
        drawn_RP = rng.integers(0, num_problems, size=(rows, num_problems), dtype=dtype)
        cells = drawn_RP + np.arange(0, rows * num_problems, num_problems)[:, None]
        yield np.bincount(cells.ravel(), minlength=rows * num_problems).astype(dtype).reshape(rows, num_problems)


def _block_sizes(num_columns: int, num_rows: int) -> Iterator[int]:
    rows_per_block = max(1, _CELLS_PER_BLOCK // num_columns)
    for start in range(0, num_rows, rows_per_block):
        yield min(rows_per_block, num_rows - start)


def sign_flip_p(differences_PK: FloatArray, *, num_flips: int = NUM_RESAMPLES, seed: int = 0) -> FloatArray:
    """Two-sided p of a mean difference of 0, by flipping the sign of each problem's difference at random.

    Exact where at most 13 problems differ, else (1 + hits) / (1 + flips). Every column sees the same flips. A problem
    without a value, or with a difference of 0, has no say.

    Returns:
        (K,) in (0, 1].
    """
    differences_MK = np.nan_to_num(differences_PK)
    differences_MK = differences_MK[(differences_MK != 0).any(axis=1)]
    num_moving = len(differences_MK)
    if not num_moving:
        return np.ones(differences_PK.shape[1])
    # A sum that equals the observed one up to rounding is as extreme as it.
    threshold_K = np.abs(differences_MK.sum(axis=0)) - 1e-12 * np.abs(differences_MK).sum(axis=0)
    is_exact = num_moving <= _EXACT_UP_TO
    hits_K, total = (np.zeros(differences_PK.shape[1]), 0) if is_exact else (np.ones(differences_PK.shape[1]), 1)
    for is_kept_RM in _all_signs(num_moving) if is_exact else _random_signs(num_moving, num_flips, seed):
        # A sum with signs is twice the sum of those that keep theirs, minus the sum of all.
        sums_RK = 2 * (is_kept_RM @ differences_MK) - differences_MK.sum(axis=0)
        hits_K += (np.abs(sums_RK) >= threshold_K).sum(axis=0)
        total += len(is_kept_RM)
    return hits_K / total


def _all_signs(num_moving: int) -> Iterator[FloatArray]:
    yield (np.arange(1 << num_moving)[:, None] >> np.arange(num_moving) & 1).astype(np.float64)


def _random_signs(num_moving: int, num_flips: int, seed: int) -> Iterator[FloatArray]:
    rng = np.random.default_rng(seed)
    for rows in _block_sizes(num_moving, num_flips):
        num_signs = rows * num_moving
        bits = np.unpackbits(np.frombuffer(rng.bytes((num_signs + 7) // 8), dtype=np.uint8), count=num_signs)
        yield bits.reshape(rows, num_moving).astype(np.float64)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjustment: reject where the returned value is below 0.05, and no error in the family has p > 0.05."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def fixed_problems_interval(
    num_samples_P: npt.ArrayLike, num_correct_P: npt.ArrayLike, ks: Sequence[int]
) -> tuple[FloatArray, FloatArray]:
    """95 % interval of the mean pass@k of *these* problems, were they sampled again: mean +- 1.96 standard errors.

    The variance of a problem's pass@k is the delete-one-sample jackknife in closed form. A problem whose samples are
    all correct or all wrong adds 0, so with few samples the interval is too short.

    Returns:
        (K,) lower and (K,) upper ends in [0, 1]. NaN where a problem has n = k: its estimate uses every sample at once
        (any correct, or none), and the file holds nothing about how it would vary. NaN too where no problem has k
        samples.
    """
    num_samples = np.asarray(num_samples_P, dtype=np.int64)
    num_correct = np.asarray(num_correct_P, dtype=np.int64)
    mean_PK = pass_at_k_table(num_samples, num_correct, ks)
    # Deleting a correct sample or a wrong one: where there is none to delete, its weight below is 0.
    without_correct_PK = pass_at_k_table(num_samples - 1, np.maximum(num_correct - 1, 0), ks)
    without_wrong_PK = pass_at_k_table(num_samples - 1, np.minimum(num_correct, num_samples - 1), ks)
    n, c = num_samples[:, None].astype(np.float64), num_correct[:, None].astype(np.float64)
    variance_PK = (n - 1) / n * (c * (n - c) / n) * (without_wrong_PK - without_correct_PK) ** 2

    low_K, high_K = np.full(len(ks), np.nan), np.full(len(ks), np.nan)
    for column, k in enumerate(ks):
        counts = num_samples >= k
        if not counts.any() or (num_samples == k).any():
            continue
        mean = mean_PK[counts, column].mean()
        reach = _NORMAL_QUANTILE * np.sqrt(variance_PK[counts, column].sum()) / counts.sum()
        low_K[column], high_K[column] = max(0.0, mean - reach), min(1.0, mean + reach)
    return low_K, high_K
