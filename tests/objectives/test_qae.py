"""QAE: a case by hand, the definition by sorting rewards, and the two regimes."""

from math import sqrt

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.objectives.grouped import advantages_of
from verl_ext.objectives.qae import NAME, qae_advantages

OUTCOMES = st.lists(st.booleans(), min_size=1, max_size=12)
PERCENTS = st.integers(1, 99)


def test_worked_example():
    """K = 0.4, so the threshold is 0.6. One of four correct is hard, three of four easy; std = sqrt(1/4)."""
    hard, easy = advantages_of(NAME, [1, 0, 0, 0]), advantages_of(NAME, [1, 1, 1, 0])
    torch.testing.assert_close(hard, torch.tensor([2.0, 0, 0, 0], dtype=torch.float64), rtol=3e-6, atol=0)
    torch.testing.assert_close(easy, torch.tensor([0, 0, 0, -2.0], dtype=torch.float64), rtol=3e-6, atol=0)


@given(outcomes=OUTCOMES, percent=PERCENTS)
def test_it_is_the_definition(outcomes, percent):
    """The smallest reward that at least a share K of all rewards does not exceed, taken off, and torch's deviation."""
    rewards_N = torch.tensor(outcomes, dtype=torch.float64)
    n = len(outcomes)
    baseline = min(x for x in outcomes if 100 * sum(r <= x for r in outcomes) >= percent * n)
    std = rewards_N.std() if n > 1 else torch.tensor(0.0, dtype=torch.float64)
    expected_N = (rewards_N - float(baseline)) / (std + 1e-6)
    actual_N = advantages_of(NAME, outcomes, qae_quantile=percent / 100)
    torch.testing.assert_close(actual_N, expected_N, rtol=1e-9, atol=1e-9)


@given(outcomes=OUTCOMES, percent=PERCENTS)
def test_only_one_sign_has_an_advantage(outcomes, percent):
    """Correct responses up to an accuracy of 1 - K, as the abstract has it, wrong ones above."""
    n, c = len(outcomes), sum(outcomes)
    advantages = qae_advantages(n, c, percent / 100)
    is_hard = 100 * c <= (100 - percent) * n
    assert advantages.correct >= 0 >= advantages.incorrect
    assert (advantages.correct > 0) == (0 < c < n and is_hard)
    assert (advantages.incorrect < 0) == (0 < c < n and not is_hard)


@pytest.mark.parametrize(("num_samples", "num_correct"), [(1, 0), (1, 1), (2, 0), (2, 2), (8, 0), (8, 8)])
def test_equal_rewards_teach_nothing(num_samples, num_correct):
    assert qae_advantages(num_samples, num_correct, 0.4) == (0, 0)


@pytest.mark.parametrize(("quantile", "num_samples", "num_correct"), [(0.9, 10, 1), (0.28, 25, 18), (0.4, 5, 3)])
def test_the_threshold_itself_is_hard_in_spite_of_rounding(quantile, num_samples, num_correct):
    assert qae_advantages(num_samples, num_correct, quantile).correct > 0
    assert qae_advantages(num_samples, num_correct + 1, quantile).correct == 0


def test_without_the_standard_deviation():
    advantages_N = advantages_of(NAME, [1, 1, 1, 0], norm_adv_by_std_in_grpo=False)
    assert advantages_N.tolist() == [0, 0, 0, -1]


@pytest.mark.parametrize("num_samples", [16, 1024])
def test_rare_outcomes_weigh_most(num_samples):
    """One over the deviation: about sqrt(n) for a response that is alone with its outcome."""
    only_correct, only_wrong = qae_advantages(num_samples, 1, 0.4), qae_advantages(num_samples, num_samples - 1, 0.4)
    assert only_correct.correct == pytest.approx(sqrt(num_samples), rel=1e-3)
    assert only_wrong.incorrect == pytest.approx(-sqrt(num_samples), rel=1e-3)
