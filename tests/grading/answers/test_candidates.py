import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verl_ext.grading.answers.candidates import Picked, candidates, formula_answer, pick, plain_number

PIECES = [
    "$",
    "**",
    r"\[",
    r"\]",
    r"\text{ a}",
    "=",
    " ",
    "12",
    "1,5",
    "1 000",
    "is",
    "not",
    "so",
    ",",
    ".",
    "(",
    ")",
    "x",
    "cm",
    "(B)",
    "是",
    "~",
    "²",
    "%",
]
VALUES = st.integers(-999, 999).map(str) | st.sampled_from(
    ["3/4", "12.5", "(2, -1)", "x + 1", "[0, 4)", "2^10", "40%", "8:30"]
)
FRAMES = [
    "Therefore, the area is {0}.",
    "So we get {0} in the end.",
    "Hence there are {0} of them in 3 boxes.",
    "The 2 lines and 7 points give {0}.",
    "It is **{0}**, and not **5**.",
    "It is not 17 but the result is {0}.",
    "Since a is 5, the total is {0}.",
    "Donc le résultat est {0}.",
    "Il risultato è {0} dopo 2 giorni.",
    "答案是{0}。",
]


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("So $x$ is $5$.", {"x": "name", "5": "formula"}),
        ("We pay $5 for 3 kg.", {"$5": "plain", r"3\text{ kg}": "plain"}),
        ("3 + 4 = 7 apples", {"7": "equality"}),
        ("x + y = 7", {"x + y = 7": "plain"}),
        ("**Step 2:** it is **(C)**", {"(C)": "bold"}),
        ("In step 2 we see 5 million", {r"5\text{ million}": "plain"}),
        (r"so \frac{1}{2} \text{ cm} remain", {r"\frac{1}{2} \text{ cm}": "plain"}),
    ],
)
def test_what_can_be_an_answer(text, kinds):
    assert {each.text: each.kind for each in candidates(text)} == kinds


@pytest.mark.parametrize("frame", FRAMES)
@given(value=VALUES)
def test_a_sentence_that_points_at_its_answer(frame, value):
    assert pick(frame.format(value)) == Picked(value, is_sure=True)


@pytest.mark.parametrize(
    ("text", "picked"),
    [
        ("So 3 apples weigh 5 pounds.", Picked(r"5\text{ pounds}", is_sure=False)),
        ("So it is not 5.", Picked("", is_sure=False)),
        ("That is clear.", None),
        ("The roots are 2, 3 and 5.", Picked("2, 3, 5", is_sure=True)),
        ("The roots are $2$ or $-3$.", Picked("2, -3", is_sure=True)),
        ("He will be at least 5.", Picked("at least 5", is_sure=True)),
        ("16 kg x 3 = 48 kg", Picked(r"48\text{ kg}", is_sure=True)),
        ("She has $20 - $7.50 = $12.50 left.", Picked("$12.50", is_sure=True)),
    ],
)
def test_which_of_several(text, picked):
    assert pick(text) == picked


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        (r"3 + 4 = 7", "7"),
        (r"a + b = 7", "a + b = 7"),
        (r"x &= 3 + 4 \\ &= 7.", "7"),
        (r"\begin{aligned} x &= 3 + 4 \\ &= 7 \end{aligned}", "7"),
        (r"2x = 4 \Rightarrow x = 2", "x = 2"),
        (r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}"),
        (r"1 \ne 2", r"1 \ne 2"),
        (r"5,", "5"),
    ],
)
def test_the_end_of_a_formula(content, answer):
    assert formula_answer(content) == answer


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("1 500", "1500"),
        ("1.234,5", "1234,5"),
        ("1.000.000", "1000000"),
        ("1'000", "1000"),
        ("1.500", "1.500"),
        ("1,500", "1,500"),
        ("R$ 5", "$ 5"),
    ],
)
def test_thousands_of_other_languages(written, plain):
    assert plain_number(written) == plain


@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
def test_any_sentence_is_read(text):
    """Whatever is picked was written there, and candidates do not overlap."""
    found = candidates(text)
    assert all(left.end <= right.start for left, right in itertools.pairwise(found))
    picked = pick(text)
    assert picked is None or not picked.text or found
