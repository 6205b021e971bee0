import pytest
from math_verify import parse, verify

from verl_ext.grading.formulas.math_verify import compare_confirmed
from verl_ext.grading.verdict import Decision, Tier


@pytest.mark.parametrize(("reference", "answer"), [(r"\frac{1}{2004!}", r"\frac{1}{2006!}"), ("2^{-99}", "2^{-98}")])
def test_math_verify_alone_calls_tiny_values_equal_and_the_recheck_does_not(reference, answer):
    """The day Math-Verify stops rounding to six decimals, the first assertion says that the re-check can go."""
    assert verify(parse(f"${reference}$"), parse(f"${answer}$"))
    assert compare_confirmed(reference, answer) == Decision(False, Tier.SYMBOLIC, "math-verify")


SAME = [
    ("1", r"\lim_{x \to 0} \frac{\sin x}{x} = 1"),
    (r"\lim_{n\to\infty}\frac{n}{2n+1}", "1/2"),
    (r"\int_0^2 x dx", "2"),
    (r"\sum_{k=1}^{n} k^3", r"\frac{n^2(n+1)^2}{4}"),
    (
        r"\begin{pmatrix}1&2\\3&4\end{pmatrix}+\begin{pmatrix}1&1\\1&1\end{pmatrix}",
        r"\begin{pmatrix}2&3\\4&5\end{pmatrix}",
    ),
    (r"a_n = \sum_{k=1}^{n} b_k c_k", r"a_n = \sum_{k=1}^{n} c_k b_k"),
    ("0.25", r"\sum_{k=1}^{1} \sum_{j=1}^{1} 0.25"),
    ("7", "\u7b54\u6848 (3 + 4 = 7)"),
    (r"\sum_{k=1}^{1} 0 = 0", "0"),
]
DIFFERENT = [
    ("x = 9", "-(x = 9)"),
    ("x = 9", "(x = 9)+1"),
    (r"\frac{7}{3}", r"\frac{7}{3}.+1"),
    (r"x \equiv 2 \pmod{9}", r"x \equiv 2 \pmod{11}"),
    (r"-(\frac{1}{7},\frac{2}{3})", r"(\frac{1}{7},\frac{2}{3})"),
    (r"2(\frac{1}{7},\frac{2}{3})", r"(\frac{1}{7},\frac{2}{3})"),
    (r"\begin{cases} x & x > 1 \\ 3x & x \le 1 \end{cases}", r"\begin{cases} 3x & x > 1 \\ x & x \le 1 \end{cases}"),
    (r"\text{divisors of } 12", "12"),
    (r"\approx 3.25", r"-\approx 3.25"),
    (r"7\text{ below par}", "7"),
    ("5\u4e07", "5"),
    (r"a_n = \sum_{k=1}^{n} b_k", r"a_n = \sum_{k=1}^{n} c_k"),
    (r"\sum_{k=1}^{n} k", r"\frac{n(n-1)}{2}"),
    (r"\lim_{n\to\infty}\frac{n}{2n+1} = 1", "1"),
    ("0:0", r"\lim_{x\to 0} 0:0"),
    (r"\frac{\frac{0}{3}}{\sum_{k=1}^{2} 40\%}", r"(\frac{\frac{0}{3}}{\sum_{k=1}^{2} 40\%})+7"),
    (r"3^\sum_{k=1}^{1} \frac{2}{1}", r"3^\sum_{k=1}^{1} \frac{2}{1}+7"),
    (r"[-\sum_{k=1}^{2} x)", r"[-\sum_{k=1}^{2} x)-7"),
    (r"4(\prod_{k=1}^{3} 3\pm \sqrt[4]{11})", r"5(\prod_{k=1}^{3} 3\pm \sqrt[4]{11})"),
    (r"10^\sum_{k=1}^{3} y", r"10^\sum_{k=1}^{3} y+10"),
    (r"g(2) = \sum_{k=1}^{\infty} k^2", r"\frac12 g(2) = \sum_{k=1}^{\infty} k^2"),
]


@pytest.mark.parametrize(("reference", "answer"), SAME)
def test_what_it_reads_whole_is_believed(reference, answer):
    assert compare_confirmed(reference, answer).is_same is True
    assert compare_confirmed(answer, reference).is_same is True


@pytest.mark.parametrize(("reference", "answer"), DIFFERENT)
def test_what_it_does_not_read_whole_is_not_believed(reference, answer):
    for pair in ((reference, answer), (answer, reference)):
        decision = compare_confirmed(*pair)
        assert decision is None or decision.is_same is False
