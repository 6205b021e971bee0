import pytest
from hypothesis import given
from hypothesis import strategies as st

from verl_ext.grading.answers.compare import compare
from verl_ext.grading.answers.limits import breach
from verl_ext.grading.answers.spelling import key
from verl_ext.grading.verdict import Tier

SAME = [
    (r"\text{Evelyn}", "evelyn"),
    (r"\text{(C)}", "C"),
    (r"(3,\frac{\pi}{2})", r"\left( 3, \dfrac{\pi}{2} \right)"),
    (r"(1,\frac92)", "(1,4.5)"),
    (r"[2,5)", r"\left[2, 5\right)"),
    (r"(-\infty,-8)\cup(8,\infty)", r"(8, +\infty) \cup (-\infty, -8)"),
    (r"\{1,2,3\}", "3, 2, 1"),
    ("7, -2, \\text{ and } -5", "-5,-2,7"),
    ("6 \\text{ or } 8", r"\{6,8\}"),
    (r"x \in [-2,7]", r"-2 \le x \le 7"),
    (r"x \le 5", r"5 \ge x"),
    ("(27,\\infty)", "x > 27"),
    ("x=11", "11"),
    ("11", r"x \approx 11"),
    ("2=x", "x=2"),
    ("(p,q)=(3,2)", "(3,2)"),
    ("AB=4,CD=5", "4, 5"),
    ("a_3=2, a_{37}=19", "a_{37}=19, a_3=2"),
    (r"\frac{1}{3}", r"\frac{1}{3}\text{ meters}"),
    ("10", r"10 \text{ cm}^2"),
    ("64", "64 square feet"),
    ("12", r"12^{\mathrm{th}} grade"),
    (r"90^\circ", "90"),
    (r"\$36", "36"),
    ("204_5", "204_{5}"),
    ("204_5", r"204_{\text{five}}"),
    ("52_8", "52"),
    ("7:32", "14:64"),
    ("20:34:00", "20:34"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{bmatrix} 1 \\ 2 \\ \end{bmatrix}"),
    (r"\begin{pmatrix}1\\2\\3\end{pmatrix}", "(1,2,3)"),
    (r"\pm 2021", "2021, -2021"),
    ("1.22", "1,22"),
    (r"\emptyset", r"\{\}"),
    ("\\sqrt2", r"\sqrt{2}"),
    (r"\begin{pmatrix}4\0\end{pmatrix}", r"\begin{pmatrix} 4 \\ 0 \end{pmatrix}"),
    (r"\begin{pmatrix}-1/3\\frac{2}{3}\-8\end{pmatrix}", r"\begin{pmatrix} -1/3 \\ \frac{2}{3} \\ -8 \end{pmatrix}"),
    ("{A5}_{11}", "A5_{11}"),
    ("440{cm}^2", r"440 \text{ cm}^2"),
    ("19{}43", r"19 \text{ and } 43"),
    ("-2{or}-12", r"-2 \text{ or } -12"),
    ("{A,B}", r"\text{A, B}"),
    ("3", r"\{3\}"),
]
DIFFERENT = [
    (r"\text{Evelyn}", "Angela"),
    (r"\text{even}", "1"),
    ("(1,2)", "[1,2]"),
    ("(1,2]", "[1,2)"),
    ("(1,2)", "(2,1)"),
    ("(1,2)", "(1,2,3)"),
    ("[1,2,3]", "(1,3,2)"),
    ("12", r"\{1,2\}"),
    ("23", "2,3"),
    (r"\pm 2021", "2021"),
    ("1, 2", "1, 2, 3"),
    ("1, 1, 2", "1, 2, 2, 3"),
    ("x > 5", "x < 5"),
    ("x \\ge 5", "x > 5"),
    ("7 = 11a+c", "11a+c"),
    ("a^2+b=0", "0"),
    ("k=1", "k=2"),
    ("10 cm", "10 kilometers"),
    ("10\\text{ cm}", "10\\text{ km}"),
    ("204_5", "204_6"),
    (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{pmatrix}1&2\\3&5\end{pmatrix}"),
    ("2:1", "1:2"),
    ("2", "(0,1)"),
    (r"\frac{1}{2}", r"\text{half}"),
    ("0", r"\emptyset"),
    (r"12\text{ cm}", r"12\text{ m}"),
    ("42", "1=2=42"),
    ("1,3", "1.3"),
]


@pytest.mark.parametrize(("reference", "answer"), SAME)
def test_same(reference, answer):
    decision = compare(reference, answer)
    assert decision.is_same is True
    assert decision.tier in {Tier.STRING, Tier.EXACT, Tier.TYPED}


@pytest.mark.parametrize(("reference", "answer"), DIFFERENT)
def test_different(reference, answer):
    assert compare(reference, answer).is_same is False


@pytest.mark.parametrize(("reference", "answer"), [("x^2+1", "1+x^2"), (r"2\sqrt{3}", r"\sqrt{12}"), ("y=2x", "2y=4x")])
def test_formulas_are_left_to_the_worker(reference, answer):
    assert compare(reference, answer).is_same is None


@pytest.mark.parametrize(("reference", "answer"), [("", ""), ("", "1"), ("1", " ")])
def test_nothing_is_not_the_same_as_nothing(reference, answer):
    with pytest.raises(ValueError, match="empty"):
        compare(reference, answer)


@pytest.mark.parametrize("answer", ["$$", r"\text{}", ".", "{}"])
def test_punctuation_is_not_an_answer(answer):
    assert compare("42", answer).is_same is False


@given(st.lists(st.integers(-99, 99), min_size=2, max_size=6, unique=True), st.randoms())
def test_sets_ignore_order_and_tuples_do_not(numbers, generator):
    shuffled = numbers[:]
    generator.shuffle(shuffled)
    comma = ", ".join
    reference, answer = comma(map(str, numbers)), comma(map(str, shuffled))
    assert compare(rf"\{{{reference}\}}", rf"\{{{answer}\}}").is_same is True
    assert compare(f"({reference})", f"({answer})").is_same is (numbers == shuffled)


@given(st.text(alphabet="0123456789abcxyz+-*/^_{}()[]\\., =<>|!%$&:;\n", min_size=1, max_size=60))
def test_every_text_is_the_same_as_itself_and_no_text_raises(text):
    if not text.strip():
        return
    decision = compare(text, text)
    assert decision.is_same is True or not key(text)
    assert compare("42", text).is_same in {True, False, None}
    assert compare(text, r"\frac{1}{2}").is_same in {True, False, None}


@pytest.mark.parametrize("answer", [r"\lambda = 2", r"e^{-\lambda t}", r"\text{the important one}", "cos(x)"])
def test_mathematics_is_not_taken_for_program_code(answer):
    assert breach(answer) is None


@pytest.mark.parametrize(
    "answer", ["__import__('os')", "lambda x: 3", "open('x')", "os.system('x')", "a\x00b", "import os"]
)
def test_program_code_is_refused(answer):
    assert breach(answer)


@pytest.mark.parametrize(
    "answer", [r"42\text{ is wrong}", r"\text{not }42", r"42\text{ or not}", r"42\text{ pears and }3\text{ figs}"]
)
def test_words_that_change_what_a_number_says_are_not_taken_off(answer):
    assert compare("42", answer).is_same is not True
