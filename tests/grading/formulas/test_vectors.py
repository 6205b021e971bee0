import pytest

from verl_ext.grading.formulas.symbolic import compare_symbolically
from verl_ext.grading.formulas.vectors import read_vector

SAME = [
    ("(2,3)", r"\frac{1}{3}(6,9)"),
    ("(2,3)", "(1,1)+(1,2)"),
    ("(-2,-3)", "-(2,3)"),
    ("(1,8)", "3(1,2)-2(1,-1)"),
    ("(a+1,2b)", "(a,b)+(1,b)"),
    ("(x,y,z)", r"\frac{1}{2}*(2x,2y,2z)"),
    (r"\begin{matrix}1&2\\3&4\end{matrix}", r"\frac{1}{2}(\begin{matrix}2&4\\6&8\end{matrix})"),
    (r"\begin{matrix}a\\b\end{matrix}", r"\begin{matrix}a+1\\b\end{matrix}-\begin{matrix}1\\0\end{matrix}"),
    ("(1,2)", r"2*\begin{matrix}1/2\\1\end{matrix}"),
]
DIFFERENT = [
    ("(2,3)", "-(2,3)"),
    ("(2,3)", "2(2,3)"),
    (r"\begin{matrix}1&2\\3&4\end{matrix}", r"\frac{1}{2}\begin{matrix}2&4\\6&9\end{matrix}"),
    (r"\begin{matrix}1&2\\3&4\end{matrix}", r"2\begin{matrix}1&2&3&4\end{matrix}"),
    (r"\begin{matrix}1\\2\end{matrix}", r"-\begin{matrix}1\\2\end{matrix}"),
    ("(2,3)", "(1,1)+(1,3)"),
    ("(2,3)", "(1,1,0)+(1,2,0)"),
    (r"(\frac{1}{7},\frac{2}{3})", r"-(\frac{1}{7},\frac{2}{3})"),
]


@pytest.mark.parametrize(("reference", "answer"), SAME)
def test_same(reference, answer):
    assert compare_symbolically(reference, answer).is_same is True
    assert compare_symbolically(answer, reference).is_same is True


@pytest.mark.parametrize(("reference", "answer"), DIFFERENT)
def test_different(reference, answer):
    assert compare_symbolically(reference, answer).is_same is False
    assert compare_symbolically(answer, reference).is_same is False


PRODUCT = r"\begin{matrix}1&2\end{matrix}\begin{matrix}3\\4\end{matrix}"


@pytest.mark.parametrize(
    "text", ["", "3", "(3)", "(1,2", "(1,2)+3", "(1,2)+(1,2,3)", "[1,2)", "(1,2)(3,4)", "((1,2),3)", "x,(1,2)", PRODUCT]
)
def test_no_vector(text):
    assert read_vector(text) is None
