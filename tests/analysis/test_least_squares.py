import subprocess
import sys
from math import sqrt

import numpy as np
import pytest

from tests.analysis.runs import run
from verl_ext.analysis.least_squares import least_squares
from verl_ext.analysis.same_problems import MissingData


def fitted(levels, subjects, num_correct, num_samples=20):
    groups = {"level": levels, "subject": subjects}
    return least_squares(run("nsr", range(len(num_correct)), num_correct, num_samples, groups=groups))


def test_by_hand():
    """A balanced design, so that each coefficient is a difference of means.

    Accuracies 0.9, 0.5 (Algebra, levels 1, 2) and 0.7, 0.1 (Geometry, levels 1, 2): a level costs 0.5, Geometry 0.3, and
    Algebra at level 0 has 1.45. The residuals are 0.05 each on one degree of freedom, so that s is 0.1. The errors of
    level and Geometry are s, that of the intercept is s sqrt(1/4 + 1.5^2 + 0.5^2). With one degree of freedom the p of a
    t of 5 is 1 - 2 atan(5) / pi.
    """
    found = fitted(["Level 1", "Level 2"] * 2, ["Algebra"] * 2 + ["Geometry"] * 2, [18, 10, 14, 2])
    intercept, level, geometry = found.coefficients
    assert [row.name for row in found.coefficients] == ["intercept", "level (each step)", "subject Geometry"]
    assert (found.residual_degrees, found.num_problems, found.compared_with) == (1, 4, ("subject Algebra",))
    assert [row.estimate for row in found.coefficients] == pytest.approx([1.45, -0.5, -0.3])
    assert (level.standard_error, geometry.standard_error) == (pytest.approx(0.1), pytest.approx(0.1))
    assert intercept.standard_error == pytest.approx(0.1 * sqrt(2.75))
    assert (level.t, geometry.t) == (pytest.approx(-5), pytest.approx(-3))
    assert level.p == pytest.approx(1 - 2 * np.arctan(5) / np.pi)
    assert geometry.p == pytest.approx(1 - 2 * np.arctan(3) / np.pi)
    reach = 0.1 * np.tan(0.95 * np.pi / 2)  # the 97.5 % quantile of t with one degree of freedom
    assert (level.low, level.high) == (pytest.approx(-0.5 - reach), pytest.approx(-0.5 + reach))
    assert found.r_squared == pytest.approx(1 - 0.01 / 0.35)


def test_against_numpy():
    """Coefficients by numpy's least squares, errors from the inverse of X'X, on an unbalanced design."""
    rng = np.random.default_rng(0)
    levels, subjects = rng.integers(1, 6, size=60), rng.integers(0, 3, size=60)
    num_correct = rng.integers(0, 21, size=60)
    found = fitted([f"Level {level}" for level in levels], [f"S{subject}" for subject in subjects], num_correct)
    design = np.stack([np.ones(60), levels, subjects == 1, subjects == 2], axis=1).astype(float)
    accuracy = num_correct / 20
    estimates, (squares,), *_ = np.linalg.lstsq(design, accuracy, rcond=None)
    errors = np.sqrt(squares / 56 * np.diag(np.linalg.inv(design.T @ design)))
    assert [row.estimate for row in found.coefficients] == pytest.approx(estimates)
    assert [row.standard_error for row in found.coefficients] == pytest.approx(errors)
    assert [row.t for row in found.coefficients] == pytest.approx(estimates / errors)
    assert found.residual_degrees == 56


def test_levels_that_are_no_numbers_are_effects():
    found = fitted(["easy", "hard", "hard", "easy", "?", "?"], ["A", "B"] * 3, [9, 2, 3, 8, 5, 6])
    assert [row.name for row in found.coefficients] == ["intercept", "level easy", "level hard", "subject B"]
    assert found.compared_with == ("level ?", "subject A")


@pytest.mark.parametrize(
    ("levels", "subjects", "num_correct", "message"),
    [
        (["1", "2", "3"], ["A", "A", "B"], [1, 2, 4], "3 problems for 3 coefficients: too few"),
        (["5"] * 4, ["A", "B"] * 2, [1, 2, 3, 5], "cannot be told apart"),
        (["1", "2"] * 2, ["A", "B"] * 2, [1, 2, 3, 5], "cannot be told apart"),
        (["1", "2", "3", "1"], ["A", "A", "B", "B"], [0] * 4, "the same accuracy on every problem"),
    ],
)
def test_what_cannot_be_fitted(levels, subjects, num_correct, message):
    with pytest.raises(MissingData, match=message):
        fitted(levels, subjects, num_correct)


def test_missing_fields_are_named():
    with pytest.raises(MissingData, match=r"base\.jsonl has no field subject to fit"):
        least_squares(run("base", "ab", [1, 2], groups={"level": ["1", "2"]}))
    with pytest.raises(MissingData, match="no field level and no field subject"):
        least_squares(run("base", "ab", [1, 2]))


def test_statsmodels_is_loaded_where_it_is_used_and_not_before():
    code = "import sys, verl_ext.analysis.least_squares, verl_ext.report.study_numbers; assert 'statsmodels' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
