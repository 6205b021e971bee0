"""Runs that have not begun, were cut or lack a file: what is missing is said, and the rest is read."""

import json

import pytest

from tests.report.test_page import made_run
from verl_ext.report.markdown import render_markdown
from verl_ext.report.page import ReportInputs, compose_report
from verl_ext.report.run_logs import is_run, read_run_log
from verl_ext.report.step_choice import choice_by_counts, choice_by_metrics, choice_by_rule


def test_empty_folder(tmp_path):
    log = read_run_log(tmp_path, "psr")
    assert log.curve is None
    assert not is_run(tmp_path)
    assert log.missing == [
        "no metrics.jsonl: the run has not begun, or logs elsewhere (`trainer.logger`)",
        "no run.json: command, versions and seeds are not on record",
        "no validation: nothing says how a step does on problems that it is not trained on (`trainer.test_freq`)",
    ]
    content, drawings = compose_report(ReportInputs(logs=[log]), title="x")
    assert content.answer[0].label == "Nothing yet"
    assert content.picture is None
    assert drawings == {}
    with pytest.raises(ValueError, match="psr: there is no folder"):
        read_run_log(tmp_path / "none", "psr")


def test_half_written_line_is_left_out(tmp_path):
    folder = made_run(tmp_path / "psr")
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 21, "data": {"train/cor')
    with (folder / "validation.jsonl").open("a") as file:
        file.write('{"step": 21, "da')
    log = read_run_log(folder, "psr")
    assert (log.last_step, len(log.curve.steps)) == (20, 20)
    assert log.missing[:2] == [
        "line 21 of metrics.jsonl is cut and left out",
        "validation.jsonl, line 4, is cut and left out",
    ]


def test_damaged_files_are_said_and_the_rest_is_read(tmp_path):
    folder = made_run(tmp_path / "psr")
    lines = (folder / "metrics.jsonl").read_text().splitlines(keepends=True)
    (folder / "metrics.jsonl").write_text("".join([*lines[:3], "[]\n", *lines[3:]]))
    (folder / "run.json").write_text("{")
    (folder / "checkpoints/best_checkpoint.json").write_text("")
    log = read_run_log(folder, "psr")
    assert len(log.curve.steps) == 20
    assert log.missing[0] == "line 4 of metrics.jsonl is no step and left out"
    assert "run.json is empty or damaged" in log.missing[1]
    assert "best_checkpoint.json is empty or damaged" in log.missing[2]
    assert log.choice.metric == "pass@1 of countdown"


def test_whether_a_run_is_over(tmp_path):
    folder = made_run(tmp_path / "psr", num_steps=20)
    assert read_run_log(folder, "psr").is_over
    record = json.loads((folder / "run.json").read_text())
    record["config"]["trainer"]["total_training_steps"] = 30
    (folder / "run.json").write_text(json.dumps(record))
    log = read_run_log(folder, "psr")
    assert not log.is_over
    assert "step 20 of 30 is the last so far: the run goes on, or was stopped" in log.missing
    (folder / "checkpoints/ended.json").write_text('{"step": 20, "reason": "said so"}')
    assert read_run_log(folder, "psr").is_over


def test_rollout_log_is_seen(tmp_path):
    folder = made_run(tmp_path / "psr", **{"trainer.rollout_data_dir": "outputs/psr/answers"})
    assert any("no rollout log" in text for text in read_run_log(folder, "psr").missing)
    (folder / "answers").mkdir()
    (folder / "answers/1.jsonl").write_text("{}\n")
    log = read_run_log(folder, "psr")
    assert not any("no rollout log" in text for text in log.missing)
    content, _ = compose_report(ReportInputs(logs=[log]), title="x")
    assert f"python -m verl_ext.viewer {folder}" in render_markdown(content)


def test_choices_by_hand():
    said = {
        "metric": "m",
        "mode": "min",
        "step": 20,
        "value": 0.2,
        "validations": [[0, 0.1], [10, 0.4], [20, 0.2], [30, 0.3]],
    }
    choice = choice_by_rule(said)
    assert (choice.start.step, choice.last.step, choice.peak.step, choice.kept.step) == (0, 30, 20, 20)
    assert choice.gain_of_peak == pytest.approx(0.1)
    assert choice.how_chosen(20) == "kept by `trainer.best_checkpoint`: m and the peak of 3 validations"
    assert choice.how_chosen(30) == "the last"
    assert choice_by_rule({"metric": "m", "validations": [[0, 0.1]]}) is None
    assert choice_by_counts({}) is None
    rows = {
        0: {"val-core/a/acc/mean@4": 0.1, "val-core/a/acc/best@4/mean": 0.9},
        5: {"train/x": 1.0},
        10: {"val-core/a/acc/mean@4": 0.3},
    }
    choice = choice_by_metrics(rows)
    assert [(score.step, score.value) for score in choice.scores] == [(0, 0.1), (10, 0.3)]
    assert choice.metric == "val-core/a/acc/mean@4"
    assert choice_by_metrics({5: {"train/x": 1.0}}) is None
