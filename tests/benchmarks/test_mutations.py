"""Near misses are rejected and rewrites accepted, of invented references and of real ones."""

import asyncio
import random
import sys
from pathlib import Path

import pytest

from verl_ext.data.sources import load_rows
from verl_ext.grading import Reason

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import grading
import mutations
from near_misses import NEAR_MISSES
from rewrites import REWRITES

KINDS = (*NEAR_MISSES, *REWRITES)

REFERENCES = [
    "17", "-4", "12,\\!500", "3.75", r"\frac{7}{12}", r"-\frac{9}{4}", r"2\frac{3}{5}", r"6\sqrt{7}", r"\frac{5\sqrt{3}}{6}",
    r"4+5\sqrt{2}", r"\frac{3-\sqrt{5}}{2}", r"12\pi", r"3-8i", r"2^{12}", r"\sqrt[3]{11}", "x^2-5x+6", r"\frac{x+3}{x-2}",
    "y = 3x-7", "x^2+y^2=10", "(3,-8)", r"\left(\frac{1}{2},7\right)", "2, 5, 11", r"1+\sqrt{6}, 1-\sqrt{6}", "[2,9)",
    r"(-\infty,4]", r"(-\infty,-1)\cup(6,\infty)", r"\begin{pmatrix} 1 & -2 \\ 3 & 5 \end{pmatrix}",
    r"\begin{pmatrix} 4 \\ -7 \end{pmatrix}", r"14\text{ cm}", r"35^\circ", r"12\%", r"\$8.40", r"\text{(C)}", r"\text{Tuesday}",
    "2031_5", "4:7", r"\cos 20^\circ", r"\ln 3", r"\frac{\pi}{9}",
    "45320", "7,\\!000,\\!000", r"3 \cdot 5", r"6+4\sqrt{11}", "0.85", r"\frac79",
]  # fmt: skip


def misjudged(kinds, references, seed):
    """The mutants, also in another spelling, and those of them that got a verdict they should not have."""
    mutants = list(mutations.mutants(kinds, references, seed))
    mutants += list(mutations.respelled(mutants, REWRITES, seed))
    reasons = asyncio.run(grading.reasons_of([(reference, mutant) for _, reference, mutant in mutants]))
    wrong = [
        (kind.name, reference, mutant, reason)
        for (kind, reference, mutant), reason in zip(mutants, reasons, strict=True)
        if reason is not (Reason.CORRECT if kind.is_equal else Reason.INCORRECT)
    ]
    return mutants, wrong


@pytest.mark.parametrize("kinds", [NEAR_MISSES, REWRITES], ids=["near misses", "rewrites"])
def test_invented_references(kinds):
    mutants, wrong = misjudged(kinds, REFERENCES, seed=0)
    assert len(mutants) > 700
    assert not wrong


@pytest.mark.parametrize("kinds", [NEAR_MISSES, REWRITES], ids=["near misses", "rewrites"])
def test_references_of_math(data_dir, kinds):
    references = sorted({row.ground_truth for row in load_rows("math", data_dir)})
    mutants, wrong = misjudged(kinds, random.Random(0).sample(references, 30), seed=0)
    assert len(mutants) > 500
    assert not wrong


def test_each_kind_applies_to_something():
    made = {kind.name for kind, _, _ in mutations.mutants(KINDS, REFERENCES, seed=0)}
    assert {kind.name for kind in KINDS} == made


def test_kinds_have_names_of_their_own():
    assert len({kind.name for kind in KINDS}) == len(KINDS)


def test_the_same_seed_makes_the_same_mutants():
    first, second, other = (list(mutations.mutants(KINDS, ["6\\sqrt{7}"], seed)) for seed in (0, 0, 1))
    assert first == second != other


def test_a_near_miss_without_a_proof_is_none():
    kind = mutations.near_miss("unreadable", lambda _generator, text: rf"{text} \unknown")
    assert kind.mutant(random.Random(0), "5") is None
    assert mutations.near_miss("equal", lambda _generator, _text: "5.0").mutant(random.Random(0), "5") is None
    assert mutations.rewrite("unequal", lambda _generator, _text: "6").mutant(random.Random(0), "5") is None


def test_pairs_are_of_different_references():
    pairs = mutations.pairs(["1", "2", "x+1", "x+2"], 50, seed=0)
    assert pairs
    assert all(left != right for left, right in pairs)
