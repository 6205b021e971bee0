"""Runs and answers as one page: what it says of them, and what it says is missing."""

import json
import re

import numpy as np
import pytest

from tests.report.blocks_of import tables_of, texts
from tests.study.made_runs import add_validation, log_metrics, write_run
from verl_ext.metrics.generations import Generations
from verl_ext.report.answer_sources import source_of
from verl_ext.report.markdown import render_markdown
from verl_ext.report.page import ReportInputs, compose_report
from verl_ext.report.page_blocks import Heading, PictureShown
from verl_ext.report.results import build_results
from verl_ext.report.run_logs import read_run_log


def run(name, num_correct, path=None):
    num_problems = len(num_correct)
    return Generations(
        name=name,
        path=str(path or f"{name}.jsonl"),
        question_ids=list(range(num_problems)),
        num_samples_P=np.full(num_problems, 16),
        num_correct_P=np.array(num_correct),
        references=[None] * num_problems,
        answers=[{"1": 9, "2": 3}] * num_problems,
        correct_answers=[{"1": 9}] * num_problems,
        reasons={"correct": 50, "incorrect": 40, "no_answer": 10, "odd <reason>": 1},
    )


def made_run(folder, *, num_steps=20, validations=((0, 2), (10, 6), (20, 4)), **options):
    write_run(folder, {"algorithm.adv_estimator": folder.name, **options}, num_steps)
    log_metrics(folder, num_steps, 0.8)
    for step, correct in validations:
        add_validation(folder, step, [correct, 4], 8)
    return folder


COUNTS = np.arange(30) % 12 + 1


@pytest.fixture(scope="module")
def page():
    results = build_results([run("base", COUNTS), run("nsr", COUNTS + 3), run("<script>", COUNTS)])
    inputs = ReportInputs(results=results)
    return compose_report(
        inputs,
        title="Countdown & <b>more</b>",
        facts=[("model", "0.8M <parameters>"), ("seed", "1")],
        commands=["bash scripts/quickstart.sh --only nsr", "echo '<done>'"],
        caveats=["The base is weak."],
    )


def test_question_answer_and_picture_come_first(page):
    content, drawings = page
    assert content.subtitle == "3 models, 30 problems: 1,440 graded answers"
    assert content.question.startswith("Do NSR and <script> solve more or fewer of 30 problems than Base")
    decided, undecided, mind = content.answer
    assert decided.text.startswith("In points against Base: pass@1 is higher for NSR (+18.8)")
    assert decided.evidence[0].startswith("NSR against Base: pass@1 is higher by 18.8 points")
    assert undecided.text.startswith(
        "4 of 6 comparisons are not decided: what was seen leaves room for differences of up to"
    )
    assert undecided.evidence_summary == "all 4 of them"
    assert (
        "<script> \N{MINUS SIGN} Base, pass@1: the same on each of the 30 problems (95 % interval −11.6 to +11.6)."
        in undecided.evidence
    )
    assert mind.text == "The base is weak."
    assert content.picture.name == "pass_at_k"
    assert "NSR 100.0 %" in content.picture.alt
    assert set(drawings) == {"pass_at_k", "final"}


def test_tables(page):
    tables = tables_of(page[0])
    assert list(tables) == ["pass_at_k", "noise", "differences", "comparisons", "diversity", "reasons", "made_with"]
    assert tables["pass_at_k"].header == ["method", "k = 1", "k = 2", "k = 4", "k = 8", "k = 16", "problems"]
    rows = [texts(row) for row in tables["pass_at_k"].rows]
    assert [row[0] for row in rows] == ["Base", "NSR", "<script>"]
    assert re.fullmatch(r"36\.9 \[\d+\.\d, \d+\.\d\]", rows[0][1])
    assert [texts(row)[-1] for row in tables["noise"].rows] == ["none"] * 3
    assert texts(tables["differences"].rows[0])[1].startswith("+18.8 [")
    tested = [texts(row) for row in tables["comparisons"].rows]
    assert tested[0][:3] == ["NSR \N{MINUS SIGN} Base", "1", "+18.8"]
    assert [row[-1] for row in tested][:3] == ["higher", "not decided", "not decided"]
    assert len(tested) == 4 + 2
    assert texts(tables["diversity"].rows[0])[1].startswith("2.0 [")
    assert texts(tables["diversity"].rows[0])[3] == "56.2 %"
    assert tables["reasons"].header[1:] == ["correct", "incorrect", "no answer", "odd <reason>", "all"]
    assert texts(tables["reasons"].rows[0])[1] == "50 49.5 %"
    assert texts(tables["made_with"].rows[0]) == ["model", "0.8M <parameters>"]


def test_families_of_the_correction_are_named(page):
    text = render_markdown(page[0])
    assert "Corrected by Holm over the 4 comparisons with Base, and separately over the 2 between methods." in text
    assert "echo '<done>'" in text


def test_many_methods_are_compared_with_the_base_alone():
    results = build_results([run("base", [1, 2, 3]), run("a", [2, 3, 4]), run("b", [2, 3, 4])], are_compared=False)
    content, _ = compose_report(ReportInputs(results=results, num_not_paired=1), title="x")
    assert results.between_methods == []
    assert "1 pairs of methods are not compared with each other" in render_markdown(content)


def test_files_of_other_problems_say_so():
    """A report during an evaluation: of the 30 problems of the base, the method has answered 8 so far."""
    part = run("nsr", COUNTS).take(list(range(8)))
    content, _ = compose_report(ReportInputs(results=build_results([run("base", COUNTS), part])), title="x")
    assert content.subtitle == "2 models, 8 to 30 problems: 608 graded answers"
    assert content.question == (
        "Does NSR solve more or fewer of the 8 problems that it shares with Base, with one answer to each and with many?"
    )
    assert content.answer[-1].text == (
        "The files are not all about the same problems: NSR (8) and Base (30) share 8. A difference is over the shared "
        "problems alone, pass@k of each over all of its own."
    )
    tables = tables_of(content)
    assert [texts(row)[-1] for row in tables["pass_at_k"].rows] == ["30", "8"]
    assert texts(tables["differences"].rows[0])[-1] == "8"
    assert [texts(row)[-2] for row in tables["comparisons"].rows] == ["8", "8"]


def test_only_a_base():
    content, _ = compose_report(ReportInputs(results=build_results([run("base", [1, 2, 3])])), title="x")
    assert content.question == "How many of 3 problems does Base solve?"
    assert content.answer[0].text.startswith("pass@1 is 12.5 % [")
    assert content.answer[0].text.endswith("There is nothing to compare it with.")
    headings = [block.text for block in content.rest if isinstance(block, Heading)]
    assert "Differences" not in headings
    assert "Training" not in headings


def test_runs_without_answers(tmp_path):
    logs = [read_run_log(made_run(tmp_path / name), name) for name in ("psr", "nsr")]
    content, drawings = compose_report(ReportInputs(logs=logs), title="x")
    assert content.subtitle == "2 runs"
    assert content.answer[0].text == "PSR from 2.0 % to 40.0 %; NSR from 2.0 % to 40.0 %."
    assert content.picture.name == "training"
    assert next(block for block in content.rest if isinstance(block, PictureShown)).name == "steps_1"
    assert set(drawings) == {"training", "all_training", "steps_1"}
    text = render_markdown(content)
    assert "PSR and" not in text.partition("## What is missing")[2], "what is missing is listed by the runs' own names"
    assert "psr and nsr: no rollout log" in text
    assert "this page: no file of answers" in text
    assert "| seeds |" not in text, "these runs have none on record"
    assert "| processor | a processor, 2 cores |" in text
    assert "| code | commit 0123abc |" in text
    assert "psr: psr; nsr: nsr" in text


def test_what_the_objectives_of_runs_weigh(tmp_path):
    size = {"actor_rollout_ref.rollout.n": 4}
    folders = [
        made_run(tmp_path / "psr", **size),
        made_run(tmp_path / "nsr"),
        made_run(tmp_path / "qae", **size, **{"algorithm.qae_quantile": 0.3}),
    ]
    content, drawings = compose_report(
        ReportInputs(logs=[read_run_log(each, each.name) for each in folders]), title="x"
    )
    panels = drawings["objective_weights"].wide.axes
    assert [axes.get_title(loc="left") for axes in panels[::2]] == ["PSR", "QAE, K = 0.3"]
    assert len(drawings["objective_weights"].narrow.axes) == 4
    text = render_markdown(content)
    assert "![The two weights of each objective over a prompt's accuracy: PSR; QAE, K = 0.3]" in text
    assert "Not drawn: nsr (actor_rollout_ref.rollout.n is not on record)." in text


def test_seeds_are_one_method(tmp_path):
    logs = [read_run_log(made_run(tmp_path / name), name) for name in ("psr-seed1", "psr-seed2", "nsr-seed1")]
    content, _ = compose_report(ReportInputs(logs=logs), title="x")
    assert [texts(row)[0] for row in tables_of(content)["training"].rows] == ["PSR", "NSR"]


def test_a_step_that_is_picked_is_told_from_the_last(tmp_path):
    folder = made_run(tmp_path / "psr")
    log = read_run_log(folder, "psr")
    answers = []
    for step in (10, 20, 5):
        path = tmp_path / f"at{step}.jsonl"
        model = f"elsewhere/psr/checkpoints/global_step_{step}"
        path.with_name(f"at{step}.run.json").write_text(json.dumps({"format": 1, "model": {"name": model}}))
        answers.append(run(f"at{step}", [1, 2, 3], path))
    sources = [source_of(each, [log]) for each in answers]
    assert [(each.step, each.how_chosen) for each in sources] == [
        (10, "the peak of 2 validations"),
        (20, "the last"),
        (5, "neither the last nor the peak"),
    ]
    assert source_of(run("two", [1, 2], answers[0].path), [log]).how_chosen == (
        "the peak of 2 validations, on 2 problems as here, perhaps the same"
    )
    assert source_of(answers[0], []).how_chosen == "not on record: its run is not among the runs of this page"
    assert source_of(run("other", [1]), [log]).missing[0].startswith("no file beside it says which model")
    results = build_results([run("base", [1, 2, 3]), *answers])
    content, _ = compose_report(ReportInputs(results=results, sources=sources, logs=[log]), title="x")
    assert content.answer[2].text == (
        "Steps of the answers: the peak of 2 validations (1 model); the last (1 model); neither the last nor the peak (1 model)."
    )
    text = render_markdown(content)
    assert "| psr | 37.5 % | 50.0 % step 20 | 62.5 % step 10 of 2 validated | +12.5 |" in text
    assert "would make 1 of 1 runs look better, by up to 12.5 points." in text
