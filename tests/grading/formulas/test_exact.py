from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verl_ext.grading.formulas import exact
from verl_ext.grading.formulas.equality import subtract
from verl_ext.grading.formulas.expression import parse

EQUAL = [
    ("1/3+1/6", "1/2"),
    ("7!", "5040"),
    (r"2^{900}\bmod 7", "1"),
    (r"\lfloor -7/2\rfloor", "-4"),
    ("25%", "1/4"),
    ("(-1)^{10^{30}}", "1"),
    ("3^{10^{9}}", "9^{5*10^{8}}"),
    ("2^{-10^{9}}", "(1/2)^{10^{9}}"),
    ("30000!", r"30000*29999!"),
    (r"\binom{20000}{9000}", r"\binom{20000}{11000}"),
    (r"\sqrt2+\sqrt3", r"\sqrt{5+2\sqrt6}"),
    (r"\sqrt{11+6\sqrt2}", r"3+\sqrt2"),
    (r"\sqrt[3]{7+5\sqrt2}", r"1+\sqrt2"),
    (r"\sqrt[3]{9+4\sqrt5}+\sqrt[3]{9-4\sqrt5}", "3"),
    (r"\frac{1}{\sqrt3-\sqrt2}", r"\sqrt3+\sqrt2"),
    (r"8^{2/3}", "4"),
    (r"2^{-1/2}", r"\frac{\sqrt2}{2}"),
    ("(1+i)^2", "2i"),
    (r"\sqrt{-9}", "3i"),
    (r"10^{60}\sqrt{8}", r"2*10^{60}\sqrt2"),
    (r"\sqrt{\sqrt{16}-4}", "0"),
]
DIFFERENT = [
    ("70!", "70!+1"),
    ("3^{400}", "3^{400}-3"),
    ("5", r"5-\frac{1}{7^{900}}"),
    ("3^{10^{9}}", "3^{10^{9}}+2"),
    ("3^{10^{9}}", "3^{10^{9}+1}"),
    ("30000!", "30000!-1"),
    (r"\binom{20000}{9000}", r"\binom{20000}{9001}"),
    (r"\sqrt3", r"\sqrt3+10^{-300}"),
    (r"10^{200}\sqrt3", r"10^{200}\sqrt3+1"),
    (r"\sqrt2+\sqrt3", r"\sqrt{5+2\sqrt6}+2^{-500}"),
    ("(1+i)^2", "2i+1"),
    (r"\sqrt{10^{80}+1}", "10^{40}"),
]


@pytest.mark.parametrize(("left", "right"), EQUAL)
def test_equal(left, right):
    assert exact.is_zero(subtract(parse(left), parse(right))) is True


@pytest.mark.parametrize(("left", "right"), DIFFERENT)
def test_different(left, right):
    assert exact.is_zero(subtract(parse(left), parse(right))) is False


@pytest.mark.parametrize("text", [r"\pi", "e", r"\ln 2", "2^x", r"2^{\sqrt2}", "9^{9^{9^{9}}}", "1/0", "(1/2)!"])
def test_what_has_no_exact_form(text):
    assert exact.is_zero(parse(text)) is None


@given(st.integers(-(10**6), 10**6), st.integers(1, 10**6), st.integers(0, 60), st.integers(2, 50))
def test_residues_agree_with_fractions(top, bottom, exponent, base):
    left = parse(f"({top})/{bottom}*{base}^{{{exponent}}}")
    value = Fraction(top, bottom) * base**exponent
    right = parse(f"({value.numerator})/({value.denominator})")
    assert exact._is_zero_modulo_primes(subtract(left, right), {})
    assert not exact._is_zero_modulo_primes(subtract(left, parse(f"({value.numerator}+1)/({value.denominator})")), {})


@given(st.lists(st.tuples(st.integers(-20, 20), st.integers(1, 30)), min_size=1, max_size=2), st.integers(1, 5))
def test_a_number_made_of_roots_is_below_its_root_bound_only_if_it_is_zero(terms, bottom):
    """A sum of roots against itself in another order, and against itself with something tiny added."""
    text = "+".join(rf"({factor})\sqrt{{{radicand}}}/{bottom}" for factor, radicand in terms)
    other = "+".join(rf"({factor})*\sqrt{{{4 * radicand}}}/({2 * bottom})" for factor, radicand in reversed(terms))
    assert exact.is_zero(subtract(parse(text), parse(other))) is True
    assert exact.is_zero(subtract(parse(text), parse(f"{other}+10^{{-200}}"))) is False
