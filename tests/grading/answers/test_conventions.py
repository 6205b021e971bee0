"""The named options of a task: each default, each other value, and what is refused."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verl_ext.grading.answers.conventions import DEFAULTS, OPTIONS, Conventions, read_conventions
from verl_ext.grading.answers.forms import form_of
from verl_ext.grading.answers.spelling import normalize
from verl_ext.grading.mathematics import grade_math

BOTH_VALUES = [
    # option, its other value, reference, answer: the same by default and not under the other value
    ("list_order", "as_given", "1, 2, 3", "3, 2, 1"),
    ("list_order", "as_given", "x+1, x+2", "2+x, 1+x"),
    ("list_order", "as_given", r"\sum_{k=1}^{3} k, 7", r"7, \sum_{k=1}^{3} k"),
    ("units", "required", r"12\text{ cm}", "12"),
    ("units", "required", r"(1,2)\text{ cm}", "(1,2)"),
    ("counted", "required", r"5\text{ apples}", "5"),
    ("percent", "hundredth", r"28\%", "28"),
    ("percent", "hundredth", "28", r"28\%"),
    ("decimals", "exact", r"\frac{1}{3}", "0.333"),
    ("decimals", "exact", r"\sqrt{2}", "1.414"),
    ("rounding", "near", r"\frac{2}{3}", r"\frac{2}{3}\approx 4.67"),
    ("rounding", "near", r"x=\frac{2}{3}", r"x=5-\frac{13}{3}=\frac{2}{3}\approx 4.67"),
    ("ratio", "ratio", "1:2", r"\frac{1}{2}"),
    ("ratio", "ratio", r"\frac{1}{2}", "1:2"),
    ("ratio", "ratio", r"\sqrt{2}:2", r"\frac{1}{\sqrt{2}}"),
    ("half_of_day", "required", r"7:45\text{ p.m.}", "7:45"),
    ("half_of_day", "required", r"9\text{ a.m.}", "9"),
    ("choice", "letter", r"\text{(A)}\ 6\sqrt{3}", r"6\sqrt{3}"),
    ("choice", "letter", r"6\sqrt{3}", r"(A) 6\sqrt{3}"),
    ("condition", "required", "x^2", r"x^2 \text{ for all } x > 0"),
    ("named_parts", "names", "x=3, y=-1", "(3,-1)"),
    ("vector", "as_written", r"\begin{pmatrix}1\\2\end{pmatrix}", "(1,2)"),
    ("vector", "as_written", "(1,2)", r"\frac{1}{2}\begin{pmatrix}2\\4\end{pmatrix}"),
    ("form", "as_reference", "(x-2)(x-3)", "x^2-5x+6"),
    ("form", "as_reference", "x^2-5x+6", "(x-2)(x-3)"),
    ("form", "as_reference", "x^2-5x+6", "1(x^2-5x+6)"),
    ("form", "as_reference", r"\frac{1}{2}", r"\frac{2}{4}"),
    ("form", "as_reference", "72", r"2^3\cdot3^2"),
    ("form", "as_reference", r"3\sqrt{5}", r"\sqrt{45}"),
    ("form", "as_reference", r"\frac{\sqrt{2}}{2}", r"\frac{1}{\sqrt{2}}"),
    ("form", "as_reference", "y = (x+1)^2", "y = x^2+2x+1"),
]
EITHER_WAY = [
    # the same under both values
    ("list_order", "as_given", r"\{1, 2\}", r"\{2, 1\}"),
    ("list_order", "as_given", r"(1,2)\cup(3,4)", r"(3,4)\cup(1,2)"),
    ("list_order", "as_given", "a=1, b=2", "b=2, a=1"),
    ("list_order", "as_given", "1, 2", "1,2.0"),
    ("units", "required", r"12\text{ cm}", r"0.12\text{ m}"),
    ("units", "required", "12", r"12\text{ cm}"),
    ("counted", "required", r"5\text{ apples}", "5 apples"),
    ("percent", "hundredth", r"28\%", "0.28"),
    ("percent", "hundredth", r"28\%", r"28.0\%"),
    ("decimals", "exact", r"\frac{1}{8}", "0.125"),
    ("rounding", "near", r"\sqrt{3}", r"\sqrt{3}\approx 1.73"),
    ("rounding", "near", r"\sqrt{3}\approx 1.732", r"\sqrt{3}\approx 1.73"),
    ("ratio", "ratio", "1:2", "2:4"),
    ("half_of_day", "required", r"7:45\text{ p.m.}", "19:45"),
    ("half_of_day", "required", "7:45", r"7:45\text{ p.m.}"),
    ("choice", "letter", "C", r"\text{(C)}\ 14"),
    ("condition", "required", r"x^2 \text{ for all } x", r"x^2\text{ for all }x"),
    ("named_parts", "names", "x=3, y=-1", "y=-1, x=3"),
    ("vector", "as_written", r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{bmatrix}1\\2\end{bmatrix}"),
    ("form", "as_reference", "(x-2)(x-3)", "(x-3)(x-2)"),
    ("form", "as_reference", "(x+1)^2", "(x+1)(x+1)"),
    ("form", "as_reference", "x^2-5x+6", "6-5x+x^2"),
    ("form", "as_reference", r"\frac{1}{2}", r"1/2"),
    ("form", "as_reference", "1, 2", "2, 1"),
]


def is_same(reference, answer, conventions):
    return grade_math(rf"\boxed{{{answer}}}", reference, is_truncated=False, conventions=conventions).is_correct


@pytest.mark.parametrize(("option", "value", "reference", "answer"), BOTH_VALUES)
def test_each_option_has_two_values_that_differ(option, value, reference, answer):
    assert is_same(reference, answer, DEFAULTS)
    assert not is_same(reference, answer, replace(DEFAULTS, **{option: value}))


@pytest.mark.parametrize(("option", "value", "reference", "answer"), EITHER_WAY)
def test_what_no_value_of_an_option_changes(option, value, reference, answer):
    assert is_same(reference, answer, DEFAULTS)
    assert is_same(reference, answer, replace(DEFAULTS, **{option: value}))


def test_every_value_is_tested():
    tested = {(option, value) for rows in (BOTH_VALUES, EITHER_WAY) for option, value, *_ in rows}
    assert tested == {(option, value) for option, (_, *others) in OPTIONS.items() for value in others}


def test_the_default_stands_first():
    assert {option: values[0] for option, values in OPTIONS.items()} == vars(DEFAULTS)


@given(st.fixed_dictionaries({option: st.sampled_from(values) for option, values in OPTIONS.items()}))
def test_what_is_written_is_read(options):
    conventions = Conventions(**options)
    assert read_conventions(str(conventions)) == conventions
    assert read_conventions("", conventions) == conventions


def test_over_those_of_a_task():
    base = Conventions(list_order="as_given", units="required")
    changed = read_conventions(" units = optional , percent=hundredth", base)
    assert changed == Conventions(list_order="as_given", percent="hundredth")


REFUSED = [
    ("list_ordr=any", "there is no convention 'list_ordr'. Did you mean list_order?"),
    ("xyzzy=1", "there is no convention 'xyzzy'. There is list_order, units, counted,"),
    ("units=needed", "the convention units is optional or required, not 'needed'."),
    ("units", "'units' is no convention: write option=value"),
    ("units=required,units=optional", "the convention units stands there twice."),
]


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_what_is_refused_says_what_there_is(text, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        read_conventions(text)


def test_a_task_of_a_value_that_there_is_not():
    with pytest.raises(ValueError, match="the convention percent is either or hundredth, not 'share'"):
        Conventions(percent="share")


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("7", "a number"),
        ("0.5", "a number"),
        (r"\frac{6}{4}", "a fraction not in lowest terms"),
        (r"\frac{4}{1}", "a fraction not in lowest terms"),
        ("-3/4", "a fraction"),
        (r"1\frac{1}{2}", "a mixed number"),
        (r"3\times10^4", "scientific notation"),
        ("x^2+1", "an expanded sum"),
        ("x(x+1)+2", "a sum with products of sums"),
        ("2(x+1)^2(x-1)", "a product of sums, 3 of them"),
        (r"\sin(x+1)", "a term"),
        (r"\sqrt{8}", "a term with a root with a square inside"),
        (r"\frac{2}{3\sqrt{5}}", "a term with a root in a denominator"),
    ],
)
def test_forms(text, form):
    assert form_of(normalize(text)) == form
