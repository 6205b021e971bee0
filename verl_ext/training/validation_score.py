"""One score of a validation, of all its data sources, with a standard error. Plain numbers, free of torch and verl."""

import math
from collections.abc import Mapping, Sequence
from statistics import mean

SCORE_PREFIX, ERROR_PREFIX = "val-core/", "val-aux/"
STANDARD_ERROR = "standard_error"


def error_of(score: str) -> str:
    """The metric with the standard error of a ``val-core/<source>/<score>/mean@<n>``."""
    stem = score.removeprefix(SCORE_PREFIX).rpartition("/")[0]
    return f"{ERROR_PREFIX}{stem}/{STANDARD_ERROR}"


def check_is_there(option: str, name: str, metrics: Mapping[str, float]) -> None:
    """The metric that ``option`` names is one of a validation; raises RuntimeError with those that are."""
    if name not in metrics:
        found = ", ".join(sorted(one for one in metrics if one.startswith(SCORE_PREFIX)))
        raise RuntimeError(f"{option}={name} is no metric of this validation; there are {found}.")


def mean_names(metrics: Mapping[str, float]) -> list[str]:
    """The scores that are means over a data source."""
    return [name for name in metrics if name.startswith(SCORE_PREFIX) and "/mean@" in name]


def mean_score(metrics: Mapping[str, float], names: Sequence[str]) -> tuple[float, float]:
    """The mean of some scores, and its standard error; one that has none, as that of a single problem, counts as exact."""
    errors = [metrics.get(error_of(name), 0.0) for name in names]
    return mean(metrics[name] for name in names), math.hypot(*errors) / len(names)
