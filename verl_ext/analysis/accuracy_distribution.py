"""How pass@1 is spread over problems: a mean of 50 % may be every problem half the time, or half of them always."""

from dataclasses import dataclass

import numpy as np

from verl_ext.metrics.generations import Generations

NUM_BINS = 10
"""Between never and always."""


@dataclass(frozen=True, kw_only=True)
class AccuracyDistribution:
    """Problems of a run by c / n, the share of their samples that are correct."""

    name: str
    num_problems: int
    min_samples: int
    max_samples: int
    num_never: int
    """No sample is correct."""
    num_between: tuple[int, ...]
    """c / n in (0, 0.1], (0.1, 0.2], ... and (0.9, 1)."""
    num_always: int
    """Every sample is correct."""
    mean: float
    quartiles: tuple[float, float, float]
    """Of c / n over problems."""


def accuracy_distribution(generations: Generations) -> AccuracyDistribution:
    """Sort the problems of a run into bins by their accuracy, in exact integers."""
    n_P, c_P = generations.num_samples_P, generations.num_correct_P
    is_between_P = (c_P > 0) & (c_P < n_P)
    n, c = n_P[is_between_P], c_P[is_between_P]
    bins = -(-c * NUM_BINS // n) - 1  # rounded up, so that 1 of 10 is in the first
    low, middle, high = np.quantile(c_P / n_P, [0.25, 0.5, 0.75])
    return AccuracyDistribution(
        name=generations.name,
        num_problems=generations.num_problems,
        min_samples=int(n_P.min()),
        max_samples=int(n_P.max()),
        num_never=int((c_P == 0).sum()),
        num_between=tuple(np.bincount(bins, minlength=NUM_BINS).tolist()),
        num_always=int((c_P == n_P).sum()),
        mean=float(np.mean(c_P / n_P)),
        quartiles=(float(low), float(middle), float(high)),
    )
