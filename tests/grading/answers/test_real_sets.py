from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verl_ext.grading.answers.real_sets import read_intervals, same_set
from verl_ext.grading.answers.spelling import normalize
from verl_ext.grading.answers.structure import read_structure


def read(text):
    return read_structure(normalize(text))


SAME = [
    ("(-2,2)", "|t| < 2"),
    ("(-1,5)", "|x-2|<3"),
    ("[-4,2]", r"|x+1|\le3"),
    (r"(-\infty,-2)\cup(2,\infty)", "|x|>2"),
    (r"(-\infty,4)\cup(4,\infty)", r"\mathbb{R}\setminus\{4\}"),
    (r"(-\infty,4)\cup(4,\infty)", r"x\ne 4"),
    (r"(-\infty,4)\cup(4,6)\cup(6,\infty)", r"x\ne 4, 6"),
    (r"(-\infty,\infty)", r"\mathbb{R}"),
    (r"(-\infty,\infty)", r"\text{all real numbers}"),
    ("(0,9)", r"(0,5]\cup[3,9)"),
    ("[0,9]", r"[0,5)\cup[5,9]"),
    (r"1<x<3, x\ne 2", r"(1,2)\cup(2,3)"),
    ("2<k<5", r"k>2 \text{ and } k<5"),
    (r"(-\infty,1)\cup(3,\infty)", r"x<1 \text{ or } x>3"),
    (r"[0,1]\cup\{2\}", r"\{2\}\cup[0,1]"),
    (r"[0,1]", r"[0,1)\cup\{1\}"),
]
DIFFERENT = [
    ("(-2,2)", r"|x| \le 2"),
    ("(0,9)", r"(0,5)\cup(5,9)"),
    (r"\mathbb{R}\setminus\{4\}", r"\mathbb{R}\setminus\{5\}"),
    ("x<3", "y<3"),
    ("(1,2)", r"\{1,2\}"),
    ("(1,3)", "x>1, x<4"),
    (r"(-\infty,\infty)", "x"),
    ("[1,2],[2,3]", "[1,3]"),
    ("(2,2)", "(3,3)"),
    (r"(0,\sqrt2)", r"(0,\sqrt2)"),
]


@pytest.mark.parametrize(("left", "right"), SAME)
def test_one_set_in_two_notations(left, right):
    assert same_set(read(left), read(right))
    assert same_set(read(right), read(left))


@pytest.mark.parametrize(("left", "right"), DIFFERENT)
def test_two_sets_or_none(left, right):
    assert not same_set(read(left), read(right))
    assert not same_set(read(right), read(left))


ends = st.integers(-6, 6)
interval = st.tuples(st.sampled_from("(["), ends, st.integers(1, 6), st.sampled_from(")]"))


@given(st.lists(interval, min_size=1, max_size=4))
def test_a_union_holds_the_points_that_its_intervals_hold(parts):
    intervals = [(opening, low, low + length, closing) for opening, low, length, closing in parts]
    joined = read_intervals(
        read(r"\cup".join(f"{opening}{low},{high}{closing}" for opening, low, high, closing in intervals))
    )
    assert joined is not None
    for point in (Fraction(half, 2) for half in range(-14, 27)):
        expected = any(
            low < point < high or (point == low and opening == "[") or (point == high and closing == "]")
            for opening, low, high, closing in intervals
        )
        found = sum(
            part.low < point < part.high
            or (point == part.low and not part.is_open_below)
            or (point == part.high and not part.is_open_above)
            for part in joined
        )
        assert found == expected
