"""Guards of a step's answers: each is tripped, in the step that is expected and no sooner, and one that is healthy is not."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.guards.walk import trips
from verl_ext.training.guards.answer_guards import (
    ENTROPY,
    LENGTH,
    Entropy,
    FailedPrompts,
    GraderErrors,
    ResponseLength,
    Rise,
    StepsOfNothing,
)


def entropy(**options) -> Entropy:
    return Entropy(**{"min_ratio": None, "max_ratio": None, "min_entropy": None, "over_steps": 2} | options)


def walk(guard, metric: str, *values: float | None) -> dict[int, str]:
    return trips(guard, [{} if value is None else {metric: value} for value in values])


def test_a_collapse_of_the_entropy():
    """Means over two steps: 0.5 at first, then 0.5, 0.3, 0.06, 0.04."""
    found = walk(entropy(min_ratio=0.1), ENTROPY, 0.4, 0.6, 0.4, 0.2, -0.08, 0.16)
    assert found == {
        6: "the entropy collapses: 0.0400 nats a token over the last 2 steps, less than trainer.guardrails.entropy.min_ratio=0.1 "
        "of the first steps' 0.5000"
    }


def test_an_explosion_of_the_entropy():
    found = walk(entropy(max_ratio=5), ENTROPY, 0.4, 0.6, 2.5, 2.5, 2.6)
    assert list(found) == [5]
    assert "the entropy explodes: 2.5500 nats a token" in found[5]


def test_an_absolute_limit_of_the_entropy():
    found = walk(entropy(min_entropy=0.1), ENTROPY, 0.5, 0.15, 0.05, 0.04)
    assert list(found) == [4]
    assert (
        "the entropy is 0.0450 nats a token over the last 2 steps, below trainer.guardrails.entropy.min_entropy=0.1"
        in found[4]
    )


def test_answers_that_become_long():
    guard = ResponseLength(max_growth=2, over_steps=2)
    found = walk(guard, LENGTH, 100, 100, 250, 150, 251)
    assert found == {
        5: "answers have 200.5 tokens over the last 2 steps, more than trainer.guardrails.response_length.max_growth=2 times the "
        "first steps' 100.0"
    }


@pytest.mark.parametrize("broken", [None, float("nan")])
def test_a_step_without_the_metric_is_passed_over(broken):
    assert list(walk(entropy(min_ratio=0.5), ENTROPY, 1.0, broken, 1.0, broken, 0.1, 0.1)) == [6]


def test_the_trouble_began_with_the_first_of_the_latest_steps():
    guard = ResponseLength(max_growth=2, over_steps=3)
    for step in range(10, 14):
        assert guard.see(step, {LENGTH: 10.0}) is None
    assert guard.see(14, {LENGTH: 1000.0}).since == 12


def share(max_rise: float = 0.3) -> Rise:
    return Rise(name="truncation", metric="share", what="the answers are cut", max_rise=max_rise, over_steps=2)


def test_a_share_that_rises():
    """A limit that cuts nearly all from the start is no blow-up."""
    assert walk(share(), "share", 0.9, 0.9, 1.0, 1.0) == {}
    found = walk(share(), "share", 0.0, 0.2, 0.4, 0.38, 0.52)
    assert found == {
        5: "45.0% of the answers are cut over the last 2 steps, and 10.0% in the first ones: more than "
        "trainer.guardrails.truncation.max_rise=0.3 above"
    }


@given(st.lists(st.floats(0, 1), max_size=20), st.floats(0.05, 1))
def test_a_share_trips_where_its_means_say_so(values, max_rise):
    expected = [
        step for step in range(2, len(values) + 1) if sum(values[step - 2 : step]) / 2 - sum(values[:2]) / 2 > max_rise
    ]
    assert list(walk(share(max_rise), "share", *values)) == expected


HEALTHY = st.lists(st.floats(0.5, 2), max_size=30)
"""Numbers of which none is more than four times another."""


@given(HEALTHY)
def test_what_stays_within_a_factor_of_four_trips_nothing(values):
    guards = [
        (entropy(min_ratio=0.1, max_ratio=5), ENTROPY),
        (ResponseLength(max_growth=4, over_steps=5), LENGTH),
    ]
    for guard, metric in guards:
        assert walk(guard, metric, *values) == {}


def nothing(steps: int = 3) -> StepsOfNothing:
    return StepsOfNothing(name="equal_rewards", metric="range", what="all rewards are equal", steps=steps)


def test_equal_rewards_in_a_row():
    found = walk(nothing(), "range", 0, 0, 1, 0, 0, 0, 0, 1, 0)
    assert found == {
        6: "all rewards are equal in 3 steps in a row, since step 4 (trainer.guardrails.equal_rewards.steps=3)",
        7: "all rewards are equal in 4 steps in a row, since step 4 (trainer.guardrails.equal_rewards.steps=3)",
    }


@given(st.lists(st.sampled_from([0.0, 1.0, None]), max_size=25), st.integers(1, 5))
def test_a_row_of_zeros_is_what_is_between_two_others(values, steps):
    """A step that does not say is passed over."""
    expected, num = [], 0
    for step, value in enumerate(values, start=1):
        num = num if value is None else 0 if value else num + 1
        if value == 0 and num >= steps:
            expected.append(step)
    assert list(walk(nothing(steps), "range", *values)) == expected


def test_too_many_grader_errors():
    guard = GraderErrors(max_ratio=0.25)
    assert guard.see(1, {"train/reason/correct": 0.75, "train/reason/timed_out": 0.25}) is None
    assert guard.see(1, {}) is None
    trip = guard.see(3, {"train/reason/timed_out": 0.2, "train/reason/grader_error": 0.3})
    assert "failed on 50.0% of the samples (20.0% timed_out, 30.0% grader_error), more than" in trip.said
    assert "trainer.guardrails.grader_errors.max_ratio=0.25" in trip.said
    assert trip.numbers == {"ratio": 0.5, "timed_out": 0.2, "grader_error": 0.3}


def test_too_many_prompts_that_failed():
    guard = FailedPrompts(max_ratio=0.25)
    whole = {"train/prompts": 8.0, "train/failed_prompts": 0.0, "train/missing_samples": 0.0, "train/failed_ratio": 0.0}
    assert trips(guard, [{}, whole, whole | {"train/failed_prompts": 2.0, "train/failed_ratio": 0.25}]) == {}
    bad = {"train/failed_prompts": 3.0, "train/missing_samples": 11.0, "train/failed_ratio": 0.375}
    trip = guard.see(4, whole | bad)
    assert (
        "37.5% of the prompts did not come back whole from the rollout (3 of 8 failed, 11 samples are missing)"
        in trip.said
    )
    assert "more than trainer.guardrails.failed_prompts.max_ratio=0.25" in trip.said
    assert trip.numbers == {"ratio": 0.375, "prompts": 8, "failed_prompts": 3, "missing_samples": 11}


GUARDS = {
    "entropy": (lambda: entropy(min_ratio=0.5), ENTROPY),
    "length": (lambda: ResponseLength(max_growth=2, over_steps=3), LENGTH),
    "share": (share, "share"),
    "nothing": (nothing, "range"),
}


@pytest.mark.parametrize("name", GUARDS)
@given(st.lists(st.sampled_from([0.0, 0.2, 1.0]), max_size=12), st.integers(0, 12))
def test_a_resumed_run_finds_what_the_undisturbed_one_finds(name, values, cut):
    make, metric = GUARDS[name]
    rows = [{metric: value} for value in values]
    first, second = make(), make()
    found = trips(first, rows[:cut])
    second.restore(json.loads(json.dumps(first.state())))
    assert found | trips(second, rows[cut:], first=len(rows[:cut]) + 1) == trips(make(), rows)
