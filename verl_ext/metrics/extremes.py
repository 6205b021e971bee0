"""Mean and standard deviation of the best and the worst of k draws: what a bootstrap of ever more resamples tends to."""

from collections.abc import Sequence

import numpy as np


def best_of_draws(values: Sequence[float], k: int) -> tuple[float, float]:
    """Mean and standard deviation of the largest of ``k`` draws with replacement from ``values``.

    The largest is among the i smallest of n values with probability (i / n)^k.

    Raises:
        ValueError: There are no values, or ``k`` is below 1.
    """
    if not len(values) or k < 1:
        raise ValueError(f"The best of {k} draws from {len(values)} values is not defined.")
    ordered = np.sort(np.asarray(values, dtype=float))
    chance = np.diff((np.arange(len(ordered) + 1) / len(ordered)) ** k)
    mean = float(chance @ ordered)
    return mean, float(np.sqrt(chance @ (ordered - mean) ** 2))


def worst_of_draws(values: Sequence[float], k: int) -> tuple[float, float]:
    """``best_of_draws`` of the smallest."""
    mean, deviation = best_of_draws([-value for value in values], k)
    return -mean, deviation
