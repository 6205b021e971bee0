import pytest
from hypothesis import given
from hypothesis import strategies as st

from verl_ext.grading.answers.spelling import key, normalize

BLANKS = st.sampled_from(["", " ", r"\,", r"\quad ", "\n"])
FRACTIONS = [
    r"\frac{1}{2}",
    r"\dfrac{1}{2}",
    r"\tfrac{1}{2}",
    r"\cfrac{1}{2}",
    r"\frac12",
    r"\frac1{2}",
    r"\frac{1}2",
    "½",
]
SAME_SPELLINGS = [
    FRACTIONS,
    [r"2\sqrt{3}", r"2\sqrt3", "2sqrt(3)", "2√3"],
    [r"x\le 3", r"x\leq 3", "x<=3", "x ≤ 3", r"x\leqslant 3"],
    ["2*3", r"2\times 3", r"2\cdot 3", "2×3", r"2 \ast 3"],
    [r"(1,2)", r"\left(1,2\right)", r"\bigl(1, 2\bigr)", r"\langle 1,2\rangle", r"\(\left( 1, 2 \right)\)"],
    [
        "1,000",
        r"1{,}000",
        r"1,\!000",
        r"1\,000",
        "1000",
        r"$1000$",
        r"\[1000\]",
        "1000.",
        "{1000}",
        r"1000^\circ",
        "１０００",
    ],
    [r"5\%", "5 percent", "5%", "5\uff05"],
    ["x^2", "x^{2}", "x²", r"\boldsymbol x^2"],
    ["x", r"\mathbf{x}", r"\bm{x}"],
    [r"\text{even}", r"\mbox{even}", r"\textbf{ even }", r"\mathrm{even}", r"\operatorname{even}"],
    [
        r"\begin{pmatrix}1&2\\3&4\end{pmatrix}",
        r"\begin{bmatrix} 1 & 2 \\ 3 & 4 \end{bmatrix}",
        r"\begin{array}{cc}1&2\\3&4\end{array}",
        r"\begin{pmatrix}1&2\3&4\end{pmatrix}",
        r"\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}",
    ],
    [r"\frac{1}{2}", r"\\frac{1}{2}"],
    ["1 1/2", r"1 \quad 1/2", r"1\; \;1/2"],
]
DIFFERENT_SPELLINGS = [
    ("2,3", "23"),
    ("2 3", "23"),
    (r"1 \quad 2", "12"),
    (r"1 \; \; 2", "12"),
    ("1 1/2", "11/2"),
    (r"\frac{1}{2}", "0.5"),
    ("x_1", "x^1"),
    ("(1,2)", "[1,2]"),
    ("19{}43", "1943"),
    (r"\sin x", r"\sinh x"),
    ("5%", "5"),
]
PIECES = [
    *(
        "x",
        "y_{12}",
        "12",
        "3.5",
        "+",
        "-",
        "=",
        ",",
        r"\frac12",
        r"\dfrac{a}{b}",
        r"\sqrt3",
        r"\sqrt{2}",
        r"\pi",
        r"\le ",
    ),
    *(
        r"\left(",
        r"\right)",
        "^{2}",
        "_1",
        r"\{",
        r"\}",
        r"\text{ cm}",
        r"\mathrm{even}",
        r"\cdot ",
        "≤",
        "²",
        "½",
        r"\%",
    ),
    *(r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\quad x", r"\,y", r"1 \quad 2", r"\; 3"),
]
ANSWERS = st.lists(st.sampled_from(PIECES), max_size=8).map("".join)


@pytest.mark.parametrize("spellings", SAME_SPELLINGS)
def test_spellings_of_one_answer(spellings):
    assert len({key(spelling) for spelling in spellings}) == 1, {spelling: key(spelling) for spelling in spellings}


@pytest.mark.parametrize(("left", "right"), DIFFERENT_SPELLINGS)
def test_spellings_of_two_answers(left, right):
    assert key(left) != key(right)


@pytest.mark.parametrize(
    ("answer", "spelling"),
    [
        (r"\dfrac12", r"\frac{1}{2}"),
        (r"\frac1{\frac12}", r"\frac{1}{\frac{1}{2}}"),
        (r"$\left( 3,\dfrac{\pi}{2} \right)$", r"( 3,\frac{\pi}{2} )"),
        (r"\begin{bmatrix}1\\2\end{bmatrix}", r"\begin{matrix}1\\2\end{matrix}"),
        (r"10\text{ cm}^{2}", r"10\text{cm}^2"),
        (r"\text{A, B}", "A, B"),
        (r"{x}", "x"),
        (r"{a\}", "a"),
        (r"{1,2}", "{1,2}"),
        ("x \\to +\\infty", "x \\to \\infty"),
    ],
)
def test_worked_examples(answer, spelling):
    assert normalize(answer) == spelling


@given(ANSWERS)
def test_a_normalized_answer_keeps_its_key(answer):
    assert key(normalize(answer)) == key(answer)


@given(ANSWERS)
def test_a_normalized_answer_is_normalized_but_for_its_blanks(answer):
    r"""``x\, y`` becomes ``x  y`` with two blanks, and then with one."""
    once = normalize(answer)
    assert normalize(once).split() == once.split()


@pytest.mark.parametrize(("answer", "once", "twice"), [(r"\\\pm 1", r"\\pm 1", r"\pm 1"), (r"x\, y", "x  y", "x y")])
def test_what_normalizing_twice_changes(answer, once, twice):
    """Each time takes one of three backslashes, and joins the blanks that the last time put side by side."""
    assert normalize(answer) == once
    assert normalize(once) == twice


@given(ANSWERS, st.lists(BLANKS, min_size=2, max_size=2), st.sampled_from([("$", "$"), (r"\(", r"\)"), (r"\[", r"\]")]))
def test_blanks_and_math_marks_around_an_answer_do_not_count(answer, blanks, marks):
    assert key(f"{blanks[0]}{marks[0]}{answer}{marks[1]}{blanks[1]}") == key(answer)


@given(st.text(max_size=40))
def test_any_text_has_a_spelling(text):
    assert "$" not in normalize(text)


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        (r"12^\circ 30'", r"\frac{25}{2}"),
        ("12° 30′ 36″", r"\frac{1251}{100}"),
        (r"12^{\circ}\,30^{\prime}", r"\frac{25}{2}"),
        (r"12^\circ 75'", "1275'"),
    ],
)
def test_degrees_with_minutes(text, normal):
    assert normalize(text).replace(" ", "") == normal
