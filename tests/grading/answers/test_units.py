import pytest

from verl_ext.grading.answers.tiers import first_decision
from verl_ext.grading.answers.units import without_units
from verl_ext.grading.mathematics import TIERS


@pytest.mark.parametrize(
    ("text", "number", "unit"),
    [
        (r"10\text{cm}", "10", "cm"),
        (r"10\text{cm}^2", "10", "cm"),
        (r"10\text{centimeters}", "10", "cm"),
        (r"5\text{m}", "5", "m"),
        ("5m", "5m", None),
        ("64 square feet", "64", "ft"),
        ("3 hours", "3", "h"),
        (r"12\text{miles per hour}", "12", None),
        (r"12^{th} grade", "12", None),
        ("5th", "5", None),
        ("25\u5143", "25", None),
        ("7 apples", "7", None),
        ("7 pears", "7 pears", None),
        (r"\frac{1}{2}\text{ lbs.}", r"\frac{1}{2}", "lb"),
        ("440{cm}^2", "440", "cm"),
        (r"x\text{cm}", r"x\text{cm}", None),
        ("(1,2) cm", "(1,2)", "cm"),
    ],
)
def test_worked_examples(text, number, unit):
    assert without_units(text) == (number, unit)


@pytest.mark.parametrize("words", ["is wrong", "not", "or more", "and a half", "no", "about", "if x > 0"])
def test_words_that_change_what_a_number_says_stay(words):
    text = rf"42\text{{{words}}}"
    assert without_units(text) == (text, None)


@pytest.mark.parametrize(
    "answer", [r"42\text{ is wrong}", r"\text{not }42", r"42\text{ or not}", r"42\text{ pears and }3\text{ figs}"]
)
def test_with_such_words_the_number_is_not_the_answer(answer):
    decision = first_decision(TIERS, "42", answer)
    assert decision is None or not decision.is_same
