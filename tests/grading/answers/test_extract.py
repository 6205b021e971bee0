import pytest

from tests.effort import costs_less_than
from verl_ext.grading.answers.extract import CutBox, Extracted, extract_answer
from verl_ext.grading.mathematics import GSM8K_FALLBACKS, MATH_FALLBACKS


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        (r"so \boxed{42}.", "42"),
        (r"\boxed{10} and then \boxed{42}", "42"),
        (r"\boxed{10} and $\boxed{42}$", "10, 42"),
        (r"first \boxed{10}, which is wrong. Now \boxed{42}", "42"),
        (r"\boxed{\frac{1}{\sqrt{2}}}", r"\frac{1}{\sqrt{2}}"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        ("\\boxed{\n  42\n}", "42"),
        (r"\fbox{42}", "42"),
        (r"\boxed 7", "7"),
        (r"\boxed\pi.", r"\pi"),
        (r"\boxed {7}", "7"),
        (r"<think>\boxed{1}</think> It is \boxed{2}.", "2"),
        (r"\boxed{(2,2)} \quad \text{and} \quad \boxed{(6,2)}", "(2,2), (6,2)"),
        (r"\boxed{1}\boxed{2}", "2"),
        (r"\boxed{1} no no \boxed{2}", "2"),
        (r"\boxed{185\}", "185"),
        (r"\boxed{42} but let me check \boxed{4", "42"),
    ],
)
def test_box(response, answer):
    found = extract_answer(response, ())
    text = found.before.text if isinstance(found, CutBox) else found.text
    assert text == answer


def test_a_box_that_is_thought_but_not_said_is_no_answer():
    assert extract_answer(r"<think> \boxed{1} </think> I do not know", ()) is None


@pytest.mark.parametrize(
    ("response", "answer", "rule"),
    [
        ("The answer is 0.5", "0.5", "phrase"),
        ("Final answer: 42", "42", "phrase"),
        ("Final Answer: The number of points is 19. I hope so.", "19", "phrase"),
        ("The answer is $\\frac{5}{6}$", r"\frac{5}{6}", "phrase"),
        ("Thus it is **73**.", "73", "bold"),
        ("Therefore $x \\geq 5$ holds.", "x \\geq 5", "math"),
        ("4", "4", "bare"),
        ("The angle is [90].", "90", "brackets"),
    ],
)
def test_fallbacks_of_mathematics(response, answer, rule):
    assert extract_answer(response, MATH_FALLBACKS) == Extracted(answer, rule)


@pytest.mark.parametrize(
    ("response", "answer", "rule"),
    [
        ("7 + 11 = 18\n#### 18", "18", "hashes"),
        ("He has 3 apples.\nA: 1,224", "1,224", "last_number"),
        ("The answer is $18.", "$18", "phrase"),
    ],
)
def test_fallbacks_of_gsm8k(response, answer, rule):
    assert extract_answer(response, GSM8K_FALLBACKS) == Extracted(answer, rule)


def test_no_rule_but_the_box_without_fallbacks():
    assert extract_answer("The answer is 42", ()) is None


@pytest.mark.parametrize("piece", [r"\boxed{", r"\boxed{1}", "{", "}", "$", "**", "answer is ", "[", "####", "\\"])
def test_linear_in_the_response(piece):
    """A text that repeats what the scans look for takes time in proportion to its length."""
    response = piece * (200_000 // len(piece))
    assert costs_less_than(200, lambda: extract_answer(response, (*MATH_FALLBACKS, "hashes", "last_number")))
