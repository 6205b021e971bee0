"""RS-GRPO: a case by hand, the formula on rewards, sums, and what it tends to for small and large beta."""

from math import e, exp, log

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.objectives.grouped import advantages_of
from verl_ext.objectives.maxrl import maxrl_advantages
from verl_ext.objectives.rs_grpo import NAME, rs_grpo_advantages

OUTCOMES = st.lists(st.booleans(), min_size=1, max_size=12)
BETAS = st.floats(1e-3, 30)


def test_worked_example():
    """beta = log 3 and one of two correct: the mean of 3 and 1 is 2, so (3/2 - 1) / log 3 and (1/2 - 1) / log 3."""
    expected_N = torch.tensor([0.5, -0.5], dtype=torch.float64) / log(3)
    torch.testing.assert_close(advantages_of(NAME, [1, 0], rs_grpo_beta=log(3)), expected_N)


def test_beta_defaults_to_the_authors():
    assert advantages_of(NAME, [1, 0])[0].item() == pytest.approx((e**2 / ((e**2 + 1) / 2) - 1) / 2)


@given(outcomes=OUTCOMES, beta=BETAS)
def test_it_is_the_formula(outcomes, beta):
    rewards_N = torch.tensor(outcomes, dtype=torch.float64)
    powers_N = (beta * rewards_N).exp()
    expected_N = (powers_N / powers_N.mean() - 1) / beta
    torch.testing.assert_close(advantages_of(NAME, outcomes, rs_grpo_beta=beta), expected_N, rtol=1e-7, atol=1e-10)


@given(outcomes=OUTCOMES, beta=BETAS)
def test_it_is_the_authors_way_of_computing_it(outcomes, beta):
    """Their code takes the soft maximum off the reward first: (exp(beta (r - log mean exp(beta r) / beta)) - 1) / beta."""
    rewards_N = torch.tensor(outcomes, dtype=torch.float64)
    soft = (torch.logsumexp(beta * rewards_N, 0) - log(len(outcomes))) / beta
    expected_N = ((beta * (rewards_N - soft)).exp() - 1) / beta
    torch.testing.assert_close(advantages_of(NAME, outcomes, rs_grpo_beta=beta), expected_N, rtol=1e-7, atol=1e-10)


@given(outcomes=OUTCOMES, beta=BETAS)
def test_sums_and_signs(outcomes, beta):
    n, c = len(outcomes), sum(outcomes)
    assert float(advantages_of(NAME, outcomes, rs_grpo_beta=beta).sum()) == pytest.approx(0, abs=1e-9)
    advantages = rs_grpo_advantages(n, c, beta)
    is_mixed = 0 < c < n
    assert (advantages.correct > 0, advantages.incorrect < 0) == (is_mixed, is_mixed)


@given(num_samples=st.integers(2, 64), data=st.data())
def test_a_small_beta_is_the_reward_less_its_mean(num_samples, data):
    c = data.draw(st.integers(1, num_samples - 1))
    p = c / num_samples
    assert rs_grpo_advantages(num_samples, c, 1e-9) == pytest.approx((1 - p, -p), rel=1e-6)


@given(num_samples=st.integers(2, 64), data=st.data(), beta=st.floats(60, 1e6))
def test_beta_times_a_large_beta_is_maxrl(num_samples, data, beta):
    c = data.draw(st.integers(1, num_samples - 1))
    scaled = [beta * advantage for advantage in rs_grpo_advantages(num_samples, c, beta)]
    assert scaled == pytest.approx(maxrl_advantages(num_samples, c), rel=1e-9)


@pytest.mark.parametrize("beta", [0.5, 2.0, 8.0])
def test_a_rare_correct_response_weighs_most(beta):
    weights = [rs_grpo_advantages(64, c, beta).correct for c in range(1, 64)]
    assert weights == sorted(weights, reverse=True)
    assert weights[0] == pytest.approx((exp(beta) / (1 + (exp(beta) - 1) / 64) - 1) / beta)
