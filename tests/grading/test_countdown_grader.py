"""Golden rows (countdown_cases.jsonl: add a line for a bug before fixing it), properties, and hostile texts."""

import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.effort import within
from tests.grading.test_arithmetic import expressions, grammar_soup, is_number
from verl_ext.grading import Reason, Verdict, grade
from verl_ext.grading.arithmetic import MAX_EXPRESSION_CHARS, evaluate, parse
from verl_ext.grading.countdown_grader import parse_reference

CASES = [json.loads(line) for line in Path(__file__).with_name("countdown_cases.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("case", CASES, ids=lambda case: repr(case["response"])[:50])
def test_golden_rows(case):
    reference = {"numbers": case["numbers"], "target": case["target"]}
    verdict = grade(case["response"], reference, "countdown", is_truncated=case.get("is_truncated", False))
    assert verdict.reason == case["reason"], verdict
    for field in ("answer", "rule", "tier", "detail"):
        if field in case:
            assert getattr(verdict, field) == case[field]


@given(expressions)
def test_a_right_expression_is_correct_and_another_target_is_not(text):
    numbers = list(filter(is_number, parse(text)))
    random.Random(0).shuffle(numbers)
    try:
        value = evaluate(parse(text))
    except ZeroDivisionError:
        assert grade(text, {"numbers": numbers, "target": 0}, "countdown").detail == "division by zero"
        return
    target = int(value)
    expected = Reason.CORRECT if value == target else Reason.INCORRECT
    assert grade(text, {"numbers": numbers, "target": target}, "countdown").reason is expected
    assert grade(text, {"numbers": numbers, "target": target + 1}, "countdown").reason is Reason.INCORRECT
    assert grade(text, {"numbers": [*numbers, 1], "target": target}, "countdown").tier == "numbers"


@given(st.one_of(st.text(), grammar_soup), st.booleans(), st.booleans())
def test_any_text_gets_a_verdict(text, has_tag, is_truncated):
    response = f"<think>hm</think><answer>{text}</answer>" if has_tag else text
    verdict = grade(response, {"numbers": [3, 5, 7], "target": 22}, "countdown", is_truncated=is_truncated)
    assert isinstance(verdict, Verdict)
    assert verdict.reason is not Reason.GRADER_ERROR
    assert verdict.is_correct == (verdict.reason is Reason.CORRECT)
    assert bool(verdict.detail) != verdict.is_correct


LONG = 10**6
HOSTILE = {
    "sum of 5e5 ones": "1+" * (LONG // 2) + "1",
    "10^6 digits": "9" * LONG,
    "10^6 blanks": " " * LONG,
    "10^6 NULs": "\0" * LONG,
    "10^6 opening parentheses": "(" * LONG,
    "10^6 closing parentheses": ")" * LONG,
    "5e5 nested pairs": "(" * (LONG // 2) + ")" * (LONG // 2),
    "prose": "so 3 times 5 is 15 and " * (LONG // 23),
    "open tags": "<answer>" * (LONG // 8),
    "close tags": "</answer>" * (LONG // 9),
    "open tags, then close tags": "<answer>" * (LONG // 16) + "</answer>" * (LONG // 18),
    "pairs of tags": "<answer></answer>" * (LONG // 17),
    "tags with half a million signs": f"<answer>{'-' * (LONG // 2)}3</answer>",
    "code": "<answer>" + "__import__('os')." * (LONG // 17) + "</answer>",
    "as long as allowed: a sum": f"<answer>{'1+' * (MAX_EXPRESSION_CHARS // 2 - 1)}11</answer>",
    "as long as allowed: a product": f"<answer>{'9*' * (MAX_EXPRESSION_CHARS // 2 - 1)}99</answer>",
    "as long as allowed: parentheses": f"<answer>{'(' * 749}3{')' * 749}</answer>",
    "as long as allowed: a number": f"<answer>{'9' * MAX_EXPRESSION_CHARS}</answer>",
    "as long as allowed: a bare number": "9" * MAX_EXPRESSION_CHARS,
    "10^6 blanks in a tag": f"<answer>{' ' * LONG}</answer>",
    "answer behind 10^6 blanks": f"{' ' * LONG}3*5+7",
    "as long as allowed: a tower": f"<answer>{'9**' * 499}9</answer>",
    "as long as allowed: continued fraction": f"<answer>{'1+1/(' * 249}3{')' * 249}</answer>",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_graded_in_a_moment(name):
    def check() -> None:
        verdict = grade(HOSTILE[name], {"numbers": [3, 5, 7], "target": 22}, "countdown")
        assert verdict.reason in (Reason.NO_ANSWER, Reason.UNPARSABLE, Reason.INCORRECT)
        assert verdict.detail
        assert len(verdict.answer or "") <= MAX_EXPRESSION_CHARS

    within(10, check)


class Array:
    """Like a numpy array: iterable, not a sequence."""

    def __iter__(self):
        return iter([7, 5, 3])


@pytest.mark.parametrize(
    "reference",
    [
        {"numbers": [3, 5, 7], "target": 22},
        {"nums": (7, 3, 5), "target": 22},
        {"numbers": Array(), "target": 22},
        '{"numbers": [3, 5, 7], "target": 22}',
    ],
)
def test_references_that_are_read(reference):
    assert parse_reference(reference) == ((3, 5, 7), 22)


@pytest.mark.parametrize(
    "reference",
    [
        None,
        "",
        "22",
        "[3, 5]",
        {},
        {"numbers": [3]},
        {"target": 3},
        {"numbers": [], "target": 3},
        {"numbers": None, "target": None},
        {"numbers": [-3, 5], "target": 2},
        {"numbers": [1.5], "target": 1},
        "[" * 100_000,
        '{"numbers": [' + "9" * 5000 + '], "target": 22}',
        '{"numbers": {"3": 5}, "target": Infinity}',
    ],
)
def test_broken_references_are_refused(reference):
    with pytest.raises(ValueError, match="ground truth of a countdown row must look like"):
        grade("3", reference, "countdown")
