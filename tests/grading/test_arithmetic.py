"""The parser and its values against Python's own; the canonical spelling by hand and by properties."""

import ast
import operator
from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verl_ext.grading.arithmetic import NotAnExpressionError, canonical_answer, evaluate, parse

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
    except NotAnExpressionError:
        return
    ascii_text = text.translate({0xD7: "*", 0xF7: "/", 0x2212: "-"})
    try:
        assert evaluate(expression) == python_value(ascii_text)
    except ZeroDivisionError:
        with pytest.raises(ZeroDivisionError):
            python_value(ascii_text)


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
