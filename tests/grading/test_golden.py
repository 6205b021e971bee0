r"""Verdicts that must not move, in golden.jsonl: one JSON object per line, for anyone to extend. A bug is a row first.

reference     the ground truth, as the data set writes it
answer        what the response boxes; or response, the whole text
reason        the verdict: correct, incorrect, no_answer, truncated, unparsable, timed_out
why           the convention that the row is about
task          math where there is none
is_truncated  true where the response was cut by its length limit
"""

import json
from pathlib import Path

import pytest

from verl_ext.grading import Reason, grade

ROWS = [json.loads(line) for line in Path(__file__).with_name("golden.jsonl").read_text().splitlines()]
FIELDS = {"reference", "answer", "response", "reason", "why", "task", "is_truncated"}


@pytest.mark.parametrize("row", ROWS, ids=[f"{number}: {row['why']}" for number, row in enumerate(ROWS, 1)])
def test_golden_row(row):
    response = row["response"] if "response" in row else rf"So the answer is $\boxed{{{row['answer']}}}$."
    is_truncated = row.get("is_truncated", False)
    verdict = grade(response, row["reference"], row.get("task", "math"), is_truncated=is_truncated, grader="default")
    assert verdict.reason is Reason(row["reason"]), verdict


def test_rows_are_well_formed():
    for number, row in enumerate(ROWS, 1):
        assert row.keys() <= FIELDS, f"golden.jsonl:{number} has a field that nobody reads"
        assert row.keys() >= {"reference", "reason", "why"}, f"golden.jsonl:{number} lacks a field"
        assert ("answer" in row) != ("response" in row), f"golden.jsonl:{number} needs an answer or a response"
    keys = [(row["reference"], row.get("answer"), row.get("response"), row.get("is_truncated")) for row in ROWS]
    assert len(set(keys)) == len(keys)
