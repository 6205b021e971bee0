"""python -m verl_ext.report PATH..., from what runs, studies and evaluations leave."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.report.test_page import made_run
from tests.report.test_study_command import write
from tests.study.made_runs import make_runs
from tests.viewer.pages import blocks_of
from verl_ext.commands.report_inputs import find_inputs
from verl_ext.report.__main__ import main

pytestmark = pytest.mark.usefixtures("no_pixels")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A run of two objectives, and answers of both and of the base."""
    for name, shift in (("base", -2), ("psr", 0), ("nsr", 1)):
        write(tmp_path / f"out/generations/{name}.jsonl", shift)
    for name in ("psr", "nsr"):
        made_run(tmp_path / "out/runs" / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def error_of(capsys, *arguments):
    assert main(arguments) == 2
    return capsys.readouterr().err


def test_a_folder_of_runs_and_answers(folder, capsys):
    assert main(["out", "--question", "Which is best?", "--output_dir", "report"]) == 0
    pictures = [path.name for path in Path("report/pictures").iterdir()]
    assert capsys.readouterr().out == f"report/report.html, and {len(pictures)} files in report/pictures\n"
    assert {"pass_at_k.png", "pass_at_k.svg", "training.png", "training.svg", "steps_1.svg"} <= set(pictures)
    page = Path("report/report.html").read_text()
    assert "Which is best?" in page
    assert "2 runs; 3 models, 12 problems: 288 graded answers" in page
    assert "python -m verl_ext.report out --question" in page
    assert page.count("<figure") == len(pictures) / 2
    assert '<a href="answers.html">Read the answers' in page
    assert Path("report/answers.html").stat().st_size > 1000


def test_lines_that_are_no_answers_are_left_out_of_both_pages(folder):
    with Path("out/generations/nsr.jsonl").open("a") as file:
        file.write("no answer\n")
    assert main(["out/generations", "--skip_bad_lines", "--output_dir", "report"]) == 0
    assert "1 lines are no graded answer and are left out" in Path("report/report.html").read_text()
    of_answers = blocks_of(Path("report/answers.html"))["head"]["sets"]
    (nsr,) = (one for one in of_answers if one["run"] == "nsr")
    assert "1 lines cannot be read as an answer" in nsr["missing"]


def test_what_is_found(folder):
    made_run(folder / "lr=1e-4")
    found = find_inputs(["out", "first=out/runs/psr", "lr=1e-4", "mine=out/generations"])
    assert list(found.runs) == ["nsr", "psr", "first", "lr=1e-4"]
    assert list(found.answers) == ["base", "nsr", "psr", "mine-base", "mine-nsr", "mine-psr"]
    assert list(find_inputs(["out/generations/[np]*.jsonl"]).answers) == ["nsr", "psr"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ot"], "ot does not exist. Did you mean out?"),
        (["stady"], "stady does not exist."),
        (["empty"], "empty has no run, no study and no file of answers in it. Name a run's folder"),
        (["out", "other"], "out/runs/psr and other/psr are both called psr. Give one another name: NAME=other/psr."),
        (["out", "--base", "bse"], "--base bse is none of the files of answers: base, nsr, psr."),
        (["out/runs", "--base", "psr"], "--base psr is a file of answers, and none was named."),
        (["out", "--seed", "-1"], "--seed must be a whole number from 0"),
        (["out", "--output_dir", "out/generations/psr.jsonl"], "is a file. Give the name of a folder"),
        (["watch", "ot"], "There is no folder ot. Give the output folder of a training run."),
        (["watch", "out", "--every", "0"], "--every must be a number of seconds above 0, got 0."),
    ],
)
def test_bad_input_is_one_line(folder, capsys, arguments, message):
    Path("empty").mkdir()
    shutil.copytree("out/runs/psr", "other/psr")
    error = error_of(capsys, *arguments)
    assert message in error
    assert error.startswith("error: ")
    assert len(error.splitlines()) == 1
    assert not Path("outputs").exists()


def test_a_run_that_has_not_begun(folder):
    (folder / "begun/checkpoints").mkdir(parents=True)
    assert main(["begun", "--output_dir", "report"]) == 0
    page = Path("report/report.html").read_text()
    assert "No run has finished a step" in page
    assert "no metrics.jsonl" in page


def test_a_study_beside_runs(folder):
    grid = {"objective": {name: {"algorithm.adv_estimator": name} for name in ("psr", "nsr")}}
    Path("study.yaml").write_text(
        "# Do they differ?\n" + yaml.safe_dump({"grid": grid, "seeds": [1, 2], "options": {"data.val_files": "x"}})
    )
    make_runs(Path("study.yaml"), Path("made"), num_problems=8, num_samples=4, steps=(0, 10, 20))
    assert main(["made", "--output_dir", "one"]) == 0
    page = Path("one/report.html").read_text()
    assert "Do they differ?" in page
    assert "Study study" in page
    assert main(["made", "out/runs", "--title", "Both", "--output_dir", "two"]) == 0
    page = Path("two/report.html").read_text()
    assert "<h1>Both</h1>" in page
    assert page.index("Do they differ?") < page.index("What happened while the runs trained?")
    names = {path.stem for path in Path("two/pictures").iterdir()}
    assert {"part1_pass_at_k", "part2_training"} <= names
    Path("study.yaml").unlink()
    assert main(["made", "--output_dir", "three"]) == 2


def test_json_of_a_study_page_is_no_study(folder):
    Path("out/generations/study.json").write_text(json.dumps({"names": []}))
    assert list(find_inputs(["out"]).answers) == ["base", "nsr", "psr"]


def test_help():
    done = subprocess.run(
        [sys.executable, "-m", "verl_ext.report", "--help"], capture_output=True, text=True, check=True
    )
    for said in ("watch", "study --runs", "[NAME=]PATH", "--question", "--every", "--base_again"):
        assert said in done.stdout
