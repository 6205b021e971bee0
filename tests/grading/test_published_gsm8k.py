"""The published reward of GSM8K, and what it gets wrong beside the general grader; docs/stages.md shows this table."""

import re
from pathlib import Path

import pytest

from verl_ext.grading import grade
from verl_ext.grading.published_gsm8k import grade_published_gsm8k, parse_reference

PAGE = Path(__file__).parents[2] / "docs/stages.md"
TABLE = [
    # response, reference, published, general
    (r"\boxed{7.0}", "7", "correct", "correct"),
    (r"\boxed{-12}", "-12", "correct", "correct"),
    (r"\boxed{8}", "7", "incorrect", "incorrect"),
    (r"\boxed{1,000}", "1000", "no_answer", "correct"),
    (r"\boxed{-\$5}", "-5", "no_answer", "correct"),
    (r"\boxed{\$18}", "18", "no_answer", "correct"),
    (r"\boxed{7\text{ apples}}", "7", "no_answer", "correct"),
    (r"\boxed{3.4.5}", "3", "unparsable", "incorrect"),
    (r"\boxed{6}, no: \boxed{7}", "7", "incorrect", "correct"),
    (r"\boxed{7}, no: \boxed{6}", "7", "correct", "incorrect"),
]


@pytest.mark.parametrize(("response", "reference", "published", "general"), TABLE)
def test_the_table(response, reference, published, general):
    assert grade_published_gsm8k(response, reference).reason == published
    assert grade(response, reference, "gsm8k").reason == general


def test_the_page_shows_the_table():
    rows = re.findall(r"^\| `(.+?)` \| (\S+) \| (\w+) \| (\w+) \|$", PAGE.read_text(), re.MULTILINE)
    assert rows == TABLE


def test_a_reference_is_a_number():
    assert parse_reference("so 3 + 4 = 7\n#### 1,007") == 1007
    with pytest.raises(ValueError, match="must be a number, got 'seven'"):
        parse_reference("seven")


def test_an_answer_that_was_cut():
    assert grade_published_gsm8k("so", "7", is_truncated=True).reason == "truncated"
    assert grade_published_gsm8k(r"\boxed{" + "9" * 100_000 + "}", "7").reason == "unparsable"


def test_a_run_can_choose_it(monkeypatch):
    monkeypatch.setenv("VERL_EXT_GRADER", "published_gsm8k")
    assert grade(r"\boxed{1,000}", "1000", "gsm8k").reason == "no_answer"
    assert grade(r"\boxed{1,000}", "1000", "math").reason == "correct"
