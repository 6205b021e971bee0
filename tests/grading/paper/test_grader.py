"""The paper's verdicts, right and wrong, and that nothing an answer says is done outside the child that reads it."""

import asyncio
import os
import subprocess
import sys

import pytest

from verl_ext.grading import Reason, grade, grade_async
from verl_ext.grading.entrance import grader_of
from verl_ext.grading.paper.answer_text import extract, normalize
from verl_ext.grading.paper.grader import paper_grade, parse_reference
from verl_ext.grading.workers import sandbox
from verl_ext.grading.workers.decisions import shared_decisions

WRONG_BUT_ACCEPTED = [
    ("5", "500", "a hundredth"),
    ("500", "5", "a hundred times"),
    ("0.05", "5", "a hundredth again"),
    ("10001", "10000", "a relative tolerance on integers"),
    ("120006", "120000", "five parts in a hundred thousand"),
    ("2,3", "23", "commas are dropped"),
    ("(1,2]", "[1,2)", "brackets are ignored"),
    (r"3\cdot4", "34", "the sign of a product is dropped"),
    ("2^3", "1", "Python's exclusive or"),
    ("\n3\n", "", "several lines are an empty answer, which equals an empty reference"),
    ('len("abc")', "3", "Python is run"),
    ("(" * 400 + "3" + ")" * 400, "3", "every bracket is dropped"),
]
RIGHT_BUT_REJECTED = [
    ("2^3", "8", "Python's exclusive or"),
    ("2x+y=3", "4x+2y=6", "equations that differ by a factor"),
    ("4,3", "3,4", "a list in another order"),
    (r"50\%", r"\frac{1}{2}", "the percent sign is dropped"),
    (r"10{,}000", "10000", "a comma in braces"),
    ("52", "52_8", "the base"),
    ("Saturday", "saturday", "capitals"),
    ("\u22123", "-3", "the typographic minus"),
]
RIGHT_AND_ACCEPTED = [
    ("1+x", "x+1"),
    (r"\frac{1}{2}", "0.5"),
    (r"(1,\frac92)", "(1,4.5)"),
    ("y=3", "3"),
    ("3", "w=3"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}1\2\end{pmatrix}"),
    (r"\begin{pmatrix}1&x+1\end{pmatrix}", r"\begin{pmatrix}1&1+x\end{pmatrix}"),
    (r"x^{2}+2x+1", r"(x+1)^{2}"),
    (r"12\text{ cm}", "12"),
    (r"90^\circ", "90"),
    ("\uff14\uff12", "42"),
]
TOO_LONG = [
    ("9^{9^{9^{9}}}", "5"),
    ("(9^{9^{9^{9}}},2)", "(1,2)"),
    ("x+y=9^{9^{9^{9}}}", "x+y=1"),
    (r"[2^{\frac{1}{2^{1000}}},\infty)", r"[1,\infty)"),
    ("1000000!", "3"),
]
"""Where the paper's code stops after a second, or hangs forever."""
CODE = [
    "__import__('os').system('touch\t{0}')",
    "__import__('pathlib').Path('{0}').touch()",
    "open('{0}','w').write('x')",
    "open('{0}','w')",
    "(open('{0}','w'),2)",
    "[__import__('pathlib').Path('{0}').touch()]",
    "().__class__.__base__.__subclasses__()[-1].__init__.__globals__['__builtins__']['open']('{0}','w')",
    "f(\"open('{0}','w')\")",
    "exit()",
]
"""Without the sandbox each of them writes the file, but for ``exit()``, whatever names ``parse_expr`` is given."""


def ids(rows):
    return [row[2] for row in rows]


def paper(answer, reference):
    return paper_grade(rf"so \boxed{{{answer}}}.", {"target": reference})


@pytest.mark.parametrize(("answer", "reference", "_why"), WRONG_BUT_ACCEPTED, ids=ids(WRONG_BUT_ACCEPTED))
def test_wrong_but_accepted(answer, reference, _why):
    verdict = paper(answer, reference)
    assert (verdict.reason, verdict.tier, verdict.rule) == (Reason.CORRECT, "paper", "box")


@pytest.mark.parametrize(("answer", "reference", "_why"), RIGHT_BUT_REJECTED, ids=ids(RIGHT_BUT_REJECTED))
def test_right_but_rejected(answer, reference, _why):
    assert paper(answer, reference).reason is Reason.INCORRECT


@pytest.mark.parametrize(("answer", "reference"), RIGHT_AND_ACCEPTED)
def test_right_and_accepted(answer, reference):
    assert paper(answer, reference).is_correct


@pytest.mark.parametrize(
    ("response", "answer", "rule"),
    [
        (r"\boxed{1}, no: \boxed{\frac{1}{2}}", r"\frac{1}{2}", "box"),
        ("whoever boxed it said: 7$ was enough", "it said: 7", "box"),
        (r"\boxed{3\frac{1}{2", r"3\frac{1}{2", "box"),
        (r"\boxed{}", "", "box"),
        ("boxed", "", "box"),
        ("The answer is: 12.\nOr is it 13?", " 12", "phrase"),
        ("It is 1,234 or 5", "5", "last_number"),
        ("It is 1,234", "1234", "last_number"),
        ("No idea", "", ""),
    ],
)
def test_extraction(response, answer, rule):
    assert extract(response) == (answer, rule)


def test_gives_the_published_targets_of_math(data_dir):
    """All 12,500: how the paper extracts and spells an answer is known to the letter."""
    parquet = pytest.importorskip("pyarrow.parquet")
    for split, num_rows in (("train", 7500), ("test", 5000)):
        rows = parquet.read_table(data_dir / f"math_{split}.parquet", columns=["reward_model"]).column(0).to_pylist()
        truths = [row["ground_truth"] for row in rows]
        differ = [
            (index, found, truth["target"])
            for index, truth in enumerate(truths)
            if (found := normalize(extract(truth["solution"])[0])) != truth["target"]
        ]
        assert len(truths) == num_rows
        assert not differ


@pytest.mark.parametrize(("answer", "reference"), TOO_LONG)
def test_a_comparison_that_does_not_end_is_stopped(answer, reference):
    verdict = paper_grade(rf"so \boxed{{{answer}}}.", {"target": reference})
    assert verdict.reason is Reason.TIMED_OUT
    assert "no decision within 1 s" in verdict.detail
    assert paper("x+1", "1+x").is_correct  # the worker goes on


@pytest.mark.parametrize("code", CODE)
@pytest.mark.parametrize("frame", [r"\boxed{{{0}}}", "the answer is {0}"])
def test_nothing_is_done_outside(code, frame, tmp_path):
    canary = tmp_path / "canary"
    verdict = paper_grade(frame.format(code.format(canary)), "42")
    assert verdict.reason in {Reason.INCORRECT, Reason.TIMED_OUT}
    assert not canary.exists()
    assert paper("x+1", "1+x").is_correct


def test_an_answer_cannot_change_the_verdict_of_the_next():
    """It can lie about itself, and that is all: the child it ran in is gone."""
    forge = "setattr(__import__('sympy').core.expr.Expr,'equals',len)"
    paper(f'f("{forge}")', "3")
    assert not paper("x+2", "1+x").is_correct
    assert shared_decisions().pool.submit("x+2", "1+x").result().is_same is False


CONFINED = """
import os, socket, subprocess, sys, threading
from verl_ext.grading.workers import sandbox

path = sys.argv[1]
os.mkdir(path + "/folder")
open(path + "/kept", "w").close()
attempts = {
    "write": lambda: open(path + "/canary", "w"),
    "append": lambda: open(path + "/kept", "a"),
    "low-level create": lambda: os.open(path + "/canary", os.O_CREAT | os.O_RDONLY),
    "truncate": lambda: os.truncate(path + "/kept", 0),
    "delete": lambda: os.unlink(path + "/kept"),
    "rename": lambda: os.rename(path + "/kept", path + "/canary"),
    "link": lambda: os.symlink(path + "/kept", path + "/canary"),
    "folder": lambda: os.mkdir(path + "/canary"),
    "mode": lambda: os.chmod(path + "/kept", 0o777),
    "fork": os.fork,
    "run": lambda: subprocess.run(["touch", path + "/canary"]),
    "replace": lambda: os.execv("/bin/sh", ["sh", "-c", "touch " + path + "/canary"]),
    "thread": lambda: threading.Thread(target=print).start(),
    "socket": socket.socket,
    "signal": lambda: os.kill(os.getppid(), 0),
    "limits": lambda: __import__("resource").setrlimit(1, (100, 100)),
}
sandbox.give_up_rights()
for name, attempt in attempts.items():
    try:
        attempt()
    except (OSError, RuntimeError, ValueError):
        continue
    print(name)
print("reads", len(os.listdir(path)), sum(1 for _ in open(path + "/kept")))
"""


def test_the_child_has_no_rights(tmp_path):
    program = [sys.executable, "-c", CONFINED, str(tmp_path)]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.stdout == "reads 2 0\n", done.stderr
    assert sorted(os.listdir(tmp_path)) == ["folder", "kept"]


def test_without_a_kernel_that_confines_nothing_runs(monkeypatch):
    monkeypatch.setattr(sandbox.platform, "machine", lambda: "riscv64")
    with pytest.raises(OSError, match=r"Linux on x86_64 with seccomp. .*use the default grader. .* riscv64"):
        sandbox.give_up_rights()


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ({"target": r"12\sqrt3", "solution": "unused"}, r"12\sqrt3"),
        (r"so \boxed{\dfrac12}.", r"\frac{1}{2}"),
        ("reasoning\n#### 1,200", "1,200"),
        (204, "204"),
        ({"target": ""}, ""),
    ],
)
def test_references(reference, expected):
    assert parse_reference(reference) == expected


def test_references_that_are_none():
    with pytest.raises(ValueError, match="must be a text, got None"):
        parse_reference(None)
    with pytest.raises(ValueError, match="longer than 1500 characters"):
        parse_reference("1" * 2000)


def test_is_chosen_by_argument_or_environment(monkeypatch):
    assert grade(r"\boxed{5}", "500", "math").reason is Reason.INCORRECT
    assert grade(r"\boxed{5}", "500", "math", grader="paper").is_correct
    monkeypatch.setenv("VERL_EXT_GRADER", "paper")
    assert grade(r"\boxed{5}", "500", "math").is_correct
    assert asyncio.run(grade_async(r"\boxed{5}", "500", "TianHongZXY/MATH")).tier == "paper"
    assert not grade(r"\boxed{5}", "500", "math", grader="default").is_correct
    assert grader_of("countdown") is grader_of("countdown", "default")  # it has no other
    monkeypatch.setenv("VERL_EXT_GRADER", "papper")
    with pytest.raises(ValueError, match="VERL_EXT_GRADER=papper is not a grader. There is default, marked, paper"):
        grade("", "500", "math")
    with pytest.raises(ValueError, match="There is no grader called 'papper'; there is default, marked, paper"):
        grade("", "500", "math", grader="papper")


def test_long_answers_are_not_read():
    verdict = paper_grade(r"\boxed{" + "9" * 1_000_000 + "}", "3")
    assert (verdict.reason, verdict.detail) == (Reason.UNPARSABLE, "longer than 1500 characters")


@pytest.mark.parametrize(
    ("response", "reason", "whole"),
    [
        (r"so \boxed{5} and then", Reason.INCORRECT, Reason.INCORRECT),
        (r"so $\boxed 5$ and then", Reason.INCORRECT, Reason.INCORRECT),
        (r"so \boxed{5", Reason.TRUNCATED, Reason.INCORRECT),
        ("The answer is 12", Reason.TRUNCATED, Reason.INCORRECT),
        ("Let me see", Reason.TRUNCATED, Reason.NO_ANSWER),
        (r"\boxed{" + "9" * 2000, Reason.TRUNCATED, Reason.UNPARSABLE),
        ("The answer is 125", Reason.CORRECT, Reason.CORRECT),
        (r"so \boxed{125", Reason.CORRECT, Reason.CORRECT),
    ],
)
def test_a_cut_answer_is_told_apart_and_right_ones_stay_right(response, reason, whole):
    assert paper_grade(response, "125", is_truncated=True).reason is reason
    assert paper_grade(response, "125", is_truncated=False).reason is whole


def test_masking_works_with_the_papers_grader(monkeypatch):
    """The reward of a training run, as PAPER_GRADER=True sets it up."""
    from verl_ext.rewards.reward import compute_score

    monkeypatch.setenv("VERL_EXT_GRADER", "paper")
    reward = asyncio.run(compute_score("math", "12 + 100 = 11", "112", {"is_truncated": True}))
    assert (reward["truncated"], reward["incorrect"], reward["score"]) == (1.0, 0.0, 0.0)
