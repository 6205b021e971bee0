"""CW-NSR: a case by hand, its author's way of computing it, its limits, and that it is NSR for certain responses."""

from math import log

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.objectives.likely import GROUPS, LOG_PROBS, advantages_of, alike
from verl_ext.objectives.cw_nsr import NAME, cw_nsr_advantages
from verl_ext.objectives.likelihoods import GradedResponse
from verl_ext.objectives.objective import SignWeights
from verl_ext.objectives.signed import signed_advantages


def test_worked_example():
    """Tokens of probability 1/2 each; 1/8 over three tokens is 1/2 too; 1/100 is below the floor; a correct one has nothing."""
    group = [
        GradedResponse(False, 2 * log(1 / 2), 2),
        GradedResponse(False, log(1 / 8), 3),
        GradedResponse(False, log(1 / 100), 1),
        GradedResponse(True, log(1 / 2), 1),
    ]
    expected_N = torch.tensor([-0.5, -0.5, -0.05, 0.0], dtype=torch.float64)
    torch.testing.assert_close(advantages_of(NAME, group), expected_N)


@given(group=GROUPS, floor=st.floats(0, 1))
def test_it_is_the_authors_way_of_computing_it(group, floor):
    """Their loss of a wrong response is NSR's times the confidence, kept between the floor and 1."""
    means_N = torch.tensor([response.mean_log_prob for response in group], dtype=torch.float64)
    nsr_N = -torch.tensor([not response.is_correct for response in group], dtype=torch.float64)
    expected_N = nsr_N * means_N.exp().clip(floor, 1.0)
    torch.testing.assert_close(advantages_of(NAME, group, cw_nsr_floor=floor), expected_N)


@given(outcomes=st.lists(st.booleans(), min_size=1, max_size=8), log_prob=LOG_PROBS)
def test_equally_likely_responses_get_nsr_times_a_number(outcomes, log_prob):
    nsr_N = -(~torch.tensor(outcomes)).double()
    of_all_N = advantages_of(NAME, alike(outcomes, log_prob), cw_nsr_floor=0)
    torch.testing.assert_close(of_all_N, nsr_N * torch.tensor(log_prob, dtype=torch.float64).exp())


@given(outcomes=st.lists(st.booleans(), min_size=1, max_size=8))
def test_certain_responses_get_nsr(outcomes):
    nsr = signed_advantages(torch.tensor(outcomes), torch.ones(len(outcomes), 1), SignWeights(0.0, 1.0))
    torch.testing.assert_close(advantages_of(NAME, alike(outcomes, 0.0)), nsr[:, 0].double())
    torch.testing.assert_close(advantages_of(NAME, alike(outcomes, -3.0), cw_nsr_floor=1), nsr[:, 0].double())


@given(group=GROUPS, floor=st.floats(0.001, 1))
def test_signs_bounds_and_order(group, floor):
    advantages = cw_nsr_advantages(group, floor)
    assert all(each == 0 for each, response in zip(advantages, group, strict=True) if response.is_correct)
    wrong = sorted((r.mean_log_prob, -a) for r, a in zip(group, advantages, strict=True) if not r.is_correct)
    weights = [weight for _, weight in wrong]
    assert weights == sorted(weights)
    assert all(floor <= weight <= 1 for weight in weights)


def test_a_long_improbable_response_weighs_the_floor():
    assert cw_nsr_advantages([GradedResponse(False, -1e7, 100)], 0.05) == [pytest.approx(-0.05)]
