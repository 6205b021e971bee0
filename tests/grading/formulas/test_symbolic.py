import pytest

from tests.effort import within
from verl_ext.grading.formulas.symbolic import compare_symbolically

SAME = [
    (r"\sqrt{3} - 1", "-1 + sqrt(3)"),
    (r"96-10\sqrt{21}", r"\frac{6\sqrt{1789-240\sqrt{21}}+8\sqrt{1236-240\sqrt{21}}}{5}"),
    (r"\frac{3\sqrt3}{4}", r"3\sqrt{3}/4"),
    (r"\sqrt{2}", "1.4142135623730951"),
    (r"40\pi", "125.663"),
    (r"e^{16} - 1", "-1 + exp(16)"),
    (r"\tan^2(y)+1", r"\sec^2(y)"),
    ("(x+1)^2", "x^2+2x+1"),
    (r"\frac{x+2}{7}", r"\frac{x}{7}+\frac{2}{7}"),
    (r"\binom{10}{3}", "120"),
    ("5!", "120"),
    (r"\sin\left(\frac{\pi}{6}\right)", "0.5"),
    (r"\sin 2x", r"2\sin x\cos x"),
    (r"\log_2 8", "3"),
    (r"2\ln x", r"\ln x^2"),
    (r"\sqrt[3]{-8}", "-2"),
    (r"\lfloor 2.7 \rfloor", "2"),
    (r"|{-3}|", "3"),
    ("f(x) = 2x + 3", "y = 2x + 3"),
    ("34x+45y-20z+100=0", "-34x-45y+20z-100=0"),
    ("x < 1", "-x > -1"),
    (r"x^2/4 + y^2/3 = 1", r"x^2/16 + y^2/12 = 1/4"),
    (r"(\frac{3}{5},\frac{8}{3}]", "(0.6,2.6667]"),
    (r"1 \pm \sqrt{19}", r"1-\sqrt{19}, 1+\sqrt{19}"),
    (r"\sum_{k=1}^{3} k", "6"),
    (r"6+9i", "9i + 6"),
    ("2", r"17 \bmod 5 = 2"),
    ("-1", r"e^{i\pi} = -1"),
    (r"\frac34i", r"\frac{3i}{4}"),
]
DIFFERENT = [
    (r"\frac{1}{2004!}", r"\frac{1}{2006!}"),
    ("2^{-99}", "2^{-98}"),
    ("1-1/e", "1+1/e"),
    ("x", r"\sqrt{x^2}"),
    ("x", "|x|"),
    ("3^{2025}", "2^{2025}"),
    ("x < 1", "x > -1"),
    (r"\frac{2^{2005}+1}{3 \cdot 2^{2006}}", r"\frac{1}{3 \cdot 2^{2006}}"),
    (r"\frac{1+\sqrt5}{2}", "2"),
    ("(a+5)(b+2)", "(+5)(b+2)"),
    (r"12\pi", r"6\pi"),
    (r"\pi", "3.14"),
    (r"\sqrt{2}", "1.415"),
    ("x+y-z+2=0", "5x-7y+11z+4=0"),
    ("10", "10m"),
    ("8", "2^4"),
    ("12", "3 4"),
    ("34", r"3\cdot4"),
]


@pytest.mark.parametrize(("reference", "answer"), SAME)
def test_same(reference, answer):
    assert compare_symbolically(reference, answer).is_same is True


@pytest.mark.parametrize(("reference", "answer"), DIFFERENT)
def test_different(reference, answer):
    assert compare_symbolically(reference, answer).is_same is False
    assert compare_symbolically(answer, reference).is_same is False


@pytest.mark.parametrize(
    "text", ["9^{9^{9^{9}}}", r"(10^{10^{10}})!", r"2^{2^{2^{49}}}", "(" * 30 + "1" + ")" * 30, "1+" * 700 + "1"]
)
def test_what_is_too_complex_is_refused_and_not_computed(text):
    assert within(50, lambda: compare_symbolically("3", text)).is_same is not True


def test_what_is_too_complex_for_the_grammar_is_not_left_to_another_library():
    decision = compare_symbolically(r"\sum_{k=1}^{1} 1", r"\binom{1/2}{10^{20}}")
    assert decision.is_same is None
    assert decision.detail.startswith("too complex")
