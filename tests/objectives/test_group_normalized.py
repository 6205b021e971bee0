"""Signed objectives with rewards normalized in their group: the halves of GRPO, each with its weight."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.objectives.grouped import GROUPS, advantages_of, batch_of
from tests.training.stand_in import rows_of, step_of, trainer_with
from verl_ext.objectives.algorithm_options import AlgorithmOptions
from verl_ext.objectives.catalog import check_objective
from verl_ext.objectives.estimators import ESTIMATORS
from verl_ext.objectives.weight_curve import weight_curve

GROUP = st.lists(st.booleans(), min_size=1, max_size=8)
ON = {"group_normalize": True}


def test_worked_example():
    """One of two: mean 1/2, deviation 1/2."""
    assert advantages_of("psr", [1, 0], **ON).tolist() == [1.0, 0.0]
    assert advantages_of("nsr", [1, 0], **ON).tolist() == [0.0, -1.0]
    assert advantages_of("w_reinforce", [1, 0], **ON).tolist() == [0.1, -1.0]


@given(group=GROUP)
def test_the_halves_add_up_to_grpo(group):
    grpo_N = advantages_of("pass_at_k_training", group, pass_at_k=1)
    halves_N = advantages_of("psr", group, **ON) + advantages_of("nsr", group, **ON)
    torch.testing.assert_close(halves_N, grpo_N)
    torch.testing.assert_close(advantages_of("reinforce", group, **ON), grpo_N)


@given(groups=GROUPS)
def test_each_prompt_is_normalized_by_itself(groups):
    rewards_BT, mask_BT, prompts = batch_of(groups)
    advantages_BT, _ = ESTIMATORS["w_reinforce"](rewards_BT, mask_BT, config=ON, index=prompts)
    apart = torch.cat([advantages_of("w_reinforce", group, **ON) for group in groups])
    torch.testing.assert_close(advantages_BT[:, 0], apart)


@pytest.mark.parametrize("outcome", [0, 1])
@pytest.mark.parametrize("name", ["psr", "nsr", "reinforce"])
def test_a_group_of_one_outcome_teaches_nothing(name, outcome):
    """Which is what a filter of one sign leaves, had it come before."""
    assert advantages_of(name, [outcome] * 5, **ON).tolist() == [0.0] * 5


def test_the_filter_leaves_the_groups_whole_that_still_count(monkeypatch):
    """verl computes the advantages again on what is left: a group without its other sign would be normalized to 0."""
    trainer = trainer_with("algorithm.adv_estimator=nsr", "algorithm.group_normalize=True")
    kept = trainer._filter(step_of(monkeypatch, rows_of([[1, 0, 0, 1], [0, 0, 0, 0], [1, 1, 1, 1]])), {}).keys
    assert kept == ["p0_0_0", "p0_1_0", "p0_2_0", "p0_3_0"]


def test_its_weights_over_the_accuracy():
    curve = weight_curve(AlgorithmOptions.read({"adv_estimator": "nsr", **ON}), 4)
    assert curve.positive[1:] == [0.0] * 4
    assert curve.negative[:-1] == pytest.approx([0.0, 1 / 3**0.5, 1.0, 3**0.5])


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"adv_estimator": "grpo"}, "algorithm.adv_estimator=grpo has a rule of its own"),
        ({"adv_estimator": "maxrl"}, "algorithm.adv_estimator=maxrl has a rule of its own"),
        (
            {"adv_estimator": "nsr", "noisy_grader": {"false_negative_rate": 0.1, "correction": "forward"}},
            "correction=forward adds a constant to every advantage",
        ),
    ],
)
def test_where_it_is_refused(section, message):
    with pytest.raises(ValueError, match=message):
        check_objective(AlgorithmOptions.read(section | ON))
