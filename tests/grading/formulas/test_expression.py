from fractions import Fraction

import mpmath
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

from verl_ext.grading.formulas.expression import ExpressionError, Operation, TooComplexError, evaluate, names_of, parse

VALUES = {"x": 0.7, "y": 1.3, "a_1": 2.1}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1+2*3", "7"),
        ("-2^2", "-4"),
        ("2^3^2", "512"),
        ("2^-1", "1/2"),
        ("1/2/4", "1/8"),
        ("1/2x", "x/2"),
        ("2x(y+1)", "2*x*(y+1)"),
        ("5!", "120"),
        ("50%", "1/2"),
        (r"\frac{1}{2}x", "x/2"),
        (r"\binom{10}{3}", "120"),
        (r"\sqrt{x+y}", "sqrt(x+y)"),
        (r"\sqrt[3]{27}", "3"),
        (r"\sqrt[3]{-8}", "-2"),
        (r"\sqrt[2]{-4}", "2*I"),
        (r"\lfloor -2.5\rfloor", "-3"),
        (r"\lceil 2.1\rceil", "3"),
        ("|x-y|", "y-x"),
        ("|1-|x-2||", "Abs(1-Abs(x-2))"),
        (r"17\bmod 5", "2"),
        (r"\sin 2x", "sin(2*x)"),
        (r"\sin x\cos y", "sin(x)*cos(y)"),
        (r"\sin^2 x", "sin(x)**2"),
        (r"\sin 30\degree", "1/2"),
        (r"\cos(20\degree+40\degree)", "1/2"),
        (r"\sin^{-1} 1\degree", "pi/2"),
        (r"\sin^{-1} x", "asin(x)"),
        (r"\arctan x", "atan(x)"),
        (r"\log_2 8", "3"),
        (r"\ln x^2", "log(x**2)"),
        ("e^x", "exp(x)"),
        (r"\exp(x)", "exp(x)"),
        (r"\cosh x", "cosh(x)"),
        (r"e^{i\pi}", "-1"),
        ("a_1^2", "a_1**2"),
        ("a_{1}x", "a_1*x"),
        ("1,234.5", "1234.5"),
        (".5", "1/2"),
    ],
)
def test_values_are_those_of_sympy(text, expected):
    with mpmath.workdps(30):
        value = evaluate(parse(text), {name: mpmath.mpf(x) for name, x in VALUES.items()})
        exact = sympy.sympify(expected).subs({name: sympy.Float(x, 30) for name, x in VALUES.items()}).evalf(30)
        assert mpmath.almosteq(value, mpmath.mpmathify(exact), abs_eps=1e-14, rel_eps=1e-14)


@st.composite
def sums(draw, depth=3):
    """A formula as LaTeX or plain text, and its value by Python's arithmetic."""
    if not depth or draw(st.booleans()):
        number = draw(st.integers(0, 99))
        return str(number), Fraction(number)
    left, left_value = draw(sums(depth=depth - 1))
    right, right_value = draw(sums(depth=depth - 1))
    kind = draw(st.sampled_from(["+", "-", "*", "/", r"\frac", "^"]))
    if kind == "^" or (kind in {"/", r"\frac"} and not right_value):
        power = draw(st.integers(0, 3))
        return f"({left})^{{{power}}}", left_value**power
    if kind == r"\frac":
        return rf"\frac{{{left}}}{{{right}}}", left_value / right_value
    value = {
        "+": left_value + right_value,
        "-": left_value - right_value,
        "*": left_value * right_value,
        "/": left_value / (right_value or 1),
    }
    # Only the right side of a sum and the sides of a product need brackets.
    left = left if kind in "+-" else f"({left})"
    right = right if kind == "+" else f"({right})"
    return f"{left} {kind} {right}", value[kind]


@given(sums())
def test_arithmetic_is_pythons(formula):
    text, expected = formula
    with mpmath.workdps(50):
        value = evaluate(parse(text), {})
        assert mpmath.almosteq(value, mpmath.mpf(expected.numerator) / expected.denominator, rel_eps=1e-40)


@pytest.mark.parametrize("name", ["f", "g", "H", "f'"])
def test_an_unknown_function_is_equal_for_equal_arguments_only(name):
    def value(arguments):
        return evaluate(parse(f"{name}({arguments})"), {"x": mpmath.mpf(0.3)})

    assert mpmath.almosteq(value("x+x"), value("2x"))
    assert not any(mpmath.almosteq(value("2x"), value(arguments)) for arguments in ("x+1", "2x,1", "2x,x"))
    assert not mpmath.almosteq(value("2x"), evaluate(parse("h(2x)"), {"x": mpmath.mpf(0.3)}))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1+",
        "x =",
        r"\foo",
        "(1",
        "1)",
        r"\sum_k k",
        "a \\text{ or } b",
        "sin_2 x",
        "π",
        "\x00",
        "3 4",
        "binom(2,1)",
        "x_{1",
    ],
)
def test_outside_the_grammar(text):
    with pytest.raises(ExpressionError):
        parse(text)


@pytest.mark.parametrize(
    "text", ["9^{9^{9^{9}}}", r"(10^{13})!", "e^{10^{10}}", r"\cosh(10^{10})", r"\binom{10^{13}}{2}"]
)
def test_what_would_take_too_long_is_not_evaluated(text):
    """It is no ValueError, which would say that the formula has no value at this point."""
    assert not issubclass(TooComplexError, ValueError)
    with pytest.raises(TooComplexError):
        evaluate(parse(text), {})


@pytest.mark.parametrize("text", ["1+" * 2000 + "1", "(" * 30 + "-" * 201 + "1" + ")" * 30])
def test_what_has_too_many_operations_is_not_parsed(text):
    with pytest.raises(TooComplexError):
        parse(text)


@pytest.mark.parametrize("text", ["1/0", "0^{-1}", r"\sqrt[0]{2}"])
def test_what_has_no_value(text):
    with pytest.raises((ZeroDivisionError, ValueError)):
        evaluate(parse(text), {})


def test_names_keep_their_subscripts():
    assert names_of(parse(r"a_1 + a_{12} + a_{{1}{3}} + x' + \theta + e^{i\pi}")) == {
        "a_1",
        "a_12",
        "a_13",
        "x'",
        "theta",
    }


def test_equal_trees_are_equal_however_they_were_made():
    made = Operation("add", (Operation("number", text="1"), Operation("name", text="x")))
    assert made == parse("1+x")
    assert hash(made) == hash(parse("1+x"))
