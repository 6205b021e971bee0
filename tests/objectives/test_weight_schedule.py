"""lambda over the steps: the values at each step, what is refused, and that a stock launch refuses it."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from verl_ext.objectives.algorithm_options import AlgorithmOptions
from verl_ext.objectives.catalog import check_weight_schedule
from verl_ext.objectives.estimators import ESTIMATORS
from verl_ext.objectives.weight_schedule import (
    END,
    SCHEDULE,
    SHAPES,
    STEPS,
    WEIGHT,
    WeightSchedule,
    held_at,
)

WEIGHTS = st.floats(0, 10, width=32)


def options(shape: str = "linear", **more: object) -> dict[str, object]:
    return {"adv_estimator": "w_reinforce", WEIGHT: 0.1, SCHEDULE: shape, END: 1.0, STEPS: 10} | more


def schedule_under(section: dict[str, object]) -> WeightSchedule | None:
    options = AlgorithmOptions.read(section)
    check_weight_schedule(options)
    return options.positive_advantage_weight_schedule


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ("linear", [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]),
        ("cosine", [0.0, (1 - 0.5**0.5) / 2, 0.5, (1 + 0.5**0.5) / 2, 1.0, 1.0]),
    ],
)
def test_worked_example(shape, expected):
    schedule = WeightSchedule(shape, start=0.0, end=1.0, num_steps=5)
    assert [schedule.weight_at(step, 100) for step in range(1, 7)] == pytest.approx(expected)


@given(
    shape=st.sampled_from(SHAPES), start=WEIGHTS, end=WEIGHTS, num_steps=st.integers(2, 300), step=st.integers(1, 400)
)
def test_it_stays_between_its_ends_and_never_turns_back(shape, start, end, num_steps, step):
    schedule = WeightSchedule(shape, start, end, num_steps)
    here, following = (schedule.weight_at(t, 1000) for t in (step, step + 1))
    low, high = min(start, end) - 1e-9, max(start, end) + 1e-9
    assert low <= here <= high
    assert (following - here) * (end - start) >= -1e-9
    assert schedule.weight_at(1, 1000) == pytest.approx(start)
    assert schedule.weight_at(num_steps, 1000) == end


def test_without_a_length_it_lasts_the_run():
    schedule = schedule_under(options(**{STEPS: None}))
    assert schedule is not None
    assert [schedule.weight_at(step, 4) for step in (1, 4)] == pytest.approx([0.1, 1.0])
    assert schedule.weight_at(1, 1) == 1.0


def test_no_schedule_by_default():
    assert schedule_under({"adv_estimator": "nsr"}) is None
    assert schedule_under({"adv_estimator": "w_reinforce", WEIGHT: 0.3, SCHEDULE: None, END: None}) is None


def test_the_papers_spelling_has_one_too():
    assert schedule_under(options("cosine", adv_estimator="psr_nsr", advantage="weighted")) == ("cosine", 0.1, 1.0, 10)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({SCHEDULE: "step"}, "_schedule must be null or one of linear, cosine, got step"),
        ({SCHEDULE: None}, f"{END}=1.0 needs algorithm.{SCHEDULE}: one of linear, cosine"),
        ({SCHEDULE: None, END: None}, f"{STEPS}=10 needs algorithm.{SCHEDULE}"),
        ({END: None}, f"linear needs algorithm.{END}, a number >= 0, got None"),
        ({END: -1}, "a number >= 0, got -1"),
        ({END: "low"}, "a number >= 0, got low"),
        ({STEPS: 1}, r"must be null \(the whole run\) or a whole number >= 2, got 1"),
        ({STEPS: 2.5}, "a whole number >= 2, got 2.5"),
        ({WEIGHT: -0.5}, "positive_advantage_weight must be a number >= 0, got -0.5"),
        ({"adv_estimator": "nsr"}, "which algorithm.adv_estimator=nsr does not have. Choose w_reinforce"),
        ({"adv_estimator": "psr_nsr", "advantage": "negative"}, "adv_estimator=psr_nsr does not have"),
    ],
)
def test_a_schedule_that_makes_no_sense_is_refused(more, message):
    with pytest.raises(ValueError, match=message):
        schedule_under(options(**more))


@pytest.mark.parametrize("name", ["w_reinforce", "psr_nsr"])
def test_an_estimator_with_a_schedule_and_no_trainer_for_it_refuses(name):
    """A stock launch: nothing sets the weight of a step, and a constant one would be another run than the one asked for."""
    config = options(adv_estimator=name, advantage="weighted")
    with pytest.raises(ValueError, match="schedule=linear needs a trainer .*trainer_mode=sign_filter_sync"):
        ESTIMATORS[name](torch.ones(1, 2), torch.ones(1, 2), config=config)


def test_the_weight_of_a_step_reaches_the_estimator():
    config = options() | held_at(0.7)
    advantages_BT, _ = ESTIMATORS["w_reinforce"](torch.tensor([[0.0, 1.0]]), torch.ones(1, 2), config=config)
    torch.testing.assert_close(advantages_BT, torch.full((1, 2), 0.7))
