"""Golden rows (countdown_cases.jsonl: add a line for a bug before mending it), properties, and hostile texts."""

import ast
import json
import operator
import random
from collections import Counter
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.effort import costs_less_than
from verl_ext.grading import Reason, Verdict
from verl_ext.grading.countdown import (
    MAX_EXPRESSION_CHARS,
    ExpressionError,
    canonical_answer,
    evaluate,
    parse,
    parse_reference,
)
from verl_ext.grading.grade import grade

CASES = [json.loads(line) for line in Path(__file__).with_name("countdown_cases.jsonl").read_text().splitlines()]

PYTHON_OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}


def is_number(token):
    return isinstance(token, int)


def python_value(text: str) -> Fraction:
    """Evaluate by Python's own parser, for comparison."""

    def value_of(node: ast.expr) -> Fraction:
        match node:
            case ast.BinOp():
                return PYTHON_OPERATORS[type(node.op)](value_of(node.left), value_of(node.right))
            case ast.Constant(value=int()):
                return Fraction(node.value)
        raise AssertionError(f"no expression of the grammar: {ast.dump(node)}")

    return value_of(ast.parse(f"({text})", mode="eval").body)


blanks = st.sampled_from(["", "", " ", "\n", "\t "])
expressions = st.recursive(
    st.integers(0, 30).map(str),
    lambda inner: st.one_of(
        st.tuples(blanks, inner, blanks).map(lambda parts: f"({''.join(parts)})"),
        # No parentheses: precedence and left-to-right order are put to the test.
        st.tuples(inner, blanks, st.sampled_from("+-*/"), blanks, inner).map("".join),
    ),
    max_leaves=12,
)
SOUP = "0123456789+-*/()= .,\u00d7\u00f7\u2212\uff11\u0661x_<>\x00"
grammar_soup = st.text(SOUP, max_size=40)
almost_expressions = st.builds(
    lambda text, place, inserted: text[:place] + inserted + text[place:],
    expressions,
    st.integers(0, 20),
    st.sampled_from(SOUP),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: repr(case["response"])[:50])
def test_golden_rows(case):
    reference = {"numbers": case["numbers"], "target": case["target"]}
    verdict = grade(case["response"], reference, "countdown", is_truncated=case.get("is_truncated", False))
    assert verdict.reason == case["reason"], verdict
    for field in ("answer", "rule", "tier", "detail"):
        if field in case:
            assert getattr(verdict, field) == case[field]


@given(expressions)
def test_value_is_pythons(text):
    try:
        expected = python_value(text)
    except ZeroDivisionError:
        with pytest.raises(ZeroDivisionError):
            evaluate(parse(text))
    else:
        assert evaluate(parse(text)) == expected


@given(st.one_of(grammar_soup, almost_expressions))
def test_accepts_only_what_python_reads_the_same(text):
    """Python's grammar is wider, so whatever ours accepts, Python must read, with the same numbers and value."""
    try:
        expression = parse(text)
    except ExpressionError:
        return
    ascii_text = text.translate({0xD7: "*", 0xF7: "/", 0x2212: "-"})
    try:
        assert evaluate(expression) == python_value(ascii_text)
    except ZeroDivisionError:
        with pytest.raises(ZeroDivisionError):
            python_value(ascii_text)


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

    assert costs_less_than(10, check)


@given(expressions, expressions, st.sampled_from("+*"))
def test_canonical_answer_ignores_order_and_parentheses(left, right, symbol):
    assert canonical_answer(f"({left}){symbol}({right})") == canonical_answer(f"(({right})) {symbol} ({left})")


@given(expressions, expressions, expressions, st.sampled_from(["+-", "*/"]))
def test_canonical_answer_ignores_grouping(a, b, c, symbols):
    plus, minus = symbols
    assert canonical_answer(f"(({a}){plus}({b})){plus}({c})") == canonical_answer(f"({a}){plus}(({b}){plus}({c}))")
    assert canonical_answer(f"({a}){minus}(({b}){minus}({c}))") == canonical_answer(f"(({a}){plus}({c})){minus}({b})")


@given(expressions)
def test_canonical_answer_is_an_expression_of_the_same_value_and_its_own_canonical_answer(text):
    canonical = canonical_answer(text)
    assert canonical_answer(canonical) == canonical
    assert Counter(filter(is_number, parse(canonical))) == Counter(filter(is_number, parse(text)))
    try:
        value = evaluate(parse(text))
    except ZeroDivisionError:
        return
    assert evaluate(parse(canonical)) == value


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("7+(3*5)", "7+3*5"),
        ("5*3 + 7", "7+3*5"),
        ("9-(5-2)", "2+9-5"),
        ("8/(4/2)", "2*8/4"),
        ("2*3-2*1", "2*3-1*2"),
        ("2*(3-1)", "2*(3-1)"),
        ("10+9", "9+10"),
        ("3\u00d75\u22127", "3*5-7"),
        (" not an expression ", "not an expression"),
    ],
)
def test_canonical_answer_by_hand(text, canonical):
    assert canonical_answer(text) == canonical


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
    ],
)
def test_broken_references_are_refused(reference):
    with pytest.raises(ValueError, match="ground truth of a countdown row must look like"):
        grade("3", reference, "countdown")
