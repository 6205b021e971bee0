import pytest
from math_verify import parse, verify

from verl_ext.grading.formulas.math_verify import compare_confirmed
from verl_ext.grading.verdict import Decision, Tier


@pytest.mark.parametrize(("reference", "answer"), [(r"\frac{1}{2004!}", r"\frac{1}{2006!}"), ("2^{-99}", "2^{-98}")])
def test_math_verify_alone_calls_tiny_values_equal_and_the_recheck_does_not(reference, answer):
    """The day Math-Verify stops rounding to six decimals, the first assertion says that the re-check can go."""
    assert verify(parse(f"${reference}$"), parse(f"${answer}$"))
    assert compare_confirmed(reference, answer) == Decision(False, Tier.SYMBOLIC, "math-verify")
