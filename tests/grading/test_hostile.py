"""What a model under training may write: each gets a verdict, nothing of it is executed, and no process stays."""

import os
import time
from functools import partial
from pathlib import Path

import pytest

from tests.effort import within
from verl_ext.grading import Reason, grade
from verl_ext.grading.mathematics import GSM8K_FALLBACKS, MATH_FALLBACKS, Pending, finish, start
from verl_ext.grading.workers.decisions import shared_decisions
from verl_ext.grading.workers.pool import GraderPool
from verl_ext.grading.workers.process import Comparison

PROCESSOR_SECONDS = 0.5
"""Of a comparison here: none of these is to be decided, only to end."""
MOMENT = 200
"""In units of ``effort``: about a second, where a scan that is not linear takes minutes."""
TOWER = "9^{9^{9^{9}}}"
DIGITS = "7" * 10**6

# Where the reference is not 42, it is one that the answer has to be compared with in earnest.
COSTLY = {
    "tower": (TOWER, "42"),
    "tower of tens": ("10^{10^{10}}", "x+1"),
    "plain tower": ("9^9^9^9^9", "3"),
    "python tower": ("9**9**9**9", "3"),
    "tower in a tuple": (f"({TOWER},2)", "(1,2)"),
    "tower in a list": (f"{TOWER}, {TOWER}", "1, 2"),
    "tower in a set": (rf"\{{{TOWER},1\}}", r"\{1,2\}"),
    "tower in an equation": (f"x+y={TOWER}", "x+y=1"),
    "tower as a value": (f"x={TOWER}", "5"),
    "tower in an interval": (rf"[{TOWER},\infty)", r"[1,\infty)"),
    "tower in a matrix": (rf"\begin{{pmatrix}}{TOWER}\\1\end{{pmatrix}}", r"\begin{pmatrix}2\\1\end{pmatrix}"),
    "tower in a root": (rf"\sqrt[{TOWER}]{{2}}", "1"),
    "tower as an index": (rf"\log_{{2}} {TOWER}", "1"),
    "tower modulo": (rf"{TOWER} \bmod 7", "1"),
    "tower in a sine": (rf"\sin({TOWER})", r"\sin(1)"),
    "tower of a name": ("x^{x^{x^{x^{x}}}}", "x^{x}"),
    "tiny power": (r"[2^{\frac{1}{2^{1000}}},\infty)", r"[1,\infty)"),
    "negative tower": (f"2^{{-{TOWER}}}", "0"),
    "factorial of a tower": ("10^{10^{10}}!", "1"),
    "factorial": ("99999999!", "1"),
    "factorial of a million": ("1000000!", "1000000! + 1"),
    "factorials": ("((((9!)!)!)!)!", "1"),
    "half a factorial": (r"(10^{11}+\frac{1}{2})!", "1"),
    "binomial": (r"\binom{10^9}{5 \cdot 10^8}", "1"),
    "binomial of decimals": (r"\binom{10^{11}+0.5}{10^{10}+0.3}", "1"),
    "binomials": (r"\binom{\binom{\binom{99}{40}}{40}}{40}", "1"),
    "long product": (r"(x+y+z)^{300}", "1"),
    "long expansion": ("(x+1)^{100000}", "x^{100000}+1"),
    "nested radicals": (r"\sqrt{" * 30 + "x" + "}" * 30, "x"),
    "sum": (r"\sum_{k=1}^{10^{9}} \frac{1}{k^{2}}", "1"),
    "sum without end": (r"\sum_{k=1}^{\infty} \frac{k^{k}}{k!}", "1"),
    "product": (r"\prod_{k=1}^{10^{7}} k", "1"),
    "integral": (r"\int_0^1 \sin(x^{x^{x}}) \, dx", "1"),
    "integral by parts": (r"\int x^{50} e^{x} \sin^{20}(x) \log^{20}(x) \, dx", "1"),
    "limit": (r"\lim_{x \to 0} x^{x^{x^{x}}}", "1"),
    "determinant": (
        r"\det\begin{pmatrix}"
        + r"\\".join("&".join(f"{a}^{row}" for a in "abcdefgh") for row in range(8))
        + r"\end{pmatrix}",
        "x",
    ),
    "decimal exponent": ("1e999999999", "1"),
    "scientific exponent": ("10^{999999999}", "10^{999999998}"),
    "exponential": (r"\exp(\exp(\exp(\exp(9))))", "1"),
    "hyperbolic": (r"\cosh(10^{10^{8}})", "1"),
    "zero to a tower": (f"0^{{{TOWER}}}", "0"),
    "division by zero": (r"\frac{1}{0}", "1"),
    "zero by zero": (r"\frac{0}{0}", r"\frac{0}{0}+1"),
    "not a number": ("nan", "42"),
    "gamma": (r"\Gamma(10^{12})", "1"),
    "absolute values": ("|" * 300 + "x" + "|" * 300, "x"),
    "sums of names": ("+".join(f"{a}{b}" for a in "abcdefghijklm" for b in "nopqrstuvwxyz"), "x"),
    "many sets": (",".join(rf"\{{{i}x,{i}y\}}" for i in range(60)), ",".join(rf"\{{{i}y,{i}x\}}" for i in range(60))),
    "many equal items": (",".join("x+1" for _ in range(200)), ",".join("1+x" for _ in range(60))),
    "signs": (r"\pm 1" * 12, r"\pm 1"),
    "fractions in fractions": (r"\frac{1}{1+" * 30 + "x" + "}" * 30, "x"),
    "continued equation": ("=".join(["x"] * 300), "x=1"),
    "iterated logarithm": (r"\log" * 200 + " x", "1"),
    "integer of many digits": ("7" * 250, "7" * 249 + "8"),
    "decimal of many digits": ("0." + "7" * 250, r"\frac{7}{9}"),
    "power of many digits": ("7" * 200 + "^{" + "7" * 9 + "}", "1"),
    "root of many digits": (r"\sqrt{" + "7" * 250 + "}", "1"),
    "fibonacci by names": ("f(" * 35 + "x" + ")" * 35, "f(x)"),
}

ALIKE = {
    "zero to a tower",
    "limit",
    "many sets",
    "many equal items",
    "decimal of many digits",  # as many digits as it states
    "tiny power",  # 1 and 6e-302: the same to every digit that is looked at
    "factorial of a million",
}
"""Answers of COSTLY that are right, or too near to what is right to be told from it."""

# Each of these is as bad as it can be for one regular expression or one recursion.
BAIT = {
    "letters behind a digit": ("1" + "ab" * 700 + "!", "42"),
    "words behind a digit": ("1" + "ab " * 400 + "!", "42"),
    "units": ("1 " + "cm " * 400, "1"),
    "units with powers": ("1" + "²cm " * 350 + "}", "42"),
    "commands in a name": (r"\alphabeta" * 130 + "1=3", "3"),
    "letters in a name": ("f(" * 400 + "1=3", "3"),
    "subscripts": ("x" + "_{1}" * 350 + "=3", "3"),
    "open subscripts": ("x" + "_{" * 39 + "1=3", "3"),
    "blanks": ("1" + " " * 1400 + "x", "42"),
    "control blanks": ("1" + r"\ " * 700 + "x", "42"),
    "thin spaces": ("1" + r"\,1" * 450, "42"),
    "thousands": ("1" + ",000" * 350 + "x", "42"),
    "thousands by blanks": ("1" + " 000" * 350 + "x", "42"),
    "points": ("1" + "." * 1400, "42"),
    "signs": ("-" * 1400 + "1", "42"),
    "slashes": ("1/" * 700, "42"),
    "period": (r"0.\overline{" * 100 + "3" + "}" * 10, "42"),
    "text": (r"\text{" * 39 + "a", "42"),
    "text pieces": (r"\text{a b}" * 140 + "1", "42"),
    "text and": (r"\text{ and }" * 120 + "1", "42"),
    "ands": ("1 and " * 230 + "2", "42"),
    "ordinals": ("1th" * 450 + "!", "42"),
    "open ordinals": ("1^{" * 39 + "th", "42"),
    "degrees": (r"1^{\circ" * 39 + "x", "42"),
    "fractions": (r"\frac" * 280 + "1", "42"),
    "short fractions": (r"\frac12" * 200 + "x", "42"),
    "fractions cut": (r"\frac{1}" * 170 + "x", "42"),
    "roots": (r"\sqrt" * 280 + "1", "42"),
    "roots with parentheses": ("sqrt(" * 39 + "1", "42"),
    "bases": ("1_" * 700 + "2", "42"),
    "long base": ("1" * 250 + "_{" + "1" * 250 + "}", "42"),
    "matrices": (r"\begin{pmatrix}1\end{pmatrix}" * 45, "42"),
    "open matrices": (r"\begin{pmatrix}1" * 85, "42"),
    "closed matrices": (r"1\end{pmatrix}" * 90, "42"),
    "cells": (r"\begin{pmatrix}" + "&" * 1300 + r"\end{pmatrix}", "42"),
    "rows": (r"\begin{pmatrix}" + r"1\\" * 400 + r"\end{pmatrix}", "42"),
    "array": (r"\begin{array}{" + "c|" * 600 + "}1", "42"),
    "relations": ("x<" * 700 + "1", "42"),
    "memberships": (r"x\in" * 300 + "1", "42"),
    "unions": ("(1,2)U" * 230 + "(1,2)", "(1,2)"),
    "cups": (r"(1,2)\cup" * 150 + "(1,2)", "(1,2)"),
    "sets": (r"\{" * 39 + r"\}" * 39, r"\{1\}"),
    "empty sets": (r"\{\}," * 280 + r"\{\}", r"\{1\}"),
    "nested pairs": ("(1," * 39 + "2" + ")" * 39, "(1,2)"),
    "nested sets": (r"\{1," * 39 + "2" + r"\}" * 39, r"\{1,2\}"),
    "tree of sets": ("", ""),
    "ratios": ("1:" * 700 + "1", "42"),
    "plus or minus": (r"\pm" * 400 + "1", "42"),
    "phantoms": (r"\phantom{" * 39 + "1", "42"),
    "delimiters": (r"\left" * 280 + "(", "42"),
    "dollars": ("$" * 1400, "42"),
    "bars": ("|" * 1400, "42"),
    "quotes": ("f" + "'" * 1400, "42"),
    "factorials": ("3" + "!" * 1400, "42"),
    "percents": ("3" + "%" * 1400, "42"),
    "braces of words": ("{ab}" * 350 + "1", "42"),
    "degrees and minutes": (r"12^\circ 30" * 130 + "'", "42"),
    "digits before a prime": ("12" * 120 + r"^\circ" + r"\," * 400 + "'", "42"),
    "unit vectors": (r"\hat{i}+\mathbf{j}" * 85, "(1,2)"),
    "open unit vectors": (r"\mathbf{\hat{j" * 19 + "k", "(1,2)"),
    "blanks before arguments": (r"\frac {1} [" * 39 + "]" * 39, "42"),
    "exceptions": (r"x,x\ne 1" * 170, "42"),
    "open exceptions": (r"(x>1" * 39, "42"),
    "pieces": (
        r"\begin{cases}" + r"1&x>1\\" * 60 + r"\end{cases}",
        r"\begin{cases}" + r"1&x>2\\" * 60 + r"\end{cases}",
    ),
    "approximations": (r"1\approx" * 170 + "1", "42"),
}

NOT_READ = {
    "a million digits": (DIGITS, "42", Reason.UNPARSABLE),
    "a million decimals": ("0." + DIGITS, "42", Reason.UNPARSABLE),
    "a hundred thousand braces": ("{" * 10**5 + "1" + "}" * 10**5, "42", Reason.UNPARSABLE),
    "five thousand parentheses": ("(" * 5000 + "1" + ")" * 5000, "1", Reason.UNPARSABLE),
    "fifty braces": ("{" * 50 + "1" + "}" * 50, "1", Reason.UNPARSABLE),
    "a megabyte of sums": ("1+" * 500_000 + "1", "42", Reason.UNPARSABLE),
    "a megabyte of letters": ("a" * 10**6, "42", Reason.UNPARSABLE),
    "three hundred digits": ("7" * 300, "42", Reason.UNPARSABLE),
    "NUL": ("4\x002", "42", Reason.UNPARSABLE),
    "escape": ("4\x1b[2", "42", Reason.UNPARSABLE),
}
UNICODE = {
    "bidi": ("\u202e24\u202c", "42"),
    "zero width": ("4\u200b2", "42"),
    "fullwidth": ("\uff14\uff12", "42"),
    "Arabic digits": ("\u0664\u0662", "42"),
    "mixed digits": ("\uff14\u0662", "42"),
    "combining": ("4" + "\u0301" * 700 + "2", "42"),
    "surrogate": ("4\ud8002", "42"),
    "emoji": ("\U0001f600" * 300, "42"),
    "superscripts": ("2" + "\u00b2" * 700, "42"),
    "private use": ("\ue000" * 500, "42"),
    "ligature": ("\ufdfa" * 80, "42"),
}
"""\\ufdfa is one character that compatibility normalization makes eighteen."""

RESPONSES = {
    "empty": "",
    "blank": " \n\t" * 1000,
    "open boxes": r"\boxed{" * 28_000,
    "open boxes and an answer": r"\boxed{" * 20_000 + r"\boxed{42}",
    "closed boxes": r"\boxed{1}" * 22_000,
    "joined boxes": r"\boxed{1}, " * 18_000,
    "boxes in boxes": r"\boxed{" * 5000 + "}" * 5000,
    "box and blanks": r"\boxed" + " " * 199_000,
    "escaped braces": r"\boxed{" + r"\}" * 99_000,
    "backslashes": r"\boxed{" + "\\" * 199_001,
    "parentheses of math": r"\(" * 100_000,
    "brackets of math": r"\[" * 100_000,
    "dollars": "$" * 200_001,
    "pairs of dollars": "$ $" * 60_000,
    "answer and blanks": "answer" + " " * 199_000,
    "answers": "answer is " * 20_000,
    "final": ("final" + " " * 1000) * 199,
    "stars": "**a" * 66_000,
    "brackets": "[a" * 100_000,
    "hashes": "#### " * 40_000,
    "digits": "1" * 200_000,
    "digits and commas": "1," * 100_000,
    "points": ".1" * 100_000,
    "minus signs": "-" * 200_000,
    "thoughts": "</think>" * 25_000,
    "a megabyte": "a b " * 250_000,
    "a megabyte of lines": "\n" * 10**6,
}
CODE = [
    "__import__('os').system('touch {0}')",
    "__import__('os').system('touch\t{0}')",
    "__import__('pathlib').Path('{0}').touch()",
    "open('{0}','w').write('x')",
    "open ('{0}', 'w')",
    "exec(\"open('{0}','w')\")",
    "().__class__.__base__.__subclasses__()[-1].__init__.__globals__['__builtins__']['open']('{0}','w')",
    "Symbol('x').func.__init__.__globals__",
    "f(\"open('{0}','w')\")",
    "N(\"open('{0}','w')\")",
    "lambda: open('{0}','w')",
    "S('{0}').func",
    "sympify(\"__import__('os').mknod('{0}')\")",
    r"\mathrm{{open}}('{0}','w')",
    r"\input{{{0}}}",
    r"\write18{{touch {0}}}",
]
FRAMES = [r"\boxed{{{0}}}", r"\boxed{{({0}, 2)}}", r"\boxed{{[{0}]}}", r"\boxed{{x = {0}}}", "The answer is {0}", "{0}"]


def tree_of_sets(depth):
    return "x" if not depth else rf"\{{{tree_of_sets(depth - 1)},{tree_of_sets(depth - 1)}+1\}}"


BAIT["tree of sets"] = tree_of_sets(6), tree_of_sets(6).replace("x", "y")


@pytest.fixture(scope="module")
def pool():
    pool = shared_decisions().pool
    usual = pool.timeout_seconds
    pool.timeout_seconds = PROCESSOR_SECONDS
    yield pool.start()
    pool.timeout_seconds = usual


def boxed(answer):
    return rf"So the answer is $\boxed{{{answer}}}$."


@pytest.mark.parametrize("name", COSTLY)
def test_costly_answers(pool, name):
    answer, reference = COSTLY[name]
    verdict = grade(boxed(answer), reference, "math")
    right = Reason.CORRECT if name in ALIKE else None
    assert verdict.reason in {Reason.INCORRECT, Reason.UNPARSABLE, Reason.TIMED_OUT, right}


@pytest.mark.parametrize("name", BAIT)
def test_bait_for_each_pattern(name):
    """In the caller's own process, which nobody kills."""
    answer, reference = BAIT[name]
    for pair in ((answer, reference), (answer, "x+1"), (answer, "y=x")):
        begin = partial(start, boxed(pair[0]), pair[1], is_truncated=False, fallbacks=MATH_FALLBACKS)
        verdict = within(MOMENT, begin)
        assert isinstance(verdict, Pending) or verdict.reason is not Reason.GRADER_ERROR


@pytest.mark.parametrize("name", BAIT)
def test_bait_is_decided(pool, name):
    verdict = grade(boxed(BAIT[name][0]), BAIT[name][1], "math")
    assert verdict.reason is not Reason.GRADER_ERROR


@pytest.mark.parametrize("name", NOT_READ)
def test_answers_beyond_the_limits_are_not_read(name):
    answer, reference, reason = NOT_READ[name]
    verdict = within(MOMENT, lambda: grade(boxed(answer), reference, "math"))
    # A box longer than what is looked at is no box at all.
    assert verdict.reason is reason or (len(answer) > 100_000 and verdict.reason is Reason.NO_ANSWER)
    assert verdict.answer is None or len(verdict.answer) <= 1500


@pytest.mark.parametrize("name", UNICODE)
def test_unicode(pool, name):
    verdict = grade(boxed(UNICODE[name][0]), UNICODE[name][1], "math")
    assert verdict.reason is not Reason.GRADER_ERROR
    if "digits" in name or name in {"fullwidth", "zero width"}:
        assert verdict.is_correct
    else:
        assert not verdict.is_correct


@pytest.mark.parametrize("name", RESPONSES)
@pytest.mark.parametrize("fallbacks", [MATH_FALLBACKS, GSM8K_FALLBACKS], ids=["math", "gsm8k"])
def test_long_responses(name, fallbacks):
    begin = partial(start, RESPONSES[name], "42", is_truncated=False, fallbacks=fallbacks)
    verdict = within(MOMENT, begin)
    assert isinstance(verdict, Pending) or verdict.reason is not Reason.GRADER_ERROR


def test_four_hundred_decoys_do_not_count():
    decoys = " ".join(rf"\boxed{{{number}}}" for number in range(1, 401))
    assert grade(f"{decoys} so \\boxed{{42}}", "42", "math").is_correct
    assert grade(f"{decoys} so \\boxed{{43}}", "42", "math").reason is Reason.INCORRECT
    assert grade(f"{decoys.replace(' ', ' or ')}", "42", "math").reason is Reason.INCORRECT


@pytest.mark.parametrize("code", CODE)
@pytest.mark.parametrize("frame", FRAMES)
def test_no_code_runs(pool, code, frame, tmp_path):
    canary = tmp_path / "canary"
    verdict = grade(frame.format(code.format(canary)), "42", "math")
    assert verdict.reason in {Reason.INCORRECT, Reason.UNPARSABLE, Reason.NO_ANSWER, Reason.TIMED_OUT}
    assert not canary.exists()
    assert pool.submit("x+1", "1+x").result().is_same


@pytest.mark.parametrize("code", CODE)
@pytest.mark.parametrize("comparison", [Comparison.SYMBOLIC, Comparison.MATH_VERIFY])
def test_no_code_runs_in_the_last_tier(pool, comparison, code, tmp_path):
    """Past the limits that would refuse it: what a worker does with code, were it ever to get some."""
    canary = tmp_path / "canary"
    future = pool.submit("42", code.format(canary), comparison)
    assert finish(Pending("42", code.format(canary), "box"), future).reason is not Reason.CORRECT
    assert not canary.exists()
    assert pool.submit("x+1", "1+x").result().is_same


def test_no_process_stays():
    with GraderPool(num_workers=2) as pool:
        futures = [pool.submit("x", f"x^{{x^{{x^{{{number}}}}}}}!") for number in range(4)]
        futures.append(pool.submit("x+1", "1+x"))
        assert futures[-1].result().is_same
        children = [worker.process_id for worker in pool.workers if worker.process_id]
    assert children
    while any(map(is_alive, children)):  # until the test's own time is up
        time.sleep(0.05)


def is_alive(pid):
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] != "Z" and pid != os.getpid()
