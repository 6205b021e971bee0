"""Per-problem accuracy as a sum of effects of level and subject, by ordinary least squares (statsmodels).

    c / n  =  intercept + slope * level + effect of the subject + error

The level is a number where every value ends in one ("Level 3"), else each value is an effect, like the subjects. Effects
are differences from the first value in reading order, which has none. The table is that of statsmodels' OLS: its errors
suppose that accuracies scatter alike around the sum, which shares in [0, 1] do not quite.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from verl_ext.analysis.same_problems import MissingData
from verl_ext.metrics.generations import Generations
from verl_ext.metrics.pass_at_k import FloatArray
from verl_ext.metrics.summary import reading_order

INTERCEPT = "intercept"


@dataclass(frozen=True, kw_only=True)
class Coefficient:
    """A row of the table, in shares of samples: 0.1 is ten points of accuracy."""

    name: str
    estimate: float
    standard_error: float
    t: float
    p: float
    """Two-sided, of a coefficient of 0; not corrected for the number of rows."""
    low: float
    high: float
    """95 % interval."""


@dataclass(frozen=True, kw_only=True)
class LeastSquares:
    """The fit of one run."""

    name: str
    num_problems: int
    residual_degrees: int
    r_squared: float
    compared_with: tuple[str, ...]
    """The values whose effect is in the intercept, such as "subject Algebra"."""
    coefficients: tuple[Coefficient, ...]
    """The intercept first."""


def least_squares(run: Generations, *, level: str = "level", subject: str = "subject") -> LeastSquares:
    """Fit the accuracy of the problems on the fields ``level`` and ``subject``.

    Raises:
        MissingData: A field is missing, the effects cannot be told apart, there are no more problems than coefficients, or
            every problem has the same accuracy.
    """
    missing = [field for field in (level, subject) if field not in run.groups]
    if missing:
        raise MissingData(f"{run.path} has no field {' and no field '.join(missing)} to fit accuracies on.")
    accuracy_P = run.num_correct_P / run.num_samples_P
    columns, compared_with = _columns(run, level, subject)
    design_PC = np.stack(list(columns.values()), axis=1)
    _check(run, accuracy_P, design_PC)

    # Its import takes longer than all other work of a report.
    from statsmodels.regression.linear_model import OLS

    fit = OLS(accuracy_P, design_PC).fit()
    rows = zip(columns, fit.params, fit.bse, fit.tvalues, fit.pvalues, fit.conf_int(), strict=True)
    return LeastSquares(
        name=run.name,
        num_problems=run.num_problems,
        residual_degrees=int(fit.df_resid),
        r_squared=float(fit.rsquared),
        compared_with=compared_with,
        coefficients=tuple(
            Coefficient(
                name=name,
                estimate=float(estimate),
                standard_error=float(error),
                t=float(t),
                p=float(p),
                low=float(ends[0]),
                high=float(ends[1]),
            )
            for name, estimate, error, t, p, ends in rows
        ),
    )


def _columns(run: Generations, level: str, subject: str) -> tuple[dict[str, FloatArray], tuple[str, ...]]:
    """The columns of the design by name, and the values that the effects are compared with."""
    columns = {INTERCEPT: np.ones(run.num_problems)}
    compared_with = []
    numbers = _numbers(run.groups[level])
    if numbers is not None:
        columns[f"{level} (each step)"] = numbers
    for field in [subject] if numbers is not None else [level, subject]:
        values = np.array(run.groups[field])
        first, *others = sorted(set(run.groups[field]), key=reading_order)
        compared_with.append(f"{field} {first}")
        columns |= {f"{field} {value}": (values == value).astype(np.float64) for value in others}
    return columns, tuple(compared_with)


def _numbers(levels: Sequence[str]) -> FloatArray | None:
    """The numbers that the levels end in, if all are alike but for these."""
    found = [re.fullmatch(r"(\D*)(\d+)", text) for text in levels]
    if not all(found) or len({match[1] for match in found if match}) > 1:
        return None
    return np.array([float(match[2]) for match in found if match])


def _check(run: Generations, accuracy_P: FloatArray, design_PC: FloatArray) -> None:
    num_coefficients = design_PC.shape[1]
    if run.num_problems <= num_coefficients:
        raise MissingData(
            f"{run.path} has {run.num_problems:,} problems for {num_coefficients} coefficients: too few for their errors."
        )
    if np.linalg.matrix_rank(design_PC) < num_coefficients:
        raise MissingData(
            f"The levels and subjects in {run.path} cannot be told apart: one of them has a single value, or follows from "
            "the other."
        )
    if (accuracy_P == accuracy_P[0]).all():
        raise MissingData(f"{run.path} has the same accuracy on every problem: there is nothing to fit.")
