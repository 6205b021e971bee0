import pytest

from tests.effort import within
from verl_ext.grading.answers.boxes import CutBox, Extracted
from verl_ext.grading.answers.extract import RULES, extract_answer
from verl_ext.grading.mathematics import GSM8K_FALLBACKS, MATH_FALLBACKS, marks_of


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
        ("It is <answer>5</answer>", "5", "tag"),
        ("2 + 3 = 5\n#### 5", "5", "hashes"),
        ("The correct option is (C).", "C", "choice"),
        ("Thus it is **73**.", "73", "conclusion"),
        ("Therefore $x \\geq 5$ holds.", "x \\geq 5", "conclusion"),
        ("So 3 apples weigh 5 pounds.", r"5\text{ pounds}", "last"),
        ("**even**", "even", "bare"),
        ("**Proof.** Clear.\n**even**", "even", "bold"),
        ("4", "4", "bare"),
        ("First I tried [30] and [40], second [45].", "45", "brackets"),
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


@pytest.mark.parametrize(
    ("response", "answer", "rule"),
    [
        ("The number is 7. If there are 3 of them, 21 coins fill 4 boxes.", None, None),
        ("Final answer: 42", "42", "phrase"),
        ("So the sum is 42.", "42", "conclusion"),
    ],
)
def test_marks_leave_out_guesses(response, answer, rule):
    found = extract_answer(response, marks_of(MATH_FALLBACKS))
    assert found == (Extracted(answer, rule) if answer else None)


def test_every_rule_is_used():
    assert {*MATH_FALLBACKS, *GSM8K_FALLBACKS} == RULES.keys()
    assert [name for name in RULES if name in MATH_FALLBACKS] == list(MATH_FALLBACKS), "the most precise first"


BAIT = [
    r"\boxed{", r"\boxed{1}", "{", "}", "$", "**", "answer is ", "[", "####", "\\", "answer ", "final result ", "the answer x y z ",
    "1 ", "1,", "1 000", "=1", " = ", "is ", "not ", "so 1 is ", "$1$ and ", "$ 1", r"\[", r"\begin{align}", r"\(1\) ", "**1** ", "(", "(1, ",
    "1.", "1. ", "x", "x ", r"\text{ a", r"\frac", "<answer>", "<<1=1>>", "<<", "<|im_end|>", "</s>", "\n", "\n1. ", "a\n", ":\n", "答案", "是1",
    "é ", "1 cm ", "1 m", "1/", "_1_", "wait ", "in 1 ", "option (C) ", "0,5 ", "1.000", "x=1 => ", "#### 1\n", "a.m. ", "$ a b $",
]  # fmt: skip


@pytest.mark.parametrize("piece", BAIT)
@pytest.mark.parametrize("end", ["", " so x = 1."], ids=["alone", "with an end"])
def test_linear_in_the_response(piece, end):
    """A text that repeats what the scans look for takes time in proportion to its length."""
    response = piece * (100_000 // len(piece)) + end
    within(200, lambda: extract_answer(response, tuple(RULES)))
