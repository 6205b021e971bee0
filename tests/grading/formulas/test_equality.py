import pytest

from tests.effort import within
from verl_ext.grading.formulas.equality import is_same_constant, subtract, vanishes
from verl_ext.grading.formulas.expression import TooComplexError, parse

EQUAL = [
    ("5-x", "-x+5"),
    ("|x-5|", r"\sqrt{x^2-10x+25}"),
    (r"\frac{|x|}{x}", r"\frac{x}{|x|}"),
    (r"|x-2000|", r"|2000-x|"),
    (r"2\ln x", r"\ln x^2"),
    (r"\sin^2 x+\cos^2 x", "1"),
    (r"\cosh^2 x - \sinh^2 x", "1"),
    ("n!", "n*(n-1)!"),
    (r"\binom{2n}{n}", r"\frac{(2n)!}{(n!)^2}"),
    (r"\binom{n}{3}", r"\frac{n(n-1)(n-2)}{6}"),
    ("(-1)^n", r"\cos(n*\pi)"),
    ("(-2)^{2n+1}", "-2*4^n"),
    (r"2^{n+300}", r"2^{300}*2^n"),
    (r"\sqrt{x-5}\sqrt{x-5}", "x-5"),
    (r"\sqrt{a}\sqrt{b}", r"\sqrt{ab}"),
    (r"\sqrt{\frac{a}{b}}", r"\frac{\sqrt{a}}{\sqrt{b}}"),
]
DIFFERENT = [
    ("7-x", "|x-7|"),
    ("-2x", "|x-4|-|x+4|"),
    ("x-8", r"\sqrt{x^2-16x+64}"),
    ("2000-x", "|x-2000|"),
    ("0", r"\lfloor\frac{|x|}{20}\rfloor"),
    ("0", r"\lfloor\frac{|x|}{1500}\rfloor"),
    ("|x-4.5|+|x-5|", "|2x-9.5|"),
    (r"|x-4.5|+\sqrt{x^2-10x+25}", "|2x-9.5|"),
    ("x+y", "|x+y-30|+30"),
    ("a", r"\sqrt{a^2}"),
    (r"\arctan x+\arctan\frac1x", r"\frac{\pi}{2}"),
    ("n!", "n*(n-2)!"),
    (r"\binom{n}{2}", r"\frac{n(n+1)}{2}"),
    ("(-1)^n", "1"),
    ("(-1)^n", r"-\cos(n*\pi)"),
    ("2^{n+300}", "2^{n+300}+1"),
    ("x", r"x+10^{-150}"),
    ("x^2", "|x|x"),
    ("1", r"\frac{|x-40|}{40-x}"),
]


@pytest.mark.parametrize(("left", "right"), EQUAL)
def test_formulas_that_are_the_same_everywhere(left, right):
    difference = subtract(parse(left), parse(right))
    assert within(50, lambda: vanishes(difference)) is True


@pytest.mark.parametrize(("left", "right"), DIFFERENT)
def test_formulas_that_differ_somewhere(left, right):
    assert vanishes(subtract(parse(left), parse(right))) is False
    assert vanishes(subtract(parse(right), parse(left))) is False


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (r"\pi", r"\pi+10^{-200}", False),
        (r"\pi", r"\pi+10^{-2000}", False),
        ("e^{3000}", "e^{3000}+1", False),
        ("1", "1-e^{-3000}", False),
        (r"10^{300}\pi+1", r"10^{300}\pi", False),
        ("e^{3000}", "(e^{1500})^2", True),
        (r"10^{300}\pi", r"2*5*10^{299}\pi", True),
        (r"\sin\frac{\pi}{6}", r"1/2", True),
        (r"\ln 8", r"3\ln 2", True),
        (r"\sqrt{\ln 4-2\ln 2}", "0", True),
        (r"\frac{1}{\ln 4-\ln 4}", "1", None),
    ],
)
def test_constants_without_an_exact_form(left, right, expected):
    trees = parse(left), parse(right)
    assert is_same_constant(*trees) is expected
    assert is_same_constant(*reversed(trees)) is expected


def test_values_too_far_apart_are_refused_and_not_computed():
    def compare():
        with pytest.raises(TooComplexError):
            is_same_constant(parse("e^{10^8}"), parse("e^{10^8}+1"))

    within(50, compare)
