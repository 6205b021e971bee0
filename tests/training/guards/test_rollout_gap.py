"""A rollout with other weights than the actor's is found, and so is a gap that is missing or no number."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.guards.walk import trips
from verl_ext.training.checks.trainer_options import check_gap_limits
from verl_ext.training.configuration import compose_config
from verl_ext.training.guards.rollout_gap import METRIC, NUM_TOKENS, RolloutGap

MANY = 1_000_000
GAP = "trainer.guardrails.rollout_gap"


def gaps(watch: RolloutGap, *values: float | None, num_tokens: int = MANY) -> dict[int, str]:
    """What is said of steps with these gaps, by step; None is a gap that is missing."""
    rows = [({} if gap is None else {METRIC: gap}) | {NUM_TOKENS: num_tokens} for gap in values]
    return trips(watch, rows)


def watching(max_diff: float | None = 0.02, max_growth: float | None = 10) -> RolloutGap:
    return RolloutGap(max_diff=max_diff, max_growth=max_growth)


def test_an_absolute_limit():
    found = gaps(watching(max_growth=None), 0.001, 0.019, 0.03)
    assert list(found) == [3]
    assert f"differ by 0.03 on average, more than {GAP}.max_diff=0.02" in found[3]


def test_samples_of_older_weights_differ_as_the_weights_move():
    """So growth says nothing in an asynchronous run; the absolute limit does, and names their age among the causes."""
    watch = RolloutGap(max_diff=0.02, max_growth=10, is_asynchronous=True)
    found = gaps(watch, 1e-9, 1e-3, 0.03)
    assert list(found) == [3]
    assert "too old (train/staleness/mean; trainer.v1.sampler.max_off_policy_threshold bounds it)" in found[3]
    assert "too old" not in gaps(watching(), 0.03)[1]


def test_a_lost_adapter_shows_at_a_learning_rate_of_1e_6():
    """Float32: 1e-9 while the weights are the same, then 1e-7 more in every step that the rollout does not hear of."""
    found = gaps(watching(), 1e-9, 0.9e-7, 2e-7, 3e-7)
    assert list(found) == [3, 4]
    assert f"differ by 2e-07 on average, and in the first steps by 1e-09; more than {GAP}.max_growth=10" in found[3]


def test_a_lost_adapter_shows_in_bfloat16_too():
    assert list(gaps(watching(), 1e-4, 4e-4, 9e-4, 1.1e-3)) == [4]


def test_float32_noise_is_no_drift():
    assert gaps(watching(), 1e-9, 5e-9, 9e-8) == {}


def test_the_first_steps_are_as_many_as_it_takes_to_see_enough_tokens():
    """300 tokens a step: four steps, whose mean is 2e-5."""
    watch = watching()
    found = gaps(watch, 1e-5, 3e-5, 1e-5, 3e-5, 1.9e-4, 2.1e-4, num_tokens=300)
    assert watch.of_first_steps == pytest.approx(2e-5)
    assert list(found) == [6]
    assert "first steps by 2e-05" in found[6]


GAPS = st.one_of(st.floats(0, 1), st.sampled_from([math.nan, math.inf]))
LIMITS = st.one_of(st.none(), st.floats(0, 0.5))


@given(LIMITS, st.one_of(st.none(), st.floats(1, 100)), st.lists(st.floats(0, 1e-3), max_size=3), GAPS)
def test_the_bound_is_what_is_let_through(limit, growth, before, gap):
    """The workers compare with it, before they step; the trainer asks the guard afterwards."""
    watch = watching(limit, growth)
    gaps(watch, *before)
    bound = watch.bound
    assert bool(gaps(watch, gap)) == (bound is not None and not gap <= bound)


@pytest.mark.parametrize("limits", [(0.02, None), (None, 10)])
def test_a_gap_that_is_no_number_or_missing_is_found(limits):
    found = gaps(watching(*limits), math.nan, math.inf, None)
    assert "actor differ by nan" in found[1]
    assert "actor differ by inf" in found[2]
    assert f"no {METRIC}" in found[3]
    assert f"{GAP}.action=null" in found[3]


def test_without_limits_nothing_is_asked():
    assert gaps(watching(None, None), None, math.nan, 1.0) == {}


@pytest.mark.parametrize(
    "option", ["algorithm.rollout_correction.bypass_mode=True", "actor_rollout_ref.rollout.calculate_log_probs=False"]
)
def test_options_that_hide_the_gap_are_refused_beside_a_limit(option):
    name = option.partition("=")[0]
    message = f"{GAP}.max_diff=0.02 and {GAP}.max_growth=10 compare .*{name}=.* set {GAP}.action=null"
    with pytest.raises(ValueError, match=message):
        check_gap_limits(compose_config([option], device="cpu"))
    check_gap_limits(compose_config([option, f"{GAP}.action=null"], device="cpu"))


@pytest.mark.parametrize(
    ("options", "mode"),
    [
        (("top_p=1", "temperature=1"), "processed_logprobs"),
        (("top_p=0.7", "temperature=1.0"), "raw_logprobs"),
        (("top_k=20", "temperature=1"), "raw_logprobs"),
        (("top_p=1", "temperature=1.2"), "processed_logprobs"),
        (("top_p=0.7", "logprobs_mode=processed_logprobs"), "processed_logprobs"),
    ],
)
def test_vllm_reports_the_distribution_that_the_actor_has(options, mode):
    config = compose_config([f"actor_rollout_ref.rollout.{option}" for option in options], device="cpu")
    assert config.actor_rollout_ref.rollout.logprobs_mode == mode


def test_a_gap_that_is_there_from_the_start_has_no_absolute_limit():
    cut = ["actor_rollout_ref.rollout.top_p=0.7", "actor_rollout_ref.rollout.temperature=1.2"]
    message = r"max_diff=0.02 .* top_p=0.7, top_k=-1 at temperature 1.2 .*max_diff=null"
    with pytest.raises(ValueError, match=message):
        check_gap_limits(compose_config(cut, device="cpu"))
    check_gap_limits(compose_config([*cut, f"{GAP}.max_diff=null"], device="cpu"))
