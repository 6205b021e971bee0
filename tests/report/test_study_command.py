"""python -m verl_ext.report study, from files."""

import json
from pathlib import Path

import pytest
from matplotlib.image import imread

from verl_ext.metrics.label_file import write_labels
from verl_ext.plots import figures
from verl_ext.report.__main__ import main

PICTURES = ["accuracy", "by_level", "by_subject", "least_squares", "new_ability", "not_integers", "pass_at_k"]


def write(path, shift, num_problems=12, num_samples=8, seed_field=0, **more):
    """Problem p is solved by its first p // 2 + ``shift`` samples."""
    lines = []
    for problem in range(num_problems):
        for sample in range(num_samples):
            fields = {"question_id": str(problem), "generation_id": sample, "seed": seed_field}
            fields |= {"gold_answer": str(problem) if problem % 2 else r"\pi", "label": sample < problem // 2 + shift}
            fields |= {"level": f"Level {1 + problem % 3}", "subject": "Algebra" if problem % 4 else "Geometry"}
            lines.append(json.dumps(fields | more))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def folder(tmp_path, monkeypatch):
    write(tmp_path / "base/math500.jsonl", -2)
    write(tmp_path / "step9/math500.jsonl", 0)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def error_of(capsys, *arguments):
    assert main(["study", *arguments]) == 2
    return capsys.readouterr().err


def test_page_numbers_and_pictures(folder, capsys):
    assert main(["study", "--runs", "base=base", "step9=step9/math500.jsonl", "--output_dir", "out"]) == 0
    assert sorted(path.name for path in Path("out").iterdir()) == ["pictures", "study.html", "study.json"]
    assert sorted(path.name for path in Path("out/pictures").iterdir()) == sorted(
        f"{name}.{ending}" for name in PICTURES for ending in ("png", "svg")
    )
    assert capsys.readouterr().out == "out/study.html, study.json, and 14 files in out/pictures\n"
    study = json.loads(Path("out/study.json").read_text())
    assert study["names"] == ["base", "step9"]
    assert study["beyond"]["num_unsolved"] == 6
    assert study["beyond"]["abilities"][0]["num_solved"] == 4
    assert all(imread(f"out/pictures/{name}.png").shape[1] > 6 * figures.DPI for name in PICTURES)
    page = Path("out/study.html").read_text(encoding="utf-8")
    assert "python -m verl_ext.report study --runs base=base" in page
    assert "step9/math500.jsonl: 96 answers" in page


@pytest.mark.usefixtures("no_pixels")
def test_label_files_give_the_same_numbers(folder):
    assert main(["study", "--runs", "base=base", "step9=step9", "--output_dir", "lines"]) == 0
    for name in ("base", "step9"):
        write_labels(Path(name) / "math500.jsonl")
    assert main(["study", "--runs", "base=base", "step9=step9", "--output_dir", "labels"]) == 0
    assert Path("lines/study.json").read_text() == Path("labels/study.json").read_text()


@pytest.mark.usefixtures("no_pixels")
def test_a_file_without_levels(folder, capsys):
    """eval.py writes null where the task has none."""
    for name, shift in (("base", -2), ("step9", 0)):
        write(folder / name / "math500.jsonl", shift, level=None)
    assert main(["study", "--runs", "base=base", "step9=step9", "--output_dir", "out"]) == 0
    study = json.loads(Path("out/study.json").read_text())
    assert "field level" in study["by_level"]["why"]
    assert study["by_subject"]["values"] == ["Algebra", "Geometry"]
    assert not Path("out/pictures/by_level.png").exists()


@pytest.mark.usefixtures("no_pixels")
def test_pictures_of_an_earlier_study_are_removed(folder):
    main(["study", "--runs", "base=base", "step9=step9", "--output_dir", "out"])
    assert Path("out/pictures/by_level.png").exists()
    write(folder / "base/math500.jsonl", -2, level=None)
    main(["study", "--runs", "base=base", "--output_dir", "out"])
    assert not Path("out/pictures/by_level.png").exists()
    assert Path("out/pictures/by_subject.png").exists()


@pytest.mark.usefixtures("no_pixels")
def test_a_second_file_of_the_base(folder, capsys):
    write(folder / "again.jsonl", -1)
    runs = ["--runs", "base=base", "step9=step9"]
    assert main(["study", *runs, "--base_again", "again.jsonl", "--output_dir", "out"]) == 0
    assert json.loads(Path("out/study.json").read_text())["beyond"]["second_file"]["num_solved"] == 2
    assert "is a file of --runs" in error_of(capsys, *runs, "--base_again", "base")


@pytest.mark.usefixtures("no_pixels")
def test_folders_of_several_tasks(folder, capsys):
    for name, shift in (("base", -2), ("step9", 0)):
        write(folder / name / "gsm8k.jsonl", shift, num_problems=8)
    runs = ["--runs", "base=base", "step9=step9"]
    assert (
        "base is several files: base/gsm8k.jsonl, base/math500.jsonl. Name one, or the --task of a folder."
        in error_of(capsys, *runs)
    )
    assert "Did you mean math500?" in error_of(capsys, *runs, "--task", "mth500")
    assert "It has gsm8k, math500." in error_of(capsys, *runs, "--task", "xyz")
    assert main(["study", *runs, "--task", "MATH-500", "--output_dir", "out"]) == 0
    assert json.loads(Path("out/study.json").read_text())["num_problems"] == 12


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--runs", "base=base", "base=step9"], "--runs names base twice"),
        (["--runs", "base=base", "--runs", "base=step9"], "--runs names base twice"),
        (
            ["--runs", "base=[bs]*/*.jsonl", "--task", "math500"],
            "is several files: base/math500.jsonl, step9/math500.jsonl. Name one",
        ),
        (["--runs", "base=base", "b=base/math500.jsonl"], "base and b are one file, base/math500.jsonl"),
        (["--runs", "base"], "--runs takes NAME=PATH, such as base=outputs/base/math500.jsonl, got 'base'"),
        (["--runs", "=base"], "--runs takes NAME=PATH"),
        (["--runs", "base=bsae"], "bsae does not exist. Did you mean base?"),
        (["--runs", "base=base", "step9=step9", "--base", "stp9"], "No run is called stp9. Did you mean step9?"),
        (["--runs", "base=base", "--k", "16"], "pass@16 needs at least 16 samples"),
        (["--runs", "base=base", "--k", "0"], "--k must be whole numbers from 1, got 0"),
        (["--runs", "base=base", "--seed", "-1"], "--seed must be a whole number from 0"),
        (["--runs", "base=base", "--output_dir", "base/math500.jsonl"], "is a file. Give the name of a folder"),
    ],
)
def test_bad_input_is_one_line(folder, capsys, arguments, message):
    error = error_of(capsys, *arguments)
    assert message in error
    assert error.startswith("error: ")
    assert len(error.splitlines()) == 1
    assert not Path("outputs").exists()


def test_runs_about_other_problems(folder, capsys):
    write(folder / "step9/math500.jsonl", 0, num_problems=10)
    error = error_of(capsys, "--runs", "base=base", "step9=step9", "--output_dir", "out")
    assert "step9/math500.jsonl lacks 2 of the 12 problems of base/math500.jsonl, the first is question_id 10" in error
    assert not Path("out").exists()


@pytest.mark.usefixtures("no_pixels")
def test_bad_lines_are_refused_or_counted(folder, capsys):
    with Path("base/math500.jsonl").open("a") as file:
        file.write("x\n")
    assert "line 97, is not a JSON object" in error_of(capsys, "--runs", "base=base")
    assert main(["study", "--runs", "base=base", "--skip_bad_lines", "--output_dir", "out"]) == 0
    assert "base, lines left out" in Path("out/study.html").read_text(encoding="utf-8")


def test_help(capsys):
    with pytest.raises(SystemExit):
        main(["study", "--help"])
    said = capsys.readouterr().out
    assert "--base_again PATH" in said
    assert "study.html" in said
