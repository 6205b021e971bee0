"""The references of the real data sets, graded against themselves and against the solutions they come from."""

import json

import pytest

from verl_ext.data.sources import load_rows, read_source
from verl_ext.grading import check_reference, grade
from verl_ext.tasks import task_named

SPLITS = [
    ("math", "train"),
    ("math", "test"),
    ("math500", "test"),
    ("aime2024", "test"),
    ("aime2025", "test"),
    ("amc23", "test"),
    ("gsm8k", "train"),
    ("gsm8k", "test"),
]
BROKEN_TARGETS = {
    ("train", 5341): "empty",
    ("train", 5343): "empty",
    ("train", 6627): "empty",
    ("train", 7301): "empty",
    ("train", 6811): "braces do not match",
    ("test", 3526): "empty",
    ("test", 1714): "braces do not match",
    ("test", 4134): "braces do not match",
}
"""MATH's published targets that the paper's normalization has destroyed: no answer can be compared with them."""

TWO_SPELLINGS = {("train", 5419), ("test", 3628)}
"""Solutions that box one answer in two spellings, "28 or 28_9" and "x+11 or 11+x", which reads as two answers."""


def boxed(reference):
    return rf"So the answer is $\boxed{{{reference}}}$."


@pytest.mark.parametrize(("name", "split"), SPLITS)
def test_every_reference_is_correct_against_itself(data_dir, name, split):
    rows = load_rows(name, data_dir, split)
    rejected = {}
    for row in rows:
        verdict = grade(boxed(row.ground_truth), row.ground_truth, row.data_source)
        if not verdict.is_correct:
            rejected[row.question_id] = row.ground_truth, verdict
    assert len(rows) == task_named(name).num_rows[split]
    assert not rejected


@pytest.mark.parametrize("split", ["train", "test"])
def test_every_published_target_is_correct_against_itself_or_known_to_be_broken(data_dir, split):
    rows, _ = read_source(task_named("math"), data_dir, split)
    faults = {}
    for index, row in enumerate(rows):
        target = row["reward_model"]["ground_truth"]["target"]
        try:
            check_reference(target, "math")
        except ValueError as error:
            faults[split, index] = str(error)
            continue
        if not grade(boxed(target), target, "math").is_correct:
            faults[split, index] = f"{target} is not itself"
    expected = {place: why for place, why in BROKEN_TARGETS.items() if place[0] == split}
    assert faults.keys() == expected.keys()
    assert all(expected[place] in why for place, why in faults.items())


@pytest.mark.parametrize(("name", "split"), [row for row in SPLITS if row[0] in {"math", "math500", "gsm8k"}])
def test_every_solution_is_correct(data_dir, name, split):
    """The data sets' own solutions as responses: what they box, in the middle of all they say, is the reference.

    Not where the reference had to be corrected: there the solution boxes something else, or several things.
    """
    source_rows, _ = read_source(task_named(name), data_dir, split)
    rejected = {}
    for index, (row, source) in enumerate(zip(load_rows(name, data_dir, split), source_rows, strict=True)):
        if row.correction is not None or (name == "math" and (split, index) in TWO_SPELLINGS):
            continue
        solution = source["reward_model"]["ground_truth"]["solution"] if name == "math" else source.get("solution")
        verdict = grade(solution or source["answer"], row.ground_truth, row.data_source)
        if not verdict.is_correct:
            rejected[index] = row.ground_truth, verdict
    assert not rejected


def test_the_known_broken_references_are_corrected(data_dir):
    broken = json.loads((data_dir / "math_broken_golds.json").read_text())["rows"]
    rows = load_rows("math", data_dir, "test")
    assert len(broken) == 15
    for entry in broken:
        row = rows[entry["i"]]
        corrected = {row.ground_truth, *row.also_right}
        right = entry["correct"].split(" or ")
        assert any(grade(boxed(right[-1]), reference, "math").is_correct for reference in corrected), entry
