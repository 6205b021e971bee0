from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verl_ext.grading.answers.spelling import normalize
from verl_ext.grading.answers.tiers import first_decision
from verl_ext.grading.answers.units import common_factors, read_quantity, unit_of
from verl_ext.grading.mathematics import TIERS

LENGTH, AREA, VOLUME, SPEED = (("m", 1),), (("m", 2),), (("m", 3),), (("m", 1), ("s", -1))


def verdict(reference, answer):
    decision = first_decision(TIERS, reference, answer)
    return None if decision is None else decision.is_same


@pytest.mark.parametrize(
    ("text", "number", "dimensions"),
    [
        (r"10\text{cm}", "10", LENGTH),
        (r"10\text{cm}^2", "10", AREA),
        (r"10\mathrm{~cm}^{-3}", "10", (("m", -3),)),
        (r"5\text{m}", "5", LENGTH),
        (r"0.33\,\mu\text{m}", "0.33", LENGTH),
        (r"0.33 \text{μm}", "0.33", LENGTH),
        ("5m", "5m", None),
        (r"5\,m", "5", LENGTH),
        ("64 square feet", "64", AREA),
        (r"64 \text{ feet squared}", "64", AREA),
        (r"12\text{miles per hour}", "12", SPEED),
        (r"3.0\times 10^{8}\ \mathrm{m/s}", "3.0* 10^8", SPEED),
        (r"9.8\ \mathrm{m} \cdot \mathrm{s}^{-2}", "9.8", (("m", 1), ("s", -2))),
        (r"9.8\text{ m/s}^2", "9.8", (("m", 1), ("s", -2))),
        (r"9.8\text{ m/s^2}", "9.8", (("m", 1), ("s", -2))),
        (r"300\,K", "300", (("K", 1),)),
        (r"\frac{1}{2}\text{ lbs.}", r"\frac{1}{2}", (("g", 1),)),
        ("440{cm}^2", "440", AREA),
        ("5公里", "5", LENGTH),
        (r"\frac {ab} {2}", r"\frac{ab}{2}", None),
        (r"x\text{cm}", r"x\text{cm}", None),
        (r"\operatorname{arcsin}(1/2)", r"\text{arcsin}(1/2)", None),
        ("(1,2) cm", "(1,2)", LENGTH),
    ],
)
def test_units(text, number, dimensions):
    quantity = read_quantity(normalize(text))
    assert (quantity.number, quantity.unit and quantity.unit.dimensions) == (number, dimensions)
    assert not quantity.words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (r"12^{th} grade", ()),
        ("5th", ()),
        ("7 apples", ()),
        (r"7\text{ different ways}", ()),
        (r"7\text{ zorbs}", ("zorbs",)),
        ("7 zorbs", ("zorbs",)),
        (r"\text{at most }5", ("at", "most")),
        (r"\text{multiples of }3", ("multiples", "of")),
        (r"5\%\text{ decrease}", ("decrease",)),
        (r"5\text{以上}", ("以上",)),
        ("5以上", ("以上",)),
    ],
)
def test_a_word_that_may_carry_a_value_is_kept(text, words):
    assert read_quantity(normalize(text)).words == words


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("60 min", "1 hour"),
        ("1 km", "1000 meters"),
        ("100 cents", "1 dollar"),
        (r"1\text{ L}", r"1000\text{ cm}^3"),
        (r"36\text{ km/h}", r"10\text{ m/s}"),
        ("1 ft", "12 inches"),
        (r"1\text{ J}", r"1\text{ N m}"),
    ],
)
def test_one_quantity_in_two_units(left, right):
    assert verdict(left, right) is True
    assert verdict(right, left) is True


UNITS = ["cm", "m", "km", "feet", "cm^2", "square feet", "cubic feet", "km/h", "mph", "m/s", "kg", "g", "h", "min"]


@given(st.sampled_from(UNITS), st.sampled_from(UNITS), st.integers(1, 999))
def test_a_number_with_two_units_is_one_quantity_only_if_the_unit_is_one(left, right, number):
    assert (verdict(f"{number}\\text{{ {left}}}", f"{number}\\text{{ {right}}}") is True) == (left == right)


@given(st.integers(1, 10**6), st.sampled_from(["thousand", "million", "billion", "dozen", "hundred", "万", "亿"]))
def test_a_magnitude_multiplies(number, word):
    size = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "dozen": 12, "hundred": 100, "万": 10**4}
    text = rf"{number}\text{{ {word}}}"
    assert verdict(text, str(number * size.get(word, 10**8))) is True
    assert verdict(text, str(number)) is False


@pytest.mark.parametrize(
    "words", ["is wrong", "not", "or more", "and a half", "no", "about", "if it rains", "loss", "left"]
)
@pytest.mark.parametrize("form", [r"42\text{{ {}}}", r"\text{{{} }}42"])
def test_with_a_word_that_may_carry_a_value_the_number_is_another_answer(form, words):
    text = form.format(words)
    assert verdict("42", text) is False
    assert verdict(text, "42") is False
    assert verdict(text, text) is True


def test_one_unit_and_what_was_counted_may_be_left_out_and_two_must_agree():
    plain, apples, pears = map(read_quantity, ("5", "5 apples", "5 pears"))
    assert common_factors(plain, apples) == (1, 1)
    assert common_factors(apples, pears) is None


@pytest.mark.parametrize(("word", "scale"), [("KM", 1000), ("mm", Fraction(1, 1000)), ("Mm", 10**6), ("metres", 1)])
def test_names_of_units(word, scale):
    assert unit_of(word).scale == scale


@pytest.mark.parametrize("word", ["x", "the", "M", "S", "q", "red", ""])
def test_what_is_no_unit(word):
    assert unit_of(word) is None
