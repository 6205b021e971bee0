import pytest

from verl_ext.grading.answers.statements import interval_of, is_name, measured_value, name_of, value_of
from verl_ext.grading.answers.structure import read_structure


@pytest.mark.parametrize("text", ["x", "f(x)", "a_{37}", "(p,q)", "x'", r"\theta", "V_1"])
def test_names(text):
    assert is_name(text)


@pytest.mark.parametrize("text", ["", "3", "2x", "x+1", r"\frac{x}{2}", r"\sqrt{x}", r"\pi", "()"])
def test_what_is_no_name(text):
    assert not is_name(text)


@pytest.mark.parametrize(
    ("text", "interval"),
    [
        (r"2<x\le 7", "(2,7]"),
        ("7>x>2", "(2,7)"),
        (r"x\ge 3", r"[3,\infty)"),
        ("3<x", r"(3,\infty)"),
        ("x<3", r"(-\infty,3)"),
        (r"3\ge x", r"(-\infty,3]"),
    ],
)
def test_the_interval_of_an_inequality(text, interval):
    assert interval_of(read_structure(text)) == read_structure(interval)


@pytest.mark.parametrize("text", ["x=3", "1<x>2", "5>x<1", "x<y", "1<2", r"x\ne 3", "1<x<2<y"])
def test_what_is_no_interval(text):
    assert interval_of(read_structure(text)) is None


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("x=5", "x", "5"),
        ("2=x", "x", "2"),
        (r"x=5+5=10\approx 9.9", "x", "10"),
        (r"x\approx 1.5", "x", "1.5"),
        (r"c\in[1,2]", "c", "[1,2]"),
        (r"3\in A", "A", None),
        ("f(x)=2x", "f(x)", "2x"),
        ("2+2=4", None, "4"),
        ("a^2+b=0", None, None),
        ("x<3", "x", None),
    ],
)
def test_the_name_and_the_value_of_an_equation(text, name, value):
    relation = read_structure(text)
    assert (name_of(relation), value_of(relation)) == (name, value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("m+n=7", "7"),
        ("f(5)=6", "6"),
        (r"\tan\theta=2", "2"),
        ("AB^2=6", "6"),
        ("x_1+x_2=3=3", "3"),
        ("2x=6", None),
        ("x^2=4", None),
        ("x+1=5", None),
        ("m+n=0", None),
        ("m+n=k", None),
        ("m+n<7", None),
    ],
)
def test_the_value_of_what_is_no_simple_name(text, value):
    assert measured_value(read_structure(text)) == value
