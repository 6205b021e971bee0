"""The curves say what the estimators do."""

from math import isnan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.objectives.grouped import UNDER_TEST, advantages_of
from verl_ext.objectives.algorithm_options import AlgorithmOptions
from verl_ext.objectives.weight_curve import weight_curve

SIGNED = [("psr", {}), ("nsr", {}), ("w_reinforce", {}), ("reinforce", {}), ("asymre", {"asymre_baseline": 0.3})]


@pytest.mark.parametrize(("name", "config"), [*SIGNED, *UNDER_TEST])
@given(num_samples=st.integers(4, 9))
def test_a_curve_is_what_the_estimator_gives(name, config, num_samples):
    curve = weight_curve(AlgorithmOptions.read(config, adv_estimator=name), num_samples)
    assert curve.name == name
    assert curve.accuracy == [c / num_samples for c in range(num_samples + 1)]
    for c in range(num_samples + 1):
        advantages = advantages_of(name, [1] * c + [0] * (num_samples - c), **config).tolist()
        assert isnan(curve.positive[c]) if c == 0 else curve.positive[c] == pytest.approx(advantages[0])
        assert isnan(curve.negative[c]) if c == num_samples else curve.negative[c] == pytest.approx(-advantages[-1])
        assert curve.trained[c] == sum(advantage != 0 for advantage in advantages) / num_samples


def test_worked_example():
    """QAE on groups of four: PSR up to an accuracy of 0.6, NSR above."""
    curve = weight_curve(AlgorithmOptions.read({}, adv_estimator="qae"), 4, name="QAE")
    assert curve.name == "QAE"
    assert curve.trained == [0, 0.25, 0.5, 0.25, 0]
    assert curve.positive[3:] == [0, 0]
    assert curve.negative[:3] == [0, 0, 0]


@pytest.mark.parametrize(("name", "message"), [("gae", "is no formula"), ("pkpo", "needs algorithm.pass_at_k")])
def test_what_has_no_curve_is_refused(name, message):
    with pytest.raises(ValueError, match=message):
        weight_curve(AlgorithmOptions.read({}, adv_estimator=name), 4)
