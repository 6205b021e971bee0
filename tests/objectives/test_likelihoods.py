"""What objectives that weigh responses by their likelihood have in common, by their estimators."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.objectives.likely import GROUPS, LIKELIHOODS, advantages_of, batch_of
from verl_ext.objectives.algorithm_options import AlgorithmOptions
from verl_ext.objectives.catalog import OBJECTIVES, ROWS, check_objective
from verl_ext.objectives.estimators import ESTIMATORS
from verl_ext.objectives.likelihoods import GradedResponse
from verl_ext.objectives.weight_curve import weight_curve

EACH = pytest.mark.parametrize("name", LIKELIHOODS)
GROUP = [
    GradedResponse(True, -2.0, 4),
    GradedResponse(True, -6.0, 3),
    GradedResponse(False, -0.5, 5),
    GradedResponse(False, -9.0, 6),
]


def test_they_are_the_rows_that_read_likelihoods():
    assert tuple(row.name for row in ROWS if row.reads_likelihoods) == LIKELIHOODS


@EACH
@given(groups=st.lists(GROUPS, min_size=1, max_size=4), order=st.randoms(use_true_random=False))
def test_the_estimator_is_the_formula_of_each_prompt(name, groups, order):
    """In any order of the batch; padded places, which hold NaN here, have no part in it."""
    formula = OBJECTIVES[name].formula.formula_under(AlgorithmOptions.read({}, adv_estimator=name))
    expected_B = torch.tensor([each for group in groups for each in formula(group)], dtype=torch.float64)
    batch = batch_of(groups)
    rows = list(range(len(expected_B)))
    order.shuffle(rows)
    shuffled = {key: value[rows] for key, value in batch.items() if key != "index"}
    actual_BT, _ = ESTIMATORS[name](**shuffled, index=[batch["index"][row] for row in rows], config={})
    torch.testing.assert_close(
        actual_BT, expected_B[rows].unsqueeze(-1) * shuffled["response_mask"], rtol=1e-7, atol=1e-9
    )


@EACH
def test_no_gradient_goes_through_a_likelihood(name):
    batch = batch_of([GROUP])
    batch["rollout_log_probs"].requires_grad_()
    assert not ESTIMATORS[name](**batch, config={})[0].requires_grad


@EACH
def test_a_response_without_a_token_is_no_part_of_its_group(name):
    """verl's padding, and what rollout correction rejects."""
    batch = batch_of([[*GROUP, GROUP[0]._replace(is_correct=False)]])
    batch["response_mask"][-1] = 0
    advantages_BT, _ = ESTIMATORS[name](**batch, config={})
    torch.testing.assert_close(advantages_BT[:-1, 0], advantages_of(name, GROUP))
    assert not advantages_BT[-1].any()


@EACH
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rollout_log_probs": None}, "no rollout_log_probs. Set actor_rollout_ref.rollout.calculate_log_probs=True"),
        ({"index": None}, "compares the responses to one prompt: pass index"),
        ({"rollout_log_probs": torch.full((4, 1), torch.nan)}, r"at row 0 .prompt p0. add up to nan"),
        ({"token_level_rewards": torch.full((4, 1), 0.5)}, "needs rewards of 0, 1 or -1, got 0.5"),
    ],
)
def test_each_refusal_says_what_to_do(name, changes, message):
    batch = batch_of([[each._replace(log_prob=each.mean_log_prob, num_tokens=1) for each in GROUP]])
    with pytest.raises(ValueError, match=message):
        ESTIMATORS[name](**batch | changes, config={})


@EACH
@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"use_kl_in_reward": True}, "reads right or wrong from the reward"),
        ({"group_normalize": True}, "has a rule of its own for a prompt's responses"),
        (
            {"noisy_grader": {"correction": "forward", "assumed_false_negative_rate": 0.1}},
            "has no such two: (it weighs each wrong|where responses are compared)",
        ),
        ({"asymre_baseline": 0.5}, "does not read it"),
    ],
)
def test_what_does_not_go_together_is_refused_by_name(name, section, message):
    with pytest.raises(ValueError, match=message):
        check_objective(AlgorithmOptions.read(section, adv_estimator=name))


@pytest.mark.parametrize("option", ["cw_nsr_floor", "lens_alpha", "unlikeliness_beta"])
@pytest.mark.parametrize("value", [-0.1, 1.5, True, None, float("nan"), "0.1"])
def test_shares_are_numbers_from_0_to_1(option, value):
    with pytest.raises(
        ValueError, match=f"algorithm.{option} must be a number from 0 to 1, got {value}. Its authors use"
    ):
        AlgorithmOptions.read({option: value}, adv_estimator="lens")


@EACH
def test_the_curve_lies_in_its_range(name):
    """Only what the likelihood moves has a range that is wider than a point."""
    curve = weight_curve(AlgorithmOptions.read({}, adv_estimator=name), 6)
    widths = {}
    for sign, means, (low, high) in (
        (True, curve.positive, curve.positive_range),
        (False, curve.negative, curve.negative_range),
    ):
        inside = slice(1, -1)
        triples = list(zip(low[inside], means[inside], high[inside], strict=True))
        assert all(least - 1e-12 <= mean <= most + 1e-12 for least, mean, most in triples)
        widths[sign] = max(most - least for least, _, most in triples)
    assert widths[name == "unlikeliness"] > 0.01
    assert curve.trained[-1] == 0


def test_a_curve_without_likelihoods_has_no_range():
    assert weight_curve(AlgorithmOptions.read({}, adv_estimator="nsr"), 4).negative_range is None
