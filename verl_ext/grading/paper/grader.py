r"""The paper's verdicts (arXiv:2506.01347), for parity with its reported numbers. Not to be trusted.

It calls wrong answers right: 5, 500 and 0.05 are one number to it, so are 10000 and 10001, ``2,3`` is 23, ``(1,2]`` is
``[1,2)``, ``3\cdot4`` is 34, ``2^3`` is 1 and an answer of several lines equals an empty reference. It calls right ones
wrong wherever its parsers give up. And it reads formulas with sympy's ``parse_expr``, which executes them as Python, so
that happens in a worker process only, in a child without rights (``sandbox``). Even there an answer can lie about
itself: whoever runs code in the child also writes its verdict.

Written from the documented behavior of the paper's evaluation, not from its code. The normalization gives MATH's 12,500
published targets from their solutions. Known to differ:

- its LaTeX parser is latex2sympy2 1.5.4 or 1.9.1, of which the first reads ``2\pi r`` as ``2\pi``; here it is
  latex2sympy2_extended, which reads more, so that a few more right answers are accepted;
- its time limit of 1 s misses tuples, matrices and equations, where it hangs; here it covers the whole comparison,
  counts processor time, and the verdict is ``timed_out``;
- an answer longer than MAX_ANSWER_CHARS is ``unparsable``: its regular expressions are quadratic in it;
- its training run compares AIME and AMC as strings, its evaluation does not; this is the evaluation.
"""

from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any, NamedTuple

from verl_ext.grading.answers.limits import MAX_ANSWER_CHARS
from verl_ext.grading.answers.number_text import number_text
from verl_ext.grading.paper.answer_text import ends_in_closed_box, extract, normalize
from verl_ext.grading.paper.rules import same_answer, unknown
from verl_ext.grading.verdict import Decision, Reason, Tier, Verdict
from verl_ext.grading.workers.decisions import settled, shared_decisions
from verl_ext.grading.workers.process import Comparison, TimedOutError, WorkerError


def parse_reference(reference: object) -> str:
    """What the paper compares with: a row's ``target``, or the normalized answer of a solution or of a bare answer.

    Raises:
        ValueError: It is no text, or longer than an answer may be. An empty one stands: the paper has such a target.
    """
    if isinstance(reference, Mapping) and "target" in reference:
        target = reference["target"]
    elif isinstance(reference, int | float) and not isinstance(reference, bool):
        number_text(reference)  # refuses what is no number, or a rounded one
        target = str(reference)
    elif isinstance(reference, str):
        target = reference.rpartition("####")[2] if "####" in reference else reference
        target = normalize(extract(target)[0] if "boxed" in target else target)
    else:
        target = reference
    if not isinstance(target, str):
        raise ValueError(f"The ground truth of a math row must be a text, got {reference!r:.200}.")
    if len(target) > MAX_ANSWER_CHARS:
        raise ValueError(f"The ground truth {reference!r:.200} is longer than {MAX_ANSWER_CHARS} characters.")
    return target


def paper_grade(response: str, reference: Any, *, is_truncated: bool = False) -> Verdict:
    """Grade as the paper's evaluation does, which asks neither whether a response was cut nor whether it has a box.

    Right and wrong are the paper's. A wrong one that was cut before its last box was closed has the reason ``truncated``,
    so that a run can tell it from an answer.
    """
    return grade_parsed(response, parse_reference(reference), is_truncated=is_truncated)


def grade_parsed(response: str, reference: str, *, is_truncated: bool = False) -> Verdict:
    """``paper_grade`` with a reference from ``parse_reference``, which must not be normalized twice."""
    begun = start(response, reference, is_truncated=is_truncated)
    return begun if isinstance(begun, Verdict) else finish(begun, submit(begun))


async def grade_parsed_async(response: str, reference: str, *, is_truncated: bool = False) -> Verdict:
    """``grade_parsed`` for an event loop: other responses are graded while a worker is busy."""
    begun = start(response, reference, is_truncated=is_truncated)
    if isinstance(begun, Verdict):
        return begun
    future = submit(begun)
    await settled(future)
    return finish(begun, future)


class Undecided(NamedTuple):
    """An answer that this process must not compare."""

    reference: str
    answer: str
    rule: str
    is_cut: bool


def start(response: str, reference: str, *, is_truncated: bool) -> Verdict | Undecided:
    """Grade as far as strings and numbers go."""
    raw, rule = extract(response)
    is_cut = is_truncated and not ends_in_closed_box(response)
    if len(raw) > MAX_ANSWER_CHARS:
        if is_cut:
            return Verdict(Reason.TRUNCATED, None, rule, tier=Tier.PAPER, detail="cut inside its last box")
        detail = f"longer than {MAX_ANSWER_CHARS} characters"
        return Verdict(Reason.UNPARSABLE, raw[:MAX_ANSWER_CHARS], rule, tier=Tier.PAPER, detail=detail)
    undecided = Undecided(reference, normalize(raw), rule, is_cut)
    is_same = same_answer(undecided.answer, reference, unknown)
    return undecided if is_same is None else _verdict(undecided, is_same)


def submit(undecided: Undecided) -> "Future[Decision]":
    return shared_decisions().submit(undecided.reference, undecided.answer, Comparison.PAPER)


def finish(undecided: Undecided, future: "Future[Decision]") -> Verdict:
    """The verdict of an undecided answer once its comparison is done (waits for it)."""
    try:
        decision = future.result()
    except TimedOutError as error:
        return Verdict(Reason.TIMED_OUT, undecided.answer, undecided.rule, tier=Tier.PAPER, detail=str(error))
    except WorkerError as error:
        return Verdict(Reason.GRADER_ERROR, undecided.answer, undecided.rule, tier=Tier.GRADER, detail=str(error))
    if decision.is_same is None:
        return Verdict(Reason.GRADER_ERROR, undecided.answer, undecided.rule, tier=Tier.GRADER, detail=decision.detail)
    return _verdict(undecided, decision.is_same)


def _verdict(undecided: Undecided, is_same: bool) -> Verdict:
    _, answer, rule, is_cut = undecided
    if is_same:
        return Verdict(Reason.CORRECT, answer, rule, tier=Tier.PAPER)
    if is_cut:
        return Verdict(
            Reason.TRUNCATED, answer or None, rule, tier=Tier.PAPER, detail="cut before its answer was complete"
        )
    if not answer:
        detail = "no box, no phrase and no number, or an empty one"
        return Verdict(Reason.NO_ANSWER, None, rule, tier=Tier.PAPER, detail=detail)
    return Verdict(Reason.INCORRECT, answer, rule, tier=Tier.PAPER)
