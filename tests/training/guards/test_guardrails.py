"""What is done about what the guards find: told once, counted at every step, kept over a resume; stop before roll back."""

import json
import math

import pytest
from omegaconf import OmegaConf

from tests.training.guards.walk import options_with
from verl_ext.training.events import listening
from verl_ext.training.guards.answer_guards import LENGTH
from verl_ext.training.guards.guard import OPTIONS, Moment
from verl_ext.training.guards.guard_table import GUARDS, ROWS
from verl_ext.training.guards.guardrails import EVENTS, QUIET_STEPS, Guardrails
from verl_ext.training.guards.rollout_gap import METRIC, NUM_TOKENS
from verl_ext.training.guards.update_guards import GRADIENT_NORM
from verl_ext.training.option_types import fault, option_kinds

LONG = {LENGTH: 100.0}
SHORT = {LENGTH: 10.0}
NAN = {"actor/loss": math.nan}


def rails(tmp_path, *options: str) -> Guardrails:
    """Those of a run whose answers may grow to the double of the first step's, with more options."""
    growth = [f"{OPTIONS}.response_length.max_growth=2", f"{OPTIONS}.response_length.over_steps=1"]
    return Guardrails.of(options_with(f"trainer.output_dir={tmp_path}", *growth, *options))


def events(tmp_path) -> list[dict]:
    return [json.loads(line) for line in (tmp_path / EVENTS).read_text().splitlines()]


def test_a_trouble_is_told_when_it_begins_and_counted_as_long_as_it_lasts(tmp_path, capsys):
    guardrails, told = rails(tmp_path), []
    assert guardrails.counters == {"guardrails/findings": 0}
    with listening(lambda kind, fields: told.append((kind, fields))):
        for step, metrics in enumerate([SHORT, LONG, LONG, SHORT, LONG], start=1):
            assert guardrails.look(Moment.STEP, step, metrics) is None
    assert guardrails.counters == {"guardrails/findings": 3, "guardrails/response_length": 3}
    text = (
        "step 2, guardrail response_length: answers have 100.0 tokens over the last 1 steps, more than "
        f"{OPTIONS}.response_length.max_growth=2 times the first steps' 10.0 ({OPTIONS}.response_length.action=warn)"
    )
    assert told == [("guardrail", {"text": text})]
    assert capsys.readouterr().out == text + "\n"
    (event,) = events(tmp_path)
    assert (event["step"], event["guardrail"], event["action"]) == (2, "response_length", "warn")
    assert event["numbers"] == {"first": 10.0, "last": 100.0}


def test_a_trouble_that_comes_back_is_told_again(tmp_path):
    guardrails = rails(tmp_path)
    guardrails.look(Moment.STEP, 1, SHORT)
    for step in (2, 2 + QUIET_STEPS, 2 + 2 * QUIET_STEPS + 1):
        guardrails.look(Moment.STEP, step, LONG)
    assert [event["step"] for event in events(tmp_path)] == [2, 2 + 2 * QUIET_STEPS + 1]


def test_a_guard_looks_at_its_own_moments(tmp_path):
    guardrails = rails(tmp_path)
    assert guardrails.look(Moment.STEP, 1, NAN) is None
    finding = guardrails.look(Moment.UPDATED, 1, NAN)
    assert (finding.guardrail, finding.action) == ("not_finite", "stop")
    assert guardrails.look(Moment.GRADED, 1, {"train/entropy": math.nan}) is not None
    assert guardrails.counters["guardrails/not_finite"] == 1, "a step counts once"
    assert events(tmp_path)[0]["numbers"] == {"actor/loss": "nan"}, "what JSON has no word for"


def test_one_that_is_switched_off_sees_nothing(tmp_path):
    guardrails = rails(tmp_path, f"{OPTIONS}.not_finite.action=null")
    assert guardrails.look(Moment.UPDATED, 1, NAN) is None


def test_a_run_that_should_stop_does_not_go_back(tmp_path):
    """Both in one step: of answers it would go back, of the gradient stop."""
    options = (f"{OPTIONS}.response_length.action=roll_back", f"{OPTIONS}.gradient_norm.action=stop")
    guardrails = rails(tmp_path, *options, f"{OPTIONS}.gradient_norm.steps=1", f"{OPTIONS}.gradient_norm.window=1")
    guardrails.look(Moment.STEP, 1, SHORT | {GRADIENT_NORM: 1.0})
    assert guardrails.look(Moment.STEP, 2, LONG | {GRADIENT_NORM: 1.0}).action == "roll_back"
    assert guardrails.look(Moment.STEP, 3, LONG | {GRADIENT_NORM: 100.0}).guardrail == "gradient_norm"


def test_a_run_that_should_end_well_is_not_stopped(tmp_path):
    guardrails = rails(tmp_path, f"{OPTIONS}.response_length.action=end")
    guardrails.look(Moment.STEP, 1, SHORT)
    assert guardrails.end_reason is None
    assert guardrails.look(Moment.STEP, 2, LONG) is None
    assert guardrails.end_reason.startswith("response_length: answers have 100.0 tokens")


def test_a_checkpoint_is_good_if_it_is_from_before_every_trouble_that_goes_on(tmp_path):
    """Answers grow in steps 2 and 3, and from 30; the update breaks in step 34."""
    guardrails = rails(tmp_path)
    lengths = {1: SHORT, 2: LONG, 3: LONG, 30: LONG, 31: SHORT}
    for step, metrics in lengths.items():
        guardrails.look(Moment.STEP, step, metrics)
    finding = guardrails.look(Moment.UPDATED, 34, NAN)
    assert guardrails.trouble_since(finding) == 30
    later = guardrails.look(Moment.UPDATED, 34 + QUIET_STEPS, NAN)
    assert guardrails.trouble_since(later) == 34


def test_advice_is_no_trouble(tmp_path):
    guardrails = rails(tmp_path, f"{OPTIONS}.long_nsr.after_updates=0")
    guardrails.look(Moment.STEP, 1, {"train/num_updates": 1})
    assert guardrails.counters["guardrails/long_nsr"] == 1
    finding = guardrails.look(Moment.UPDATED, 2, NAN)
    assert guardrails.trouble_since(finding) == 2


@pytest.mark.parametrize(("action", "largest"), [("stop", 0.02), ("roll_back", 0.02), ("warn", None), ("null", None)])
def test_the_workers_hold_back_an_update_only_where_the_run_ends(tmp_path, action, largest):
    guardrails = rails(tmp_path, f"{OPTIONS}.rollout_gap.action={action}")
    assert guardrails.largest_gap == largest
    found = guardrails.look(Moment.COMPARED, 1, {METRIC: 0.5, NUM_TOKENS: 9})
    assert (found is not None) == (action in ("stop", "roll_back"))


def test_a_resumed_run_knows_what_was_seen(tmp_path):
    first = rails(tmp_path)
    first.look(Moment.STEP, 1, SHORT)
    first.look(Moment.STEP, 2, LONG)
    first.look(Moment.COMPARED, 2, {METRIC: 1e-9, NUM_TOKENS: 1000})
    first.learning_rate_factor = 0.25
    first.save(tmp_path)
    second = rails(tmp_path)
    second.restore(tmp_path)
    assert second.counters == first.counters
    assert second.learning_rate_factor == 0.25
    assert second.largest_gap == pytest.approx(1e-7)
    second.look(Moment.STEP, 3, LONG)
    assert len(events(tmp_path)) == 1, "the same trouble"
    assert second.counters["guardrails/response_length"] == 2


def test_a_checkpoint_of_before_there_were_guardrails_changes_nothing(tmp_path):
    guardrails = rails(tmp_path)
    guardrails.restore(tmp_path)
    assert guardrails.learning_rate_factor == 1.0


def test_a_guard_that_was_switched_on_later_begins_anew(tmp_path):
    off = rails(tmp_path, f"{OPTIONS}.response_length.action=null")
    off.save(tmp_path)
    on = rails(tmp_path)
    on.restore(tmp_path)
    on.look(Moment.STEP, 5, SHORT)
    assert on.counters == {"guardrails/findings": 0}


def test_verls_own_configuration_is_watched_for_broken_updates_alone(tmp_path):
    config = OmegaConf.create({"trainer": {}, "actor_rollout_ref": {"actor": {"fsdp_config": {}}}})
    guardrails = Guardrails.of(config)
    assert guardrails.look(Moment.COMPARED, 1, {NUM_TOKENS: 9}) is None
    assert guardrails.look(Moment.UPDATED, 1, NAN).action == "stop"


def test_every_guard_is_configured_and_every_option_is_a_guards():
    section = options_with().trainer.guardrails
    assert list(section) == ["max_rollbacks", "learning_rate_factor", *GUARDS]
    for row in ROWS:
        assert section[row.name]["action"] in row.actions, "on by default"


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("long_nsr.action", "stop", "must be one of warn, got stop"),
        ("not_finite.action", "end", "must be one of warn, stop, roll_back, got end"),
        ("entropy.action", True, "must be a text or null, got True"),
        ("truncation.max_rise", 2, "must be a number >= 0 and <= 1, got 2"),
        ("gradient_norm.steps", 0, "must be a whole number >= 1, got 0"),
        ("learning_rate_factor", 0, "must be a number > 0 and <= 1, got 0"),
        ("rollout_gap.max_growth", None, None),
        ("gradient_norm.growth", 2.5, None),
        ("gradient_norm.growth", None, "must be a number > 0, got None"),
    ],
)
def test_what_an_option_may_hold(option, value, expected):
    kinds = dict(option_kinds(OmegaConf.to_container(options_with().trainer.guardrails), f"{OPTIONS}."))
    found = fault(f"{OPTIONS}.{option}", value, kinds[f"{OPTIONS}.{option}"])
    assert found == (expected and f"{OPTIONS}.{option} {expected}.")


def test_pure_nsr_is_what_has_no_weight_for_correct_answers():
    from verl_ext.training.guards.guard_table import is_pure_nsr

    pure = (
        ["algorithm.adv_estimator=nsr"],
        ["algorithm.adv_estimator=psr_nsr", "algorithm.advantage=negative"],
        ["algorithm.adv_estimator=w_reinforce", "algorithm.positive_advantage_weight=0"],
        ["algorithm.adv_estimator=asymre", "algorithm.asymre_baseline=1"],
        ["algorithm.adv_estimator=cw_nsr"],
    )
    others = (
        ["algorithm.adv_estimator=psr"],
        ["algorithm.adv_estimator=w_reinforce"],
        ["algorithm.adv_estimator=grpo"],
        ["algorithm.adv_estimator=pkpo", "algorithm.pass_at_k=2"],
        ["algorithm.adv_estimator=lens"],
        [*pure[2], "algorithm.positive_advantage_weight_schedule=linear", "algorithm.positive_advantage_weight_end=1"],
    )
    assert all(is_pure_nsr(options_with(*options)) for options in pure)
    assert not any(is_pure_nsr(options_with(*options)) for options in others)
