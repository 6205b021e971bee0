"""AsymRE: its ends are PSR and NSR to the bit, between them it is the reward less a constant."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.objectives.grouped import advantages_of, batch_of
from verl_ext.objectives.algorithm_options import AlgorithmOptions
from verl_ext.objectives.asymre import NAME
from verl_ext.objectives.catalog import drops_zero_advantage
from verl_ext.objectives.estimators import ESTIMATORS
from verl_ext.training.checks.algorithm import check_estimator
from verl_ext.training.configuration import compose_config

OUTCOMES = st.lists(st.booleans(), min_size=1, max_size=8)
BASELINES = st.floats(0, 1)


def test_worked_example():
    expected_N = torch.tensor([0.7, -0.3, 0.7], dtype=torch.float64)
    torch.testing.assert_close(advantages_of(NAME, [1, 0, 1], asymre_baseline=0.3), expected_N)


@pytest.mark.parametrize(("baseline", "twin"), [(0, "psr"), (0.0, "psr"), (1, "nsr"), (1.0, "nsr")])
@given(outcomes=OUTCOMES)
def test_its_ends(baseline, twin, outcomes):
    assert torch.equal(advantages_of(NAME, outcomes, asymre_baseline=baseline), advantages_of(twin, outcomes))


@given(outcomes=OUTCOMES)
def test_the_middle_is_half_of_reinforce(outcomes):
    assert torch.equal(2 * advantages_of(NAME, outcomes, asymre_baseline=0.5), advantages_of("reinforce", outcomes))


@given(outcomes=OUTCOMES, baseline=BASELINES)
def test_it_is_the_formula(outcomes, baseline):
    expected_N = torch.tensor(outcomes, dtype=torch.float64) - baseline
    torch.testing.assert_close(advantages_of(NAME, outcomes, asymre_baseline=baseline), expected_N)


def test_it_needs_no_prompts_and_compares_none():
    rewards_BT, mask_BT, _ = batch_of([[1, 0]])
    advantages_BT, _ = ESTIMATORS[NAME](rewards_BT, mask_BT, config={"asymre_baseline": 0.25})
    assert advantages_BT[:, 0].tolist() == [0.75, -0.25]


@pytest.mark.parametrize("baseline", [0.0, 0.3, 1.0])
def test_the_filter_is_off(baseline):
    assert not drops_zero_advantage(AlgorithmOptions.read({"adv_estimator": NAME, "asymre_baseline": baseline}))


def check(*overrides):
    check_estimator(compose_config(list(overrides), device="cpu"))


def test_the_launcher_wants_a_baseline_and_wants_it_read():
    check(f"algorithm.adv_estimator={NAME}", "algorithm.asymre_baseline=0.3")
    with pytest.raises(ValueError, match="adv_estimator=asymre needs algorithm.asymre_baseline"):
        check(f"algorithm.adv_estimator={NAME}")
    for other in ("nsr", "grpo"):
        with pytest.raises(ValueError, match=f"is for asymre; algorithm.adv_estimator={other} does not read it"):
            check(f"algorithm.adv_estimator={other}", "algorithm.asymre_baseline=0.3")
