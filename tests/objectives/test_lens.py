"""LENS: cases by hand, the paper's formula, sums and signs, and that it is GRPO for equally likely responses."""

from math import exp, log

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.objectives.likely import GROUPS, LOG_PROBS, advantages_of, alike, grpo_of
from verl_ext.objectives.lens import NAME, calibrated_rewards, lens_advantages
from verl_ext.objectives.likelihoods import GradedResponse, is_mixed

WRONG = [GradedResponse(False, 2 * log(1 / 2), 2), GradedResponse(False, 2 * log(1 / 4), 2)]


def test_a_group_of_wrong_responses_by_hand():
    """q = 1/2 and 1/4, D = 2 x 1/2, so q / (D - q) = 1 and 1/3, r = -1/2 and -1/6, mean -1/3; a quarter of the rest."""
    assert calibrated_rewards(WRONG) == pytest.approx([-1 / 2, -1 / 6])
    expected_N = torch.tensor([-1 / 24, 1 / 24], dtype=torch.float64)
    torch.testing.assert_close(advantages_of(NAME, WRONG), expected_N)


def test_the_importance_estimate_by_hand():
    """A correct response of probability 1/2 among two: D_imp = 2 x 1/2 is no more than 2 max q = 1; among four it is 2."""
    correct = GradedResponse(True, log(1 / 2), 1)
    assert calibrated_rewards([correct, WRONG[0]]) == pytest.approx([1, -1 / 2])
    assert calibrated_rewards([correct, WRONG[0], WRONG[0], WRONG[1]]) == pytest.approx([1, -1 / 12, -1 / 12, -1 / 28])


def by_the_paper(group: list[GradedResponse]) -> list[float]:
    """Section 5.1 as it is written, with probabilities."""
    n = len(group)
    confidences = [exp(response.log_prob / response.num_tokens) for response in group]
    inverse = sum(response.is_correct / exp(response.log_prob) for response in group) / n
    difficulty = max(1 / inverse if inverse else 0.0, 2 * max(confidences))
    return [
        response.is_correct - (1 - response.is_correct) * confidence / (difficulty - confidence) / n
        for response, confidence in zip(group, confidences, strict=True)
    ]


@given(group=GROUPS)
def test_rewards_are_the_papers(group):
    rewards = calibrated_rewards(group)
    assert rewards == pytest.approx(by_the_paper(group), rel=1e-9)
    assert all(
        reward == 1 if r.is_correct else -1 / len(group) <= reward < 0 for reward, r in zip(rewards, group, strict=True)
    )


@given(group=GROUPS, by_deviation=st.booleans())
def test_a_mixed_group_is_grpo_on_these_rewards(group, by_deviation):
    assume(is_mixed(group))
    rewards_N = torch.tensor(calibrated_rewards(group), dtype=torch.float64)
    expected_N = grpo_of(rewards_N.tolist(), by_deviation=by_deviation)
    advantages_N = advantages_of(NAME, group, norm_adv_by_std_in_grpo=by_deviation)
    torch.testing.assert_close(advantages_N, expected_N, rtol=1e-6, atol=1e-9)


@given(group=GROUPS, alpha=st.floats(0, 1))
def test_sums_and_signs(group, alpha):
    advantages = lens_advantages(group, alpha)
    assert sum(advantages) == pytest.approx(0, abs=1e-9)
    if is_mixed(group):
        assert all((each > 0) == response.is_correct and each for each, response in zip(advantages, group, strict=True))
    elif group[0].is_correct:
        assert advantages == [0] * len(group)


@given(group=GROUPS)
def test_the_more_likely_a_wrong_response_the_less_it_gets(group):
    advantages = lens_advantages(group, 1.0)
    wrong = sorted((r.mean_log_prob, -a) for r, a in zip(group, advantages, strict=True) if not r.is_correct)
    losses = [loss for _, loss in wrong]
    assert losses == pytest.approx(sorted(losses), abs=1e-12)


@given(outcomes=st.lists(st.booleans(), min_size=2, max_size=10), log_prob=LOG_PROBS, by_deviation=st.booleans())
def test_equally_likely_responses_get_grpo(outcomes, log_prob, by_deviation):
    """With the deviation, which takes the scale of the rewards away; without it in proportion."""
    advantages_N = advantages_of(NAME, alike(outcomes, log_prob), norm_adv_by_std_in_grpo=by_deviation)
    grpo_N = grpo_of(outcomes, by_deviation=by_deviation)
    if by_deviation:
        torch.testing.assert_close(advantages_N, grpo_N, rtol=1e-5, atol=1e-7)
    else:
        scale = 1 + 1 / len(outcomes) if 0 < sum(outcomes) < len(outcomes) else 1
        assert bool((advantages_N.abs() <= grpo_N.abs() * scale + 1e-9).all())


@given(group=GROUPS, alpha=st.floats(0, 1))
def test_alpha_is_the_weight_of_all_wrong_groups_alone(group, alpha):
    expected = lens_advantages(group, 1.0)
    if not any(response.is_correct for response in group):
        expected = [alpha * each for each in expected]
    assert lens_advantages(group, alpha) == pytest.approx(expected)


def test_no_probability_underflows():
    group = [GradedResponse(True, -1e6, 1000), GradedResponse(False, -9e5, 1000), GradedResponse(False, -1e6, 1000)]
    assert calibrated_rewards(group) == pytest.approx([1, -1 / 3, -exp(-100) / 2 / 3])
