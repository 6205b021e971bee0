"""Validation answers that could not be graded are neither right nor wrong, and are counted."""

import json

import pytest

from tests.training.stand_in import trainer_with
from verl_ext.training import events, metrics_file, validation, validation_counts

REASONS = ("correct", "incorrect", "timed_out", "grader_error")


def validated(monkeypatch, groups: list[list[str]], expected: int, sources: list[str] | None = None, options=()):
    """verl's metrics and the event for the reasons of the answers to each prompt, ``expected`` asked for of each."""
    sources = sources or ["math"] * len(groups)
    rows = [(sources[prompt], f"p{prompt}", reason) for prompt, group in enumerate(groups) for reason in group]
    scores = [float(reason == "correct") for *_, reason in rows]
    infos = {"reward": list(scores), "score": list(scores), "acc": list(scores)}
    infos |= {name: [float(name == reason) for *_, reason in rows] for name in REASONS}
    infos["detail"] = ["" for _ in rows]
    heard = []
    monkeypatch.setattr(events, "_listeners", [lambda kind, fields: heard.append((kind, fields))])
    trainer = trainer_with(*options)
    if not any(option.startswith("trainer.output_dir=") for option in options):
        trainer.config.trainer.output_dir = None
    trainer.global_steps = 7
    asked_for = {(source, f"p{prompt}"): expected for prompt, source in enumerate(sources)}
    uids, data_sources = [uid for _, uid, _ in rows], [source for source, *_ in rows]
    metrics = trainer._val_metrics_update(data_sources, uids, infos, [2] * len(rows), expected_acc_counts=asked_for)
    assert all(None not in values for values in infos.values()), "verl's own lists stay as they are"
    ((kind, event),) = heard
    assert kind == "validation"
    return metrics, event


def test_a_noisy_grader_is_none_of_validations(monkeypatch):
    """Its verdicts are what is true, whatever is flipped in training."""
    rates = [f"algorithm.noisy_grader.{name}_rate=0.49" for name in ("false_negative", "false_positive")]
    groups = [["correct", "incorrect", "correct", "no_answer"]] * 8
    assert validated(monkeypatch, groups, 4, options=rates) == validated(monkeypatch, groups, 4)


def test_a_result_reaches_the_console(monkeypatch):
    metrics, event = validated(monkeypatch, [["correct"], ["incorrect"]], 1)
    assert metrics["val-core/math/acc/mean@1"] == event["metrics"]["val-core/math/acc/mean@1"] == 0.5
    counts = {name: event[name] for name in ("step", "num_samples", "num_ungraded", "num_missing")}
    assert counts == {"step": 7, "num_samples": 2, "num_ungraded": 0, "num_missing": 0}


@pytest.mark.parametrize("reason", ["timed_out", "grader_error"])
def test_ungraded_answers_leave_the_accuracy(monkeypatch, reason):
    """1 of 2 that were graded; verl alone says 1 of 4."""
    metrics, event = validated(monkeypatch, [["correct"], ["incorrect"], [reason], [reason]], 1)
    assert metrics["val-core/math/acc/mean@1"] == 0.5
    assert metrics["val-aux/math/score/mean@1"] == 0.5
    assert metrics["val-aux/math/ungraded/mean@1"] == 0.5
    assert metrics[f"val-aux/math/{reason}/mean@1"] == 0.5
    assert event["num_ungraded"] == 2


def test_a_prompt_counts_with_what_was_graded_of_it(monkeypatch):
    """Means over prompts of (1, 1/2, 0) graded of 4: verl would name them mean@4, mean@2 and mean@3 and lose two."""
    groups = [["correct"] * 4, ["correct", "incorrect", "timed_out", "grader_error"], ["incorrect"] * 3 + ["timed_out"]]
    metrics, event = validated(monkeypatch, groups, 4)
    assert metrics["val-core/math/acc/mean@4"] == pytest.approx(0.5)
    assert metrics["val-aux/math/reward/mean@4"] == pytest.approx(0.5)
    assert event["num_ungraded"] == 3


def test_samples_that_failed_in_the_rollout_stay_wrong_and_are_counted(monkeypatch):
    """verl's own rule for them; an ungraded one beside them is still neither."""
    metrics, event = validated(monkeypatch, [["correct", "timed_out"], ["correct", "correct", "correct"], []], 3)
    assert metrics["val-core/math/acc/mean@3"] == pytest.approx((1 / 2 + 1 + 0) / 3)
    assert (event["num_samples"], event["num_ungraded"], event["num_missing"]) == (9, 1, 4)


def test_sources_are_apart_and_one_without_a_verdict_has_no_score(monkeypatch):
    metrics, event = validated(monkeypatch, [["correct"], ["timed_out"]], 1, sources=["math", "aime2025"])
    assert metrics["val-core/math/acc/mean@1"] == 1.0
    assert not [name for name in metrics if name.startswith(("val-core/aime2025", "val-aux/aime2025/acc"))]
    assert metrics["val-aux/aime2025/ungraded/mean@1"] == 1.0
    assert event["num_ungraded"] == 1


def test_prompts_are_in_the_order_of_the_data_whichever_was_complete_first():
    expected = {("math", "b"): 2, ("math", "a"): 2, ("aime", "c"): 1}
    assert validation.order_of_data(["c", "a", "b", "b", "a"], expected) == [2, 3, 1, 4, 0]
    assert validation.order_of_data(["c", "a"], None) == [0, 1]


def test_the_counts_of_every_problem_are_on_file(monkeypatch, tmp_path):
    """An ungraded sample is taken off, a missing one is wrong; a resumed run makes its steps again."""
    groups = [["correct", "timed_out"], ["correct", "correct", "incorrect"], [], ["correct"] * 3]
    sources = ["math", "aime2025", "math", "math"]
    validated(monkeypatch, groups, 3, sources=sources, options=[f"trainer.output_dir={tmp_path}"])
    path = tmp_path / "validation.jsonl"
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {"step": 7, "data_source": "math", "num_correct": [1, 0, 3], "num_samples": [2, 3, 3]},
        {"step": 7, "data_source": "aime2025", "num_correct": [2], "num_samples": [3]},
    ]
    assert metrics_file.keep_until(path, 7) == 0
    validated(monkeypatch, groups, 3, sources=sources, options=[f"trainer.output_dir={tmp_path}"])
    assert metrics_file.keep_until(path, 7) == 2
    assert metrics_file.keep_until(path, 6) == 2
    assert path.read_text() == ""


def test_what_evaluate_drew_stays_beside_a_validation_of_its_step(tmp_path):
    path = tmp_path / validation_counts.NAME
    validation_counts.append(path, 5, {"math": ([1], [2])})
    for step in (5, 6):
        validation_counts.put(path, step, {"math": ([2], [2])}, {"by": "evaluate", "temperature": 1.0}, told=print)
    assert metrics_file.keep_until(path, 5) == 1
    assert [json.loads(line)["num_correct"] for line in path.read_text().splitlines()] == [[1], [2]]
