"""The guards as they are by default, on what real runs logged: none trips where a run was well, some where it fell apart.

``recorded`` has the metrics that guards look at. ``psr`` and ``nsr`` are 60 steps of ``python -m verl_ext.study run
studies/countdown_narrow.yaml`` with a small model that is right on 40% of the problems. ``nsr_that_fell_apart`` is NSR with a model
that is right on 3%, 16 prompts x 16 samples a step and a learning rate of 1e-4: it learns from nothing but wrong answers, after 40
steps it has unlearned the format, and its entropy is four times what it was.
"""

import json
from pathlib import Path

import pytest

from tests.training.guards.walk import options_with
from verl_ext.training.guards.guard import OPTIONS, Moment
from verl_ext.training.guards.guardrails import EVENTS, Guardrails
from verl_ext.training.guards.rollout_gap import METRIC, NUM_TOKENS

RECORDED = Path(__file__).parent / "recorded"


def rows_of(name: str) -> list[dict[str, float]]:
    return [json.loads(line) for line in (RECORDED / f"{name}.jsonl").read_text().splitlines()]


def walk(name: str, tmp_path: Path, *options: str) -> tuple[Guardrails, int | None]:
    """Let a run pass the guards; also the step before which a checkpoint is good, where one of them takes it back."""
    guardrails = Guardrails.of(options_with(f"trainer.output_dir={tmp_path}", *options))
    for row in rows_of(name):
        gap = {METRIC: row[METRIC], NUM_TOKENS: 2000} if METRIC in row else {}
        for moment in Moment:
            metrics = gap if moment is Moment.COMPARED else row
            finding = guardrails.look(moment, row["step"], metrics) if metrics else None
            if finding is not None:
                return guardrails, guardrails.trouble_since(finding)
    return guardrails, None


@pytest.mark.parametrize("name", ["psr", "nsr"])
def test_a_run_that_is_well_trips_none(name, tmp_path):
    assert len(rows_of(name)) >= 60
    guardrails, _ = walk(name, tmp_path, f"algorithm.adv_estimator={name}")
    assert guardrails.counters == {"guardrails/findings": 0}


def test_a_run_that_falls_apart_is_seen_from_three_sides(tmp_path):
    """Of 80 steps; it validated every 25."""
    walk("nsr_that_fell_apart", tmp_path)
    events = [json.loads(line) for line in (tmp_path / EVENTS).read_text().splitlines()]
    first = {event["guardrail"]: event["step"] for event in reversed(events)}
    assert first == {"validation": 50, "truncation": 51, "entropy": 53}


def test_it_would_have_gone_back_to_when_it_was_well(tmp_path):
    """The validation of step 25 was."""
    _, since = walk("nsr_that_fell_apart", tmp_path, f"{OPTIONS}.validation.action=roll_back")
    assert since == 26
    _, since = walk("nsr_that_fell_apart", tmp_path, f"{OPTIONS}.entropy.action=roll_back")
    assert since == 26, "the validation's trouble was older, and went on"
