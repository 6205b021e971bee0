import pytest
from hypothesis import given
from hypothesis import strategies as st

from verl_ext.grading.answers.spelling import key
from verl_ext.grading.answers.tiers import first_decision
from verl_ext.grading.mathematics import TIERS

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


def compare(reference, answer):
    decision = first_decision(TIERS, reference, answer)
    return None if decision is None else decision.is_same


@pytest.mark.parametrize(("reference", "answer"), SAME)
def test_same(reference, answer):
    assert compare(reference, answer) is True


@pytest.mark.parametrize(("reference", "answer"), DIFFERENT)
def test_different(reference, answer):
    assert compare(reference, answer) is False


@given(st.lists(st.integers(-99, 99), min_size=2, max_size=6, unique=True), st.randoms())
def test_sets_ignore_order_and_tuples_do_not(numbers, generator):
    shuffled = numbers[:]
    generator.shuffle(shuffled)
    comma = ", ".join
    reference, answer = comma(map(str, numbers)), comma(map(str, shuffled))
    assert compare(rf"\{{{reference}\}}", rf"\{{{answer}\}}") is True
    assert compare(f"({reference})", f"({answer})") is (numbers == shuffled)


@given(st.text(alphabet="0123456789abcxyz+-*/^_{}()[]\\., =<>|!%$&:;\n", min_size=1, max_size=60))
def test_every_text_is_the_same_as_itself_and_no_text_raises(text):
    if not text.strip():
        return
    assert compare(text, text) is True or not key(text)
    assert compare("42", text) in {True, False, None}
    assert compare(text, r"\frac{1}{2}") in {True, False, None}
