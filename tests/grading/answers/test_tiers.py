import pytest

from verl_ext.grading.answers.tiers import compare_numbers, compare_strings, compare_types, first_decision
from verl_ext.grading.mathematics import TIERS
from verl_ext.grading.verdict import Decision, Tier


@pytest.mark.parametrize(
    ("reference", "answer", "tier", "is_same"),
    [
        (r"\dfrac12", r"\frac{1}{2}", compare_strings, True),
        ("1/2", "0.5", compare_numbers, True),
        ("1/2", "0.6", compare_numbers, False),
        ("1.22", "1,22", compare_numbers, True),
        ("(1,2)", "(1, 4/2)", compare_types, True),
        ("(1,2)", "(2,1)", compare_types, False),
    ],
)
def test_the_first_tier_that_can_decides(reference, answer, tier, is_same):
    names = {compare_strings: Tier.STRING, compare_numbers: Tier.EXACT, compare_types: Tier.TYPED}
    for earlier in TIERS[: TIERS.index(tier)]:
        assert earlier(reference, answer) is None
    assert tier(reference, answer) == first_decision(TIERS, reference, answer) == Decision(is_same, names[tier])


@pytest.mark.parametrize("pair", [("x^2+1", "1+x^2"), (r"2\sqrt{3}", r"\sqrt{12}"), ("y=2x", "2y=4x")])
def test_formulas_are_left_to_the_worker(pair):
    assert first_decision(TIERS, *pair) is None


@pytest.mark.parametrize("answer", ["$$", r"\text{}", ".", "{}", "", " "])
@pytest.mark.parametrize("reference", ["42", ".", ""])
def test_nothing_and_punctuation_are_the_same_as_nothing(reference, answer):
    assert first_decision(TIERS, reference, answer) == Decision(False, Tier.STRING, "nothing but punctuation")
