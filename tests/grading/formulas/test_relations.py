import pytest

from verl_ext.grading.formulas.symbolic import same_formula

SAME = [
    ("2x+4y=6", "x+2y=3"),
    ("x-2y=3", "3=x-2y"),
    ("f(x)=3x", "f(x)-3x=0"),
    ("2f(3)=8", "f(3)=4"),
    ("1+2=3", "3=3"),
    ("z^3+i=0", "z^3=-i"),
    ("x+y<4", "4>x+y"),
    ("-2x-2y>-8", "x+y<4"),
    ("A<B<C", "C>B>A"),
    (r"A\le B<C", r"A\le B<C"),
    ("xy=6", r"y=\frac{6}{x}"),
    ("e^xy=3", "y=3e^{-x}"),
    (r"\frac{y}{x^2+1}=2", "y=2x^2+2"),
    ("x^2y+y=1", r"y=\frac{1}{1+x^2}"),
    ("PV=nRT", r"P=\frac{nRT}{V}"),
]
DIFFERENT = [
    ("g(4)=9", "g(4)=8"),
    ("g(4)=9", "g(5)=9"),
    ("Q(1)=2", "R(1)=2"),
    (r"\binom{6}{2}=15", r"\binom{6}{2}=16"),
    (r"\cos 1=2", r"\cos 1=3"),
    ("1=1", "2=2"),
    ("x+y<4", "x+y>4"),
    (r"x+y<4", r"x+y\le 4"),
    ("A<B<C", "A<D<C"),
    ("A<B<C", r"A<B\le C"),
    ("xy=6", r"y=\frac{5}{x}"),
    ("xy=6x", "y=6"),
    ("(x-2)y=x^2-4", "y=x+2"),
    ("y^2=x", r"y=\sqrt{x}"),
    ("x(x-4)=0", "x=4"),
    ("(x-4)y=0", "x=4"),
    ("x^2+y^2=9", r"y=\sqrt{9-x^2}"),
    ("y=7-x", "y=|x-7|"),
]


@pytest.mark.parametrize(("reference", "answer"), SAME)
def test_same(reference, answer):
    assert same_formula(reference, answer) is True
    assert same_formula(answer, reference) is True


@pytest.mark.parametrize(("reference", "answer"), DIFFERENT)
def test_different(reference, answer):
    assert same_formula(reference, answer) is False
    assert same_formula(answer, reference) is False


@pytest.mark.parametrize(("reference", "answer"), [("x=1", "x=1=y"), (r"x\in A", r"x\in B"), ("x=\\foo", "x=1")])
def test_undecided(reference, answer):
    assert same_formula(reference, answer) is None
