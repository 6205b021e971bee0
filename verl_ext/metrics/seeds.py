"""What several trainings with other seeds say together."""

from collections.abc import Sequence
from math import nan
from typing import NamedTuple

import numpy as np


class SeedMean(NamedTuple):
    """The mean over seeds with its 95 % interval for other seeds; nan where one seed cannot tell."""

    mean: float
    low: float
    high: float


def over_seeds(values: Sequence[float]) -> SeedMean:
    """Student's t over the seeds, one value each.

    It is about other seeds of the same training on the same problems, not about other problems.

    Raises:
        ValueError: There is no value.
    """
    if not values:
        raise ValueError("A mean over seeds needs at least 1 value.")
    mean = float(np.mean(values))
    if len(values) == 1:
        return SeedMean(mean, nan, nan)
    if max(values) == min(values):
        return SeedMean(mean, mean, mean)
    from statsmodels.stats.weightstats import DescrStatsW  # takes a second to load

    low, high = DescrStatsW(np.array(values, dtype=np.float64)).tconfint_mean(alpha=0.05)
    return SeedMean(mean, float(low), float(high))
