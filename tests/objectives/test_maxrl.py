"""MaxRL: a case by hand, the formula on rewards, sums and limits."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.objectives.grouped import advantages_of
from verl_ext.objectives.maxrl import NAME, maxrl_advantages

OUTCOMES = st.lists(st.booleans(), min_size=1, max_size=12)


def test_worked_example():
    """p = 1/4: (1 - 1/4) / (1/4) = 3 and (0 - 1/4) / (1/4) = -1."""
    assert advantages_of(NAME, [0, 1, 0, 0]).tolist() == [-1, 3, -1, -1]


@given(outcomes=OUTCOMES)
def test_it_is_the_formula(outcomes):
    rewards_N = torch.tensor(outcomes, dtype=torch.float64)
    mean = rewards_N.mean()
    expected_N = (rewards_N - mean) / mean if mean > 0 else torch.zeros_like(rewards_N)
    torch.testing.assert_close(advantages_of(NAME, outcomes), expected_N, rtol=1e-12, atol=1e-12)


@given(outcomes=OUTCOMES)
def test_the_advantages_of_a_prompt_sum_to_zero(outcomes):
    assert float(advantages_of(NAME, outcomes).sum()) == pytest.approx(0, abs=1e-9)


@given(outcomes=OUTCOMES)
def test_without_its_baseline_it_is_the_mean_over_correct_responses(outcomes):
    """A + 1 is r / p: n / c for correct responses and 0 for wrong ones, the gradient of log p."""
    n, c = len(outcomes), sum(outcomes)
    if 0 < c < n:
        advantages_N = advantages_of(NAME, outcomes)
        expected_N = torch.tensor([n / c if correct else 0.0 for correct in outcomes], dtype=torch.float64)
        torch.testing.assert_close(advantages_N + 1, expected_N)


@pytest.mark.parametrize("num_samples", [1, 2, 8, 64])
def test_limits(num_samples):
    assert maxrl_advantages(num_samples, 0) == maxrl_advantages(num_samples, num_samples) == (0, 0)
    if num_samples > 1:
        assert maxrl_advantages(num_samples, 1) == (num_samples - 1, -1)
        assert maxrl_advantages(num_samples, num_samples - 1) == (1 / (num_samples - 1), -1)
