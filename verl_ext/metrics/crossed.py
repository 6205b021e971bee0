"""How far a mean over seeds *and* problems can be trusted, when every seed has answered every problem.

    y_sp = mu + seed_s + problem_p + rest_sp        S seeds, P problems, one value of each pair

The mean's error has two parts: what other seeds would move (seeds and the rest, S - 1 degrees of freedom) and what other
problems would (P - 1). With the mean squares of the two-way table without replication,

    variance by seeds = MS_seeds / (S P)      variance by problems = max(0, MS_problems - MS_rest) / (S P)

each times the square of its own Student's t, added, is the square of the interval's half width (S. K. Banerjee, Approximate
confidence interval for linear functions of means of k populations when the population variances are not equal, Sankhya 22,
1960: never below the nominal coverage for independent normal parts). Seeds that agree by luck make it no shorter than if it
were known that seeds do not differ, with MS_rest for MS_seeds and its (S - 1)(P - 1). Why not the usual ways:

- No bootstrap of a crossed layout is exact (McCullagh, Bernoulli 6, 2000). Resampling seeds and problems (A. B. Owen, The
  pigeonhole bootstrap, Annals of Applied Statistics 1, 2007) has percentiles of a normal law; with 3 seeds whose differences
  dominate they hold the mean in about 80 % of all cases instead of 95.
- Satterthwaite's one number of degrees of freedom is itself guessed from S values: down to 92 % with 3 seeds.

``tests/metrics/test_crossed.py`` simulates the coverage.
"""

from math import nan, sqrt
from typing import NamedTuple

import numpy as np

from verl_ext.metrics.pass_at_k import FloatArray

_ALPHA = 0.05
_POWER = 0.8


class CrossedMean(NamedTuple):
    """A mean over seeds and problems; what cannot be told is nan."""

    mean: float
    low: float
    high: float
    """95 % interval for other seeds and other problems."""
    standard_error: float
    degrees: float
    """Student's t with so many degrees of freedom makes the interval from the standard error."""
    p_value: float
    """Of a mean of 0, two-sided: where the interval of another level just touches 0."""


class _ErrorPart(NamedTuple):
    """Of the error of a mean."""

    variance: float
    degrees: int


def crossed_mean(values_SP: FloatArray) -> CrossedMean:
    """The mean of a table of seeds and problems.

    With one seed the interval is over problems only, with one problem over seeds only, with both there is none. Where all
    values are the same nothing varies, and the interval has no width.

    Raises:
        ValueError: There is no value, or one is nan.
    """
    if values_SP.ndim != 2 or not values_SP.size or np.isnan(values_SP).any():
        raise ValueError(f"A mean over seeds and problems needs a value of each pair, got shape {values_SP.shape}.")
    mean = float(values_SP.mean())
    if values_SP.size == 1:
        return CrossedMean(mean, nan, nan, nan, nan, nan)
    if values_SP.max() == values_SP.min():
        value = float(values_SP[0, 0])
        return CrossedMean(value, value, value, 0.0, nan, 0.0 if value else 1.0)
    views = _views(values_SP)
    reach, error, degrees = _widest(views, _ALPHA)
    return CrossedMean(mean, mean - reach, mean + reach, error, degrees, _p_value(views, abs(mean)))


def detectable(values_SP: FloatArray, num_comparisons: int = 1) -> float:
    """The smallest true mean that is told from 0 with a probability of 80 %, whatever comes of the other comparisons.

    A mean is told from 0 where p, corrected by Holm, is below 5 %. The first of ``num_comparisons`` to be told needs a p below
    5 % by their number, and one that needs others to be told before it may never be: so this is for that level. nan where
    nothing varies, or there is one value only: nothing is known about what could have been seen.
    """
    if values_SP.size == 1 or values_SP.max() == values_SP.min():
        return nan
    from scipy import special

    reach, error, degrees = _widest(_views(values_SP), _ALPHA / num_comparisons)
    return float(special.nctdtrinc(degrees, 1 - _POWER, reach / error) * error)


def crossed_share(values_SP: FloatArray) -> CrossedMean:
    """``crossed_mean`` of values in [0, 1], its interval cut to [0, 1].

    Where every value is 0, or every one is 1, the width is that of ``intervals.share_interval`` for as many problems.
    """
    found = crossed_mean(values_SP)
    first = values_SP[0, 0]
    if first in (0.0, 1.0) and (values_SP == first).all():
        reach = (_ALPHA / 2) ** (1 / values_SP.shape[1])
        return found._replace(low=reach if first else 0.0, high=1.0 if first else 1 - reach)
    return found._replace(low=max(0.0, found.low), high=min(1.0, found.high)) if found.low == found.low else found


def _views(values_SP: FloatArray) -> list[list[_ErrorPart]]:
    """The parts of the mean's error: as the seeds differ, and as if they were known not to."""
    num_seeds, num_problems = values_SP.shape
    if 1 in (num_seeds, num_problems):
        return [[_ErrorPart(float(values_SP.var(ddof=1)) / values_SP.size, values_SP.size - 1)]]
    by_seed_S, by_problem_P = values_SP.mean(axis=1), values_SP.mean(axis=0)
    rest_SP = values_SP - by_seed_S[:, None] - by_problem_P + values_SP.mean()
    of_seeds = num_problems * by_seed_S.var(ddof=1)
    of_problems = num_seeds * by_problem_P.var(ddof=1)
    degrees_of_rest = (num_seeds - 1) * (num_problems - 1)
    of_rest = (rest_SP**2).sum() / degrees_of_rest
    problems = _ErrorPart(float(max(0.0, of_problems - of_rest)) / values_SP.size, num_problems - 1)
    return [
        [_ErrorPart(float(of_seeds) / values_SP.size, num_seeds - 1), problems],
        [_ErrorPart(float(of_rest) / values_SP.size, degrees_of_rest), problems],
    ]


def _reach(views: list[list[_ErrorPart]], alpha: float) -> float:
    """Half the width of the interval at the level 1 - alpha, the widest of the views."""
    from scipy import special

    return max(
        sqrt(sum(part.variance * float(special.stdtrit(part.degrees, 1 - alpha / 2)) ** 2 for part in parts))
        for parts in views
    )


def _widest(views: list[list[_ErrorPart]], alpha: float) -> tuple[float, float, float]:
    """The widest half of an interval at the level 1 - alpha, its standard error, and the degrees of freedom of the two."""
    from scipy import special  # takes a while to load

    reach = _reach(views, alpha)
    widest = next(parts for parts in views if _reach([parts], alpha) == reach)
    error = sqrt(sum(part.variance for part in widest))
    return reach, error, float(special.stdtridf(1 - alpha / 2, reach / error))


def _p_value(views: list[list[_ErrorPart]], distance: float) -> float:
    """The alpha at which the interval just reaches 0; 1e-12 stands for all below it."""
    from scipy.optimize import brentq

    smallest = 1e-12
    if _reach(views, smallest) <= distance:
        return smallest
    return float(brentq(lambda alpha: _reach(views, alpha) - distance, smallest, 1.0, xtol=1e-13))
