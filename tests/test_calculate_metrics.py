import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import calculate_metrics
from calculate_metrics import main

SCRIPT = Path(calculate_metrics.__file__)
RIGHT = {"base": [1, 3, 0, 8, 2, 5], "nsr": [2, 5, 0, 8, 4, 6]}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two runs over six problems of 8 answers, in a folder that is the working directory."""
    for name, counts in RIGHT.items():
        lines = [json.dumps({"kind": "header", "model": name})]
        for problem, num_correct in enumerate(counts):
            for generation in range(8):
                is_correct = generation < num_correct
                record = {
                    "question_id": problem,
                    "generation_id": generation,
                    "response": "." * 90,
                    "label": is_correct,
                }
                record |= {"pred_answer": "42" if is_correct else str(generation), "gold_answer": "42"}
                lines.append(json.dumps(record | {"level": 1 + problem % 2, "subject": "algebra"}))
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def paper_pass_at_k(counts, n, k):
    """The product of the paper's released script (RLVR-Decomposed, calculate_metrics.py)."""
    values = [1.0 if n - c < k else 1.0 - np.prod(1.0 - k / np.arange(n - c + 1, n + 1)) for c in counts]
    return np.mean(values)


def refused(capsys, *arguments, **options):
    with pytest.raises(SystemExit) as exit_:
        main(*arguments, **options)
    assert exit_.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("calculate_metrics.py: ")
    return captured.err


def test_table(folder, capsys):
    main(file_path="nsr.jsonl")
    text = capsys.readouterr().out
    assert "nsr: nsr.jsonl" in text
    assert "6 problems, 8 samples each, 48 answers, 25 correct; avg@8 52.1 %" in text
    rows = [line.split() for line in text.splitlines() if re.match(r" *\d+ +\d+\.\d ", line)]
    assert [(int(row[0]), float(row[1])) for row in rows] == [
        (k, round(100 * paper_pass_at_k(RIGHT["nsr"], 8, k), 1)) for k in (1, 2, 4, 8)
    ]
    assert [line.endswith("k = n") for line in text.splitlines() if re.match(r" *\d+ +\d+\.\d ", line)] == [
        False,
        False,
        False,
        True,
    ]
    starts = {line.index("[") for line in text.splitlines() if re.match(r" *[124] +\d", line)}
    assert len(starts) == 1  # the columns are aligned


def test_equals_the_papers_script(folder):
    main(file_path="base.jsonl", json="out.json")
    (measured,) = json.loads(Path("out.json").read_text())["files"]
    curve = measured["pass_at_k"]
    for k, value in zip(curve["ks"], curve["pass_at_k"], strict=True):
        assert value == pytest.approx(paper_pass_at_k(RIGHT["base"], 8, k), abs=1e-12)


@pytest.mark.parametrize("file_path", ["base.jsonl,nsr.jsonl", ["base.jsonl", "nsr.jsonl"], ".", "*.jsonl"])
def test_several_files_side_by_side(folder, capsys, file_path):
    main(file_path=file_path)
    text = capsys.readouterr().out
    assert text.index("base: ") < text.index("nsr: ")
    differences = [line.split() for line in text.splitlines() if line.startswith("nsr - base")]
    assert [row[3] for row in differences] == ["1", "2", "4", "8"]
    assert differences[0][4] == "+12.5"


def test_files_that_the_shell_expanded(folder, capsys):
    main("nsr.jsonl", file_path="base.jsonl")
    assert "nsr - base" in capsys.readouterr().out


def test_a_file_against_itself(folder, capsys):
    main(file_path="nsr.jsonl,nsr.jsonl")
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("nsr (2) - nsr")]
    assert len(rows) == 4
    most = f"{100 * (1 - 0.025 ** (1 / 6)):.1f}"  # of six problems that are the same, how many may yet be others
    assert [row[5:10] for row in rows] == [["0.0", f"[-{most},", f"+{most}]", "1.0000", "1.0000"]] * 4


def test_other_problems_are_measured_but_not_compared(folder, capsys):
    Path("aime.jsonl").write_text('{"question_id": 0, "label": 1, "gold_answer": "204"}\n')
    main(file_path="nsr.jsonl,aime.jsonl")
    text = capsys.readouterr().out
    assert "Not compared: aime.jsonl and nsr.jsonl are about other problems: question_id 0" in text
    assert "decided" not in text


def test_by(folder, capsys):
    main(file_path="nsr.jsonl", k=(1, 8), by=("level", "subject"))
    _, _, text = capsys.readouterr().out.partition("by level")
    assert [line.split() for line in text.splitlines() if line.startswith(("1 ", "2 ", "algebra"))] == [
        ["1", "3", "25.0", "66.7"],
        ["2", "3", "79.2", "100.0"],
        ["algebra", "6", "52.1", "83.3"],
    ]


def test_majority(folder, capsys):
    main(file_path="nsr.jsonl", k=8, maj=True)
    row = next(line.split() for line in capsys.readouterr().out.splitlines() if line.lstrip().startswith("8 "))
    # Two of 8 beat the others, which differ from each other; none of 8 cannot.
    assert row[6] == "83.3"


def test_json_and_csv_agree(folder, capsys):
    main(file_path=".", by="level", maj=True, json="out.json", csv="out.csv")
    out = json.loads(Path("out.json").read_text())
    assert [measured["path"] for measured in out["files"]] == ["base.jsonl", "nsr.jsonl"]
    assert out["files"][0]["headers"] == [{"kind": "header", "model": "base"}]
    with Path("out.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    whole = [row for row in rows if not row["by"]]
    assert [float(row["pass_at_k"]) for row in whole] == [
        value for measured in out["files"] for value in measured["pass_at_k"]["pass_at_k"]
    ]
    assert [float(row["difference"]) for row in whole if row["difference"]] == [
        row["difference"] for row in out["differences"]
    ]
    assert [row["noise_low"] == "" for row in whole] == [row["k"] == "8" for row in whole]
    assert {(row["by"], row["value"]) for row in rows} == {("", ""), ("level", "1"), ("level", "2")}
    assert float(whole[-1]["maj_at_k"]) == pytest.approx(out["files"][1]["maj_at_k"]["maj_at_k"][-1])


def test_plot(folder):
    main(file_path=".", plot="curve.png")
    assert Path("curve.png").read_bytes().startswith(b"\x89PNG")


def test_the_seed_moves_only_the_intervals(folder):
    curves = []
    for seed in (0, 0, 1):
        main(file_path="nsr.jsonl", seed=seed, json="out.json")
        curves.append(json.loads(Path("out.json").read_text())["files"][0]["pass_at_k"])
    assert curves[0] == curves[1]
    assert curves[0]["pass_at_k"] == curves[2]["pass_at_k"]
    assert curves[0]["low"] != curves[2]["low"]


def test_unequal_n(folder, capsys):
    with Path("nsr.jsonl").open("a") as file:
        file.write('{"question_id": 0, "generation_id": 8, "label": 0}\n')
    main(file_path="nsr.jsonl")
    text = capsys.readouterr().out
    assert "6 problems, 8 to 9 samples each, 49 answers" in text
    (last,) = [line for line in text.splitlines() if line.lstrip().startswith("9 ")]
    assert last.endswith("1  k = n; 5 left out: fewer than 9 samples")


def test_bad_lines(folder, capsys):
    with Path("nsr.jsonl").open("a") as file:
        file.write('{"question_id": 0, "generation_id": 8, "la')
    assert "nsr.jsonl, line 50, is not a JSON object" in refused(capsys, file_path="nsr.jsonl")
    main(file_path="nsr.jsonl", skip_bad_lines=True)
    assert "1 bad lines left out (--skip_bad_lines)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "--file_path is missing"),
        ({"file_path": True}, "--file_path needs a value"),
        ({"file_path": "nrs.jsonl"}, "nrs.jsonl does not exist. Did you mean nsr.jsonl?"),
        ({"file_path": "*.json"}, "No file matches *.json."),
        (
            {"file_path": "nsr.jsonl", "k": 16},
            "pass@16 needs at least 16 samples per problem, got 8 (nsr). Choose k up to 8.",
        ),
        ({"file_path": "nsr.jsonl", "k": 0}, "--k must be whole numbers from 1, such as 1,8,64, got '0'."),
        ({"file_path": "nsr.jsonl", "k": (1, "x")}, "got 'x'."),
        ({"file_path": "nsr.jsonl", "k": 1.5}, "got '1.5'."),
        ({"file_path": "nsr.jsonl", "by": "topic"}, "has no topic"),
        ({"file_path": "nsr.jsonl", "by": True}, "--by needs a value: the names of fields"),
        ({"file_path": "nsr.jsonl", "json": True}, "--json needs a value: the name of the file to write."),
        (
            {"file_path": "nsr.jsonl", "csv": "no/out.csv"},
            "no/out.csv cannot be written: the folder no does not exist.",
        ),
        ({"file_path": "nsr.jsonl", "plot": "out.docx"}, "--plot out.docx"),
        ({"file_path": "nsr.jsonl", "skip_bad_lines": 3}, "--skip_bad_lines is a switch and takes no value, got 3."),
        ({"file_path": "nsr.jsonl", "seed": -1}, "--seed must be a whole number from 0, got -1."),
        ({"file_path": "nsr.jsonl", "ks": 3}, "There is no option --ks. Did you mean --k?"),
        ({"file_path": "nsr.jsonl", "zzz": 3}, "There is no option --zzz. The options are --file_path, --k,"),
    ],
)
def test_bad_input(folder, capsys, options, message):
    assert message in refused(capsys, **options)


def test_help(capsys):
    main(help=True)
    text = capsys.readouterr().out
    assert all(f"{name}:" in text for name in calculate_metrics._OPTIONS)


def test_empty_file(folder, capsys):
    Path("empty.jsonl").touch()
    assert "empty.jsonl holds no answers (it is empty)" in refused(capsys, file_path="empty.jsonl")


def test_names_tell_files_apart(folder, capsys):
    for step in ("step_10", "step_20"):
        Path(step).mkdir()
        Path(step, "nsr.jsonl").write_text(Path("nsr.jsonl").read_text())
    main(file_path="step_10,step_20,base.jsonl")
    text = capsys.readouterr().out
    assert "step_20/nsr - step_10/nsr" in text
    assert "base - step_10/nsr" in text


def test_command_line(folder):
    """As a user types it: the table, or one clear line and a non-zero exit; matplotlib is loaded for a plot only."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", SCRIPT, "--file_path", "base.jsonl,nsr.jsonl", "--k", "1,8"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "nsr - base" in done.stdout
    for heavy in ("matplotlib", "torch", "verl.", "pandas", "jinja2"):
        assert f" {heavy}" not in done.stderr
    failed = subprocess.run(
        [sys.executable, SCRIPT, "--file_path", "missing.txt"], capture_output=True, text=True, check=False
    )
    assert failed.returncode == 2
    assert failed.stderr == "calculate_metrics.py: missing.txt does not exist.\n"
