"""The oracle of the mutations: what it says is true, and what it cannot read it does not judge."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import oracle


@pytest.mark.parametrize(
    ("left", "right", "is_same"),
    [
        (r"\frac{1}{2}", "0.5", True),
        (r"\frac{1}{2}", r"\frac{2}{1}", False),
        (r"3\frac{1}{2}", r"\frac72", True),
        (r"3\frac{1}{2}", r"3 \cdot \frac12", False),
        (r"x^{2}\frac{1}{3}", r"\frac{x^2}{3}", True),
        ("10,\\!000", "10000", True),
        (r"2\sqrt{3}", r"\sqrt{12}", True),
        (r"\sqrt[3]{-8}", "-2", True),
        (r"\sin 30^\circ", r"\frac12", True),
        (r"\sin^2 x + \cos^2 x", "1", True),
        ("2x+1", "2y+1", False),
        ("|x-1|", "x-1", False),
        ("5!", "120", True),
        (r"\binom{5}{2}", "10", True),
        ("1/2x", "x/2", None),
        ("1,2", "2,1", True),
        ("1,2", "1,3", False),
        ("(1,2)", "(2,1)", False),
        ("(1,2)", "1,2", False),
        (r"\{1\}", "1", True),
        ("[1,2)", "[1,2]", None),
        (r"(-\infty,2)\cup(2,\infty)", r"(-\infty,\infty)", False),
        (r"(0,1]\cup(1,2]", "(0,2]", True),
        (r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", r"\begin{pmatrix} 2 \\ 1 \end{pmatrix}", False),
        ("y = 2x+1", "2x+1", True),
        ("y = 2x+1", "y = 2x-1", False),
        ("x^2+y^2=4", "x^2+y^2=5", False),
        ("x^2+y^2=4", "2x^2+2y^2=8", None),
        ("1/x = 0", "x = 3", None),
        (r"\text{red}", "x", None),
        ("2^{2008}", "2^{2008}+1", None),
    ],
)
def test_worked_example(left, right, is_same):
    assert oracle.same(left, right) is is_same
    assert oracle.same(right, left) is is_same
