import pytest

from verl_ext.grading.answers.additions import choice_letters, with_approximation, without_condition, without_label
from verl_ext.grading.answers.spelling import normalize


@pytest.mark.parametrize(
    ("reference", "answer", "letters"),
    [
        ("C", r"\textbf{(C)}\ 14", ("C", "C")),
        ("C", "D) 14", ("C", "D")),
        (r"\text{(C)}", "c", ("C", "C")),
        ("E", "E: Both statements hold", ("E", "E")),
        ("B", "(A) 3 (B) 4", None),
        ("B", "14", None),
        ("(C) 14", "(C) 15", None),
        ("A", "ABC", None),
    ],
)
def test_the_letters_of_choices(reference, answer, letters):
    assert choice_letters(normalize(reference), normalize(answer)) == letters


@pytest.mark.parametrize(("text", "content"), [("(A) 6x", "6x"), ("A. 6", "6"), ("(x) 6", "(x) 6"), ("f(A)", "f(A)")])
def test_the_content_of_a_choice(text, content):
    assert without_label(text) == content


@pytest.mark.parametrize(
    ("text", "shorter"),
    [
        (r"x^2 \text{ for all } x > 0", "x^2"),
        (r"x^2 \quad \text{(for any } x \in \mathbb{R})", "x^2"),
        ("x^2 for every x", "x^2"),
        (r"2k\pi, k \in \mathbb{Z}", r"2k\pi"),
        (r"2\pi, k \in \mathbb{Z}", r"2\pi, k \in {Z}"),
        (r"x^2 \text{ for } x > 0", r"x^2 \text{for} x > 0"),
        (r"x^2 \text{ if } x > 0", r"x^2 \text{if} x > 0"),
    ],
)
def test_conditions(text, shorter):
    assert without_condition(normalize(text)) == shorter


@pytest.mark.parametrize(
    ("text", "relation"),
    [
        (r"\frac{1}{3} \text{ (approximately 0.333)}", r"\frac{1}{3} \approx 0.333"),
        (r"5/36 \text{ or about }13.9\%", r"5/36 \approx 13.9%"),
        (r"\text{about }5", r"\text{about}5"),
        (r"x \approx 5", r"x \approx  5"),
    ],
)
def test_approximations(text, relation):
    assert with_approximation(normalize(text)).split() == relation.split()
