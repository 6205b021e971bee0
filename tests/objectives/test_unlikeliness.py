"""Unlikeliness reward: a case by hand, the authors' way of computing it, sums, order, and that it is GRPO without ranks."""

from math import sqrt

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.objectives.likely import GROUPS, LOG_PROBS, advantages_of, alike, grpo_of
from verl_ext.objectives.likelihoods import GradedResponse, is_mixed
from verl_ext.objectives.unlikeliness import NAME, ranks_by_likelihood, unlikeliness_advantages


def test_worked_example():
    """The likelier of two correct ones has one response below it, of three: r = 1 - 0.3/3, 1 and 0, without the deviation."""
    group = [GradedResponse(True, -2.0, 4), GradedResponse(True, -9.0, 6), GradedResponse(False, -0.4, 2)]
    expected_N = torch.tensor([0.9, 1.0, 0.0], dtype=torch.float64) - 1.9 / 3
    options = {"unlikeliness_beta": 0.3, "norm_adv_by_std_in_grpo": False}
    torch.testing.assert_close(advantages_of(NAME, group, **options), expected_N)
    deviation = sqrt(float((expected_N**2).sum()) / 2)
    torch.testing.assert_close(advantages_of(NAME, group, unlikeliness_beta=0.3), expected_N / (deviation + 1e-6))


def test_beta_defaults_to_the_authors():
    group = [GradedResponse(True, -1.0, 1), GradedResponse(False, -2.0, 1)]
    assert advantages_of(NAME, group, norm_adv_by_std_in_grpo=False)[0].item() == pytest.approx((1 - 0.25 / 2) / 2)


@given(group=GROUPS, beta=st.floats(0, 1))
def test_it_is_the_authors_way_of_computing_it(group, beta):
    """Their code sorts twice for the ranks, scales the rewards, and normalizes by torch's deviation; no two are as likely."""
    means_N = torch.tensor([response.mean_log_prob for response in group], dtype=torch.float64)
    assume(is_mixed(group) and len(means_N.unique()) == len(group))
    rewards_N = torch.tensor([response.is_correct for response in group], dtype=torch.float64)
    rewards_N *= 1 - beta * means_N.argsort().argsort().double() / len(group)
    expected_N = (rewards_N - rewards_N.mean()) / (rewards_N.std() + 1e-6)
    torch.testing.assert_close(advantages_of(NAME, group, unlikeliness_beta=beta), expected_N, rtol=1e-6, atol=1e-9)


@given(group=GROUPS)
def test_ranks_count_the_less_likely(group):
    """And of equals, which share the mean of their places, a half; so the sum is that of 0 to n - 1."""
    means = [response.mean_log_prob for response in group]
    expected = [sum(other < own for other in means) + (sum(other == own for other in means) - 1) / 2 for own in means]
    assert ranks_by_likelihood(group) == expected
    assert sum(expected) == len(group) * (len(group) - 1) / 2


@given(outcomes=st.lists(st.booleans(), min_size=2, max_size=10), log_prob=LOG_PROBS, beta=st.floats(0, 1))
def test_equally_likely_responses_get_grpo(outcomes, log_prob, beta):
    advantages_N = advantages_of(NAME, alike(outcomes, log_prob), unlikeliness_beta=beta)
    torch.testing.assert_close(advantages_N, grpo_of(outcomes), rtol=1e-4, atol=1e-7)


@given(group=GROUPS, by_deviation=st.booleans())
def test_without_beta_it_is_grpo(group, by_deviation):
    assume(len(group) > 1)
    advantages_N = advantages_of(NAME, group, unlikeliness_beta=0, norm_adv_by_std_in_grpo=by_deviation)
    grpo_N = grpo_of([response.is_correct for response in group], by_deviation=by_deviation)
    torch.testing.assert_close(advantages_N, grpo_N, rtol=1e-6, atol=1e-9)


@given(group=GROUPS, beta=st.floats(0, 1))
def test_sums_signs_and_order(group, beta):
    advantages = unlikeliness_advantages(group, beta)
    assert sum(advantages) == pytest.approx(0, abs=1e-9)
    if not is_mixed(group):
        assert advantages == [0] * len(group)
        return
    assert all(each < 0 for each, response in zip(advantages, group, strict=True) if not response.is_correct)
    correct = sorted((r.mean_log_prob, -a) for r, a in zip(group, advantages, strict=True) if r.is_correct)
    losses = [loss for _, loss in correct]
    assert losses == pytest.approx(sorted(losses), abs=1e-12)
