from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verl_ext.grading.answers.numbers import are_near, compare_exact, read_exact, same_number
from verl_ext.grading.answers.spelling import normalize


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("42", 42),
        ("-8,192", -8192),
        ("1 000", 1000),
        (r"1\,234.5", Fraction("1234.5")),
        (r"11,\! 111", 11111),
        (".5", Fraction(1, 2)),
        ("5.", 5),
        (r"\frac{1}{3}", Fraction(1, 3)),
        (r"\dfrac12", Fraction(1, 2)),
        (r"-\frac34", Fraction(-3, 4)),
        ("2/(-3)", Fraction(-2, 3)),
        (r"1\frac12", Fraction(3, 2)),
        ("1 1/2", Fraction(3, 2)),
        (r"7.8\times 10^2", 780),
        ("1.5e-3", Fraction(15, 10000)),
        (r"0.\overline{27}", Fraction(3, 11)),
        (r"1.2\overline{3}", Fraction(37, 30)),
        ("½", Fraction(1, 2)),
        ("４２", 42),
        ("٤٢", 42),
        ("\u22125", -5),
    ],
)
def test_reads(text, value):
    number = read_exact(normalize(text))
    assert number is not None
    assert number.value == value


@pytest.mark.parametrize("text", ["", "1,23", "1,2,3", "x", "2^3", "1/0", "(1,234)", "1e999", "--1", "1.2.3", "0x10"])
def test_does_not_read(text):
    assert read_exact(normalize(text)) is None


@pytest.mark.parametrize(
    ("reference", "answer", "is_same"),
    [
        ("5", "500", False),
        ("5", "0.05", False),
        ("10000", "10001", False),
        ("5", "5.001", False),
        ("5.0", "5", True),
        ("0.335", r"33.5\%", True),
        ("28", r"28\%", True),
        (r"28\%", "28 percent", True),
        (r"28\%", "0.28", True),
        (r"28\%", r"0.28\%", False),
        (r"\frac{1}{3}", "0.333", True),
        (r"\frac{1}{3}", "0.33", False),
        (r"\frac{2}{3}", "0.667", True),
        (r"\frac{1}{8}", "0.13", False),
        (r"\frac{1}{8}", "0.126", False),
        ("3.1416", "3.14159", False),
    ],
)
def test_compares(reference, answer, is_same):
    assert same_number(normalize(reference), normalize(answer)) is is_same
    assert same_number(normalize(answer), normalize(reference)) is is_same


def spellings(value: Fraction) -> list[str]:
    sign, top, bottom = "-" * (value < 0), abs(value.numerator), value.denominator
    texts = [f"{sign}{top}/{bottom}", rf"{sign}\frac{{{top}}}{{{bottom}}}", rf"$ {sign}\dfrac{{{top}}}{{{bottom}}} $"]
    if bottom == 1:
        texts += [f"{sign}{top}", f"{sign}{top:,}", f"{sign}{top}.0"]
    elif top > bottom:
        texts.append(rf"{sign}{top // bottom}\frac{{{top % bottom}}}{{{bottom}}}")
    return texts


rationals = st.fractions(min_value=-5000, max_value=5000, max_denominator=60)


@given(rationals, rationals, st.data())
def test_equal_exactly_if_the_rationals_are(left, right, data):
    """However two rationals are spelled, they compare as rationals do."""
    reference, answer = data.draw(st.sampled_from(spellings(left))), data.draw(st.sampled_from(spellings(right)))
    assert same_number(normalize(reference), normalize(answer)) is (left == right)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-1000, max_value=1000), rationals)
def test_a_decimal_equals_only_what_it_states(decimal, value):
    number, exact = read_exact(f"{decimal}"), read_exact(f"{value.numerator}/{value.denominator}")
    assert number is not None
    assert exact is not None
    if compare_exact(exact, number):
        assert abs(Fraction(decimal) - value) < Fraction(1, 10**4)


@pytest.mark.parametrize(
    ("number", "about", "expected"),
    [
        ("2/3", "0.67", True),
        ("2/3", "0.6", True),
        ("2/3", "4.67", False),
        ("14/5", "3", True),
        ("14/5", "5", False),
        ("7/36", "19.4%", True),
        ("7/36", "91.4%", False),
        ("0.194", "19%", True),
    ],
)
def test_what_a_number_is_about(number, about, expected):
    assert are_near(read_exact(number), read_exact(about)) is expected
