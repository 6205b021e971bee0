import pytest

from verl_ext.grading.answers.limits import MAX_ANSWER_CHARS, MAX_DIGIT_RUN, MAX_NESTING, breach


@pytest.mark.parametrize("answer", [r"\lambda = 2", r"e^{-\lambda t}", r"\text{the important one}", "cos(x)"])
def test_mathematics_is_not_taken_for_program_code(answer):
    assert breach(answer) is None


@pytest.mark.parametrize(
    "answer", ["__import__('os')", "lambda x: 3", "open('x')", "os.system('x')", "a\x00b", "import os"]
)
def test_program_code_is_refused(answer):
    assert breach(answer)


@pytest.mark.parametrize(
    ("longest", "longer", "why"),
    [
        ("x" * MAX_ANSWER_CHARS, "x" * (MAX_ANSWER_CHARS + 1), "longer than 1500 characters"),
        ("1" * MAX_DIGIT_RUN, "1" * (MAX_DIGIT_RUN + 1), "more than 256 digits in a row"),
        ("(" * MAX_NESTING, "([" * (MAX_NESTING // 2) + r"\{", "nested deeper than 40"),
    ],
)
def test_the_largest_answers(longest, longer, why):
    assert breach(longest) is None
    assert breach(longer) == why
