"""Guards of what a step did to the model."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.guards.walk import trips
from verl_ext.training.guards.update_guards import (
    GRADIENT_NORM,
    UPDATE_METRICS,
    GradientNorm,
    LongNsr,
    NotFinite,
    ValidationFall,
)
from verl_ext.training.validation_score import error_of

SCORE = "val-core/gsm8k/acc/mean@1"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    "name",
    [
        "train/entropy",
        "actor/entropy",
        *(f"{model}/{name}" for model in ("actor", "critic") for name in UPDATE_METRICS),
    ],
)
def test_what_is_no_number_is_named(name, value):
    trip = NotFinite(may_overflow=False).see(4, {name: value, "actor/lr": 1.0, "train/correct_ratio": math.nan})
    assert trip.said.startswith(f"{name}={value}: such an update cannot be made")
    assert trip.since == 4


def test_float16_may_overflow():
    """Its loss scale is found by overflowing; a loss may not."""
    guard = NotFinite(may_overflow=True)
    assert guard.see(1, {"actor/grad_norm": math.inf, "actor/loss": 1.0}) is None
    assert guard.see(1, {"actor/grad_norm": math.inf, "actor/loss": math.inf}).numbers == {"actor/loss": math.inf}


@given(st.dictionaries(st.sampled_from(["actor/loss", GRADIENT_NORM, "train/entropy"]), st.floats(-1e30, 1e30)))
def test_numbers_are_let_through(metrics):
    assert NotFinite(may_overflow=False).see(1, metrics) is None


def norms(*values: float, growth: float = 10, window: int = 50, steps: int = 3) -> dict[int, str]:
    guard = GradientNorm(growth=growth, window=window, steps=steps)
    return trips(guard, [{GRADIENT_NORM: value} for value in values])


def test_a_gradient_that_blows_up():
    found = norms(*[1.0] * 12, 11, 12, 13, 14)
    assert list(found) == [15, 16]
    assert found[15] == (
        "the gradient's norm is 13, since step 13 more than trainer.guardrails.gradient_norm.growth=10 times the 1 that is usual"
    )


def test_one_step_of_it_is_clipped_and_passes():
    assert norms(*[1.0] * 12, 100, 1, 100, 100, 1, 100) == {}


def test_the_first_gradients_are_not_compared_with_anything():
    assert norms(*[100.0] * 3, *[1.0] * 6, *[100.0] * 2) == {}


def test_what_has_become_usual_is_no_longer_found():
    """A window of 10 steps: the median follows after five."""
    found = norms(*[1.0] * 10, *[100.0] * 20, window=10)
    assert list(found) == [13, 14, 15]


@given(st.lists(st.floats(0.4, 3.9), max_size=60))
def test_gradients_within_a_factor_of_ten_trip_nothing(values):
    assert norms(*values) == {}


def test_a_step_without_an_update_or_with_no_number_is_passed_over():
    guard = GradientNorm(growth=10, window=50, steps=3)
    rows = (
        [{GRADIENT_NORM: 1.0}] * 10
        + [{GRADIENT_NORM: value} for value in (11, math.nan, 12)]
        + [{}, {GRADIENT_NORM: 13}]
    )
    assert list(trips(guard, rows)) == [15]


def validated(*rows: tuple[int, float, float], standard_errors: float = 2.0) -> dict[int, str]:
    """What is said of validations: step, score, standard error."""
    guard = ValidationFall(standard_errors=standard_errors)
    seen = [(step, guard.see(step, {SCORE: score, error_of(SCORE): error})) for step, score, error in rows]
    return {step: trip for step, trip in seen if trip is not None}


def test_a_score_below_the_base_by_more_than_chance():
    """The standard error of the difference is 0.05, so 0.1 is chance."""
    found = validated((0, 0.6, 0.03), (10, 0.51, 0.04), (20, 0.49, 0.04), (30, 0.7, 0.04))
    assert list(found) == [20]
    assert found[20].said.startswith(
        "the validation score is 0.4900, and was 0.6000 before the first step: lower by more than 0.1000, which is "
        "trainer.guardrails.validation.standard_errors=2.0"
    )
    assert found[20].since == 11, "after the last validation that was well"


def test_a_score_of_nothing_is_found_too():
    assert list(validated((0, 0.6, 0.03), (10, 0.0, 0.0))) == [10]


def test_without_a_base_or_an_error_there_is_nothing_to_compare():
    assert validated((10, 0.6, 0.03), (20, 0.0, 0.03)) == {}
    guard = ValidationFall(standard_errors=2)
    assert guard.see(0, {SCORE: 1.0}) is None
    assert guard.see(10, {SCORE: 0.0}) is None
    assert guard.see(10, {"val-core/gsm8k/acc/best@4/mean": 0.0, error_of(SCORE): 0.1}) is None


@given(st.floats(0, 1), st.floats(0, 0.2), st.lists(st.floats(0, 1), max_size=5))
def test_a_score_that_does_not_fall_trips_nothing(base, error, rises):
    rows = [(10 * number, min(1.0, base + rise), error) for number, rise in enumerate(rises, start=1)]
    assert validated((0, base, error), *rows) == {}


def advice(*updates: int, is_pure: bool = True) -> dict[int, str]:
    guard = LongNsr(after_updates=5, is_pure=is_pure)
    return trips(guard, [{"train/num_updates": number} for number in updates])


def test_long_nsr_is_said_once():
    found = advice(2, 3, 1, 4, 4)
    assert list(found) == [3]
    assert "6 updates from wrong answers alone, more than trainer.guardrails.long_nsr.after_updates=5" in found[3]
    assert advice(9, 9, is_pure=False) == {}


def test_a_resumed_run_says_it_once():
    first, second = (LongNsr(after_updates=5, is_pure=True) for _ in range(2))
    assert first.see(1, {"train/num_updates": 6}) is not None
    second.restore(json.loads(json.dumps(first.state())))
    assert second.see(2, {"train/num_updates": 6}) is None


@given(st.lists(st.sampled_from([1.0, 50.0]), max_size=20), st.integers(0, 20))
def test_a_resumed_run_finds_what_the_undisturbed_one_finds(values, cut):
    rows = [{GRADIENT_NORM: value} for value in values]
    first, second, whole = (GradientNorm(growth=10, window=12, steps=2) for _ in range(3))
    found = trips(first, rows[:cut])
    second.restore(json.loads(json.dumps(first.state())))
    assert found | trips(second, rows[cut:], first=len(rows[:cut]) + 1) == trips(whole, rows)


def test_a_bad_validation_counts_until_the_next_good_one():
    """Also for a resumed run, which knows its base."""
    first, second = ValidationFall(standard_errors=2), ValidationFall(standard_errors=2)
    first.see(0, {SCORE: 0.6, error_of(SCORE): 0.03})
    first.see(5, {SCORE: 0.6, error_of(SCORE): 0.03})
    second.restore(json.loads(json.dumps(first.state())))
    trip = second.see(10, {SCORE: 0.4, error_of(SCORE): 0.03})
    first.restore(json.loads(json.dumps(second.state())))
    assert first.see(11, {}) == trip
    assert trip.since == 6
    assert first.see(12, {SCORE: 0.6, error_of(SCORE): 0.03}) is None
    assert first.see(13, {}) is None
