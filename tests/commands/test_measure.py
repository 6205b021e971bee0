"""calculate_metrics.py over strict verdicts, label files, compressed files and the paper's own files."""

import csv
import gzip
import json
import os
import re
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from calculate_metrics import main
from verl_ext.metrics.label_file import write_labels


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """One run, nsr.jsonl, of five problems and 8 answers, in a folder that is the working directory."""
    lines = []
    for problem in range(5):
        for generation in range(8):
            is_correct = generation < problem + 1
            tier = "symbolic" if is_correct and generation % 2 else "exact"
            reason = "correct" if is_correct else "timed_out" if generation == 7 else "incorrect"
            record = {"question_id": str(problem), "generation_id": generation, "response": "." * 90}
            record |= {"pred_answer": "42" if is_correct else str(generation), "gold_answer": "42", "label": is_correct}
            lines.append(json.dumps(record | {"reason": reason, "tier": tier, "level": 1 + problem % 2}))
    (tmp_path / "nsr.jsonl").write_text("\n".join(lines) + "\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def measured(**options):
    main(json="out.json", **options)
    return json.loads(Path("out.json").read_text())


def test_strict_beside_lenient(folder, capsys):
    """Problem p has p + 1 correct answers, the even ones of them exact: 1 to 5, and 1, 1, 2, 2, 3 of 8."""
    main(file_path="nsr.jsonl", csv="out.csv", k=(1, 8))
    text = capsys.readouterr().out
    assert "40 answers, 15 correct; avg@8 37.5 %; 9 correct by the strict verdicts" in text
    assert "incorrect 20, correct 15, timed_out 5\n" in text
    assert "5 answers of which nobody knows whether they are right are counted as not correct: 5 timed out" in text
    assert "strict: an answer counts as correct only if" in text
    row = next(line for line in text.splitlines() if line.startswith("1  "))
    assert re.findall(r"([0-9.]+) *\[", row) == ["37.5", "22.5"]  # what stands before an interval over problems
    (curve,) = measured(file_path="nsr.jsonl")["files"]
    assert curve["strict_pass_at_k"]["pass_at_k"][0] == pytest.approx(9 / 40)
    assert (curve["num_undecided"], curve["reasons"]["timed_out"]) == (5, 5)
    with Path("out.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert float(rows[0]["strict_pass_at_k"]) == pytest.approx(9 / 40)
    assert float(rows[0]["strict_low"]) < 9 / 40 < float(rows[0]["strict_high"])


def test_json_has_no_nan(folder):
    """Whatever a header holds, and of one problem that has no interval."""
    Path("one.jsonl").write_text(
        '{"kind": "header", "loss": NaN, "best": [Infinity]}\n{"question_id": 0, "label": 1}\n'
    )
    main(file_path="one.jsonl", json="out.json")
    (curve,) = json.loads(Path("out.json").read_text(), parse_constant=pytest.fail)["files"]
    assert curve["headers"] == [{"kind": "header", "loss": None, "best": [None]}]


def test_no_strict_column_without_tiers(folder, capsys):
    Path("old.jsonl").write_text('{"question_id": 0, "label": true}\n')
    main(file_path="old.jsonl")
    assert "strict" not in capsys.readouterr().out
    assert measured(file_path="old.jsonl")["files"][0]["strict_pass_at_k"] is None


def without_source(result):
    return [{name: value for name, value in file.items() if name != "counted_from"} for file in result["files"]]


def test_label_file(folder, capsys):
    """The same numbers, and not a line is read: the lines are overwritten by as many blanks in the same nanosecond."""
    lines = measured(file_path="nsr.jsonl", by="level", maj=True)
    write_labels(Path("nsr.jsonl"))
    stat = Path("nsr.jsonl").stat()
    Path("nsr.jsonl").write_text(" " * stat.st_size)
    os.utime("nsr.jsonl", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    capsys.readouterr()
    labels = measured(file_path=".", by="level", maj=True)
    captured = capsys.readouterr()
    assert without_source(labels) == without_source(lines)
    assert labels["files"][0]["counted_from"] == "nsr.jsonl.labels.npz"
    assert "counted from nsr.jsonl.labels.npz" in captured.out
    assert captured.err == ""


@pytest.mark.parametrize(
    ("by", "why"), [(None, "was made from another state of nsr.jsonl"), ("reason", "does not hold reason")]
)
def test_a_label_file_that_does_not_fit_is_said_and_left_aside(folder, capsys, by, why):
    write_labels(Path("nsr.jsonl"))
    with Path("nsr.jsonl").open("a") as lines:
        if by is None:
            lines.write('{"question_id": "0", "generation_id": 8, "label": 1, "tier": "exact"}\n')
    if by is None:
        (file,) = measured(file_path="nsr.jsonl")["files"]
        assert file["pass_at_k"]["num_answers"] == 41
        assert file["counted_from"] is None
    else:
        with pytest.raises(SystemExit):  # the lines do not have one reason a problem either
            main(file_path="nsr.jsonl", by=by)
    note = capsys.readouterr().err.splitlines()[0]
    assert note.startswith(f"Note: nsr.jsonl.labels.npz {why}")
    assert note.endswith("It is left aside, and the answers themselves are read.")


def test_compressed(folder):
    plain = measured(file_path="nsr.jsonl")["files"][0]
    Path("packed.jsonl.gz").write_bytes(gzip.compress(Path("nsr.jsonl").read_bytes()))
    packed = measured(file_path="packed.jsonl.gz")["files"][0]
    assert packed["pass_at_k"] == plain["pass_at_k"] | {"name": "packed"}


def papers_script(path, k, n=256):
    """What the paper's released calculate_metrics.py does: reads the file once per k, and n is fixed."""
    correct = defaultdict(list)
    for line in path.read_text().splitlines():
        example = json.loads(line)
        correct[example["question_id"]].append(example["label"])
    total = 0.0
    for labels in correct.values():
        assert len(labels) == n
        c = sum(labels)
        total += 1.0 if n - c < k else 1.0 - np.prod(1.0 - k / np.arange(n - c + 1, n + 1))
    return total / len(correct)


def test_the_papers_files_and_numbers(folder):
    """The fields and their order as its eval.py writes them, the response twice; equal to its script to 1e-12."""
    rng = np.random.default_rng(0)
    chances = [0.0, 0.002, 0.05, 0.3, 0.9, 1.0]
    with Path("MATH-test-temp_0.6.jsonl").open("w") as file:
        for problem, chance in enumerate(chances):
            for generation in range(256):
                label = bool(rng.random() < chance)
                response = 'Let "x" be \\boxed{' + ("4" if label else "5") + "}, \n" + "so " * 40
                fields = {"prompt": "<|im_start|>" + "p" * 90, "vanilla_response": response, "question": "q" * 70}
                fields |= {"answer": "solution " * 9, "question_id": problem, "generation_id": generation}
                fields |= {"response": response, "label": label, "gold_answer": "4"}
                file.write(json.dumps(fields | {"pred_answer": "4" if label else "5"}) + "\n")
    (ours,) = measured(file_path="MATH-test-temp_0.6.jsonl", maj=True)["files"]
    assert ours["pass_at_k"]["ks"] == [1, 2, 4, 8, 16, 32, 64, 128, 256]
    for k, value in zip(ours["pass_at_k"]["ks"], ours["pass_at_k"]["pass_at_k"], strict=True):
        assert value == pytest.approx(papers_script(Path("MATH-test-temp_0.6.jsonl"), k), rel=0, abs=1e-12)
    assert ours["maj_at_k"]["maj_at_k"][-1] == pytest.approx(2 / 6)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "bad.jsonl holds no answers (it is empty). Expected a JSON object per line"),
        (b'{"kind": "header", "num_samples": 0}\n', "bad.jsonl holds no answers (only a header)"),
        (b'{"question_id": 1, "label": 1}\n{"que', "bad.jsonl, line 2, is not a JSON object like"),
        (b'{"question_id": 1}\n', "bad.jsonl, line 1, has no label (expected 0, 1, true or false)"),
        (b'{"label": 1}\n', "bad.jsonl, line 1, has no question_id (expected an integer or a string)"),
        (b'{"question_id": 1, "generation_id": 0, "label": 1}\n' * 2, "bad.jsonl, line 2, repeats question_id 1"),
        (
            gzip.compress(b'{"question_id": 1, "label": 1}\n' * 99, mtime=0)[:-9],
            "bad.jsonl is cut, or is still being written. Decompress",
        ),
    ],
)
def test_bad_files(folder, capsys, content, message):
    """One line on stderr that starts with the file, no traceback, and nothing that looks like a result."""
    Path("bad.jsonl").write_bytes(content)
    with pytest.raises(SystemExit) as exit_:
        main(file_path="bad.jsonl")
    captured = capsys.readouterr()
    assert (exit_.value.code, captured.out) == (2, "")
    assert captured.err.startswith(f"calculate_metrics.py: {message}")
    assert captured.err.count("\n") == 1
