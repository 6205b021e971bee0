"""The tool that compares the verdicts of two checkouts: same seed, same cases; a moved verdict is found."""

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOL = ROOT / "benchmarks" / "verdicts.py"
sys.path.insert(0, str(TOOL.parent))
import verdicts  # noqa: E402

ROWS = {
    "cases": [
        {"suite": "a", "gold": r"\frac{1}{2}", "pred": "0.5", "kind": "expr", "expected": True},
        {"suite": "a", "gold": "4", "pred": "It is 4", "kind": "full", "expected": True},
    ],
    "kinds": [
        {"kind": "order", "reference": "x+1", "response": r"\boxed{1+x}", "expected": True},
        {"kind": "order", "reference": "2", "response": "?", "task": "gsm8k", "expected": False},
    ],
    "qwen_math_responses": [{"gold": "3", "pred": r"so \boxed{3}"}],
    "gsm8k_solutions": [{"gold": "18", "pred": "A: 18"}],
}


@pytest.fixture
def folder(tmp_path):
    for name, rows in ROWS.items():
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "golden.jsonl").write_text(json.dumps({"reference": "(1,2)", "answer": "(1, 2)"}) + "\n")
    return tmp_path


def command(*arguments):
    return subprocess.run(
        [sys.executable, TOOL, *map(str, arguments)], capture_output=True, text=True, check=False, cwd="/"
    )


def test_write_and_compare(folder):
    options = "--cases", folder, "--golden", folder / "golden.jsonl"
    written = command("write", folder / "one", *options, "--mutations", 40)
    assert written.returncode == 0, written.stderr
    rows = [json.loads(line) for line in (folder / "one").read_text().splitlines()]
    assert len(rows) == len({row["key"] for row in rows}) == 2 * 6 + 40
    (half,) = (row for row in rows if row["key"].startswith("default cases:0 "))
    assert (half["reason"], half["answer"], half["rule"], half["tier"]) == ("correct", "0.5", "box", "exact")

    rows.reverse()
    rows[0]["reason"] = "timed_out"
    (folder / "two").write_text("".join(json.dumps(row) + "\n" for row in rows))
    same = command("compare", folder / "one", folder / "two")
    assert same.returncode == 0, same.stdout
    assert "52 and 52 verdicts, 1 timed out on a side, 0 of the others differ" in same.stdout

    rows[1]["detail"] = "moved"
    (folder / "two").write_text("".join(json.dumps(row) + "\n" for row in rows))
    moved = command("compare", folder / "one", folder / "two")
    assert moved.returncode == 1
    assert "detail 'moved'" in moved.stdout

    (folder / "two").write_text("".join(json.dumps(row) + "\n" for row in rows[2:]))
    fewer = command("compare", folder / "one", folder / "two")
    assert fewer.returncode == 1
    assert "2 cases are in one file only" in fewer.stdout


def test_mistakes_by_kind(folder):
    cases = "--cases", folder
    assert (
        command("write", folder / "one", *cases, "--golden", folder / "golden.jsonl", "--mutations", 0).returncode == 0
    )
    rows = [json.loads(line) for line in (folder / "one").read_text().splitlines()]
    for row in rows:
        if row["key"].startswith("default kinds:"):
            row["reason"] = "incorrect" if row["reason"] == "correct" else "correct"
    (folder / "two").write_text("".join(json.dumps(row) + "\n" for row in rows))
    printed = command("mistakes", folder / "one", folder / "two", *cases).stdout.splitlines()
    assert [line.split() for line in printed if line.startswith("kind: order")] == ["kind: order 2 0 + 0 1 + 1".split()]
    assert [line.split() for line in printed if line.startswith("a  ")] == ["a 1 0 + 0 0 + 0".split()]

    (folder / "two").write_text("")
    refused = command("mistakes", folder / "one", folder / "two", *cases)
    assert refused.returncode == 1
    assert "two has no verdict on row 0 of cases" in refused.stderr


def test_the_cases_depend_on_the_seed(folder):
    def keys(seed):
        cases = verdicts.mutated_cases(folder, folder / "golden.jsonl", 200, seed)
        return [case.key for case in cases]

    assert keys(0) == keys(0)
    assert not set(keys(0)) & set(keys(1))


@pytest.mark.parametrize("mutate", verdicts.MUTATIONS, ids=lambda mutate: mutate.__name__)
def test_every_mutation_takes_any_text_and_changes_some(mutate):
    texts = ["", "x", r"\frac{1}{2}, (3, -4]", "yes"]
    generator = random.Random(0)
    assert any(mutate(generator, text) != text for text in texts for _ in range(5))


def test_a_folder_without_the_cases_is_named(tmp_path):
    failed = command("write", tmp_path / "one", "--cases", tmp_path)
    assert failed.returncode == 1
    assert f"There is no {tmp_path}/cases.jsonl. Name the folder of the cases with --cases" in failed.stderr
