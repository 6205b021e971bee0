r"""Mathematical answers: extraction, limits, then the tiers of comparison from strings to worker processes.

``start`` does everything that needs no worker and no waiting; it returns a verdict, or a ``Pending`` that the symbolic
tier has to decide. ``grade_math`` waits for that; ``grade_math_async`` awaits it.
"""

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import lru_cache

from verl_ext.grading.answers.boxes import CutBox, Extracted, reference_boxes
from verl_ext.grading.answers.brackets import braces, is_balanced
from verl_ext.grading.answers.conventions import DEFAULTS, Conventions
from verl_ext.grading.answers.escapes import with_commands
from verl_ext.grading.answers.extract import RULES, extract_answer
from verl_ext.grading.answers.forms import has_form_of
from verl_ext.grading.answers.limits import MAX_ANSWER_CHARS, breach
from verl_ext.grading.answers.notation import in_one_notation
from verl_ext.grading.answers.number_text import number_text
from verl_ext.grading.answers.phrases import find_phrase
from verl_ext.grading.answers.spelling import key
from verl_ext.grading.answers.tiers import compare_numbers, compare_strings, compare_types, first_decision
from verl_ext.grading.verdict import Decision, Reason, Tier, Verdict, verdict_of
from verl_ext.grading.workers.decisions import settled, shared_decisions
from verl_ext.grading.workers.process import TimedOutError, WorkerError

TIERS = (compare_strings, compare_numbers, compare_types)
"""Cheapest first; the first that decides, decides. What none of them does, ``compare_symbolically`` does in a worker."""
MATH_FALLBACKS = tuple(name for name in RULES if name != "last_number")
GSM8K_FALLBACKS = ("hashes", "phrase", "last_number")


def marks_of(fallbacks: Sequence[str]) -> tuple[str, ...]:
    """The rules of ``fallbacks`` that take only what a text itself marks as its answer."""
    return tuple(name for name in fallbacks if RULES[name].is_mark)


@dataclass(frozen=True)
class Pending:
    """An answer that the tiers of this process cannot decide."""

    reference: str
    answer: str
    rule: str
    conventions: Conventions = DEFAULTS


def parse_reference(reference: object) -> str:
    r"""The answer a reference holds: itself, or of a whole solution what it boxes, else what it says its answer is.

    Raises:
        ValueError: It is no text, empty, beyond the limits of an answer, or its brackets say that it was cut.
    """
    if isinstance(reference, dict) and "target" in reference:
        reference = reference["target"]
    if isinstance(reference, int | float) and not isinstance(reference, bool):
        reference = _number_of(reference)
    if not isinstance(reference, str):
        raise ValueError(f"The ground truth of a math row must be a text, got {reference!r:.200}.")
    return _parsed_reference(reference)


def _number_of(reference: int | float) -> str:
    try:
        return number_text(reference)
    except ValueError as error:
        raise ValueError(f"The ground truth {error}") from None


@lru_cache(maxsize=65536)
def _parsed_reference(reference: str) -> str:
    reference = with_commands(reference)
    boxes = reference_boxes(reference)
    answer = ", ".join(boxes) if boxes else reference.strip()
    if "####" in answer:
        answer = answer.rsplit("####", 1)[1].strip()
    if len(answer) > MAX_ANSWER_CHARS:  # a solution without a box, which may say what its answer is
        answer = find_phrase(answer) or answer
    if not key(answer):
        raise ValueError(f"The ground truth {reference!r:.200} is empty: every answer would be wrong.")
    why = breach(answer)
    if why:
        raise ValueError(f"The ground truth {reference!r:.200} cannot be compared with: {why}.")
    if not is_balanced(braces(answer)):
        raise ValueError(f"The ground truth {reference!r:.200} is cut: its braces do not match.")
    return answer


def start(
    response: str,
    reference: str,
    *,
    is_truncated: bool,
    fallbacks: Sequence[str],
    conventions: Conventions = DEFAULTS,
) -> Verdict | Pending:
    """Grade as far as this process can: extraction, limits, strings, exact numbers, types."""
    found = _find_answer(response, is_truncated=is_truncated, fallbacks=fallbacks)
    if isinstance(found, Verdict):
        return found
    text, rule = with_commands(found.text), found.rule
    answer = text[:MAX_ANSWER_CHARS]
    why = breach(text)
    if why:
        return Verdict(Reason.UNPARSABLE, answer, rule, Tier.LIMITS, why)
    try:
        decision = first_decision(TIERS, *in_one_notation(reference, text), conventions)
    except RecursionError:
        return Verdict(Reason.UNPARSABLE, answer, rule, Tier.LIMITS, "too many parts within parts")
    if decision is None:
        return Pending(reference, text, rule, conventions)
    return verdict_of(_in_form(decision, reference, text, conventions), answer, rule)


def _in_form(decision: Decision, reference: str, answer: str, conventions: Conventions) -> Decision:
    """The decision, unless the form is asked for too and the answer has another one."""
    if not decision.is_same or conventions.form == "any" or has_form_of(reference, answer):
        return decision
    return Decision(False, decision.tier, "the value of the reference in another form")


def _find_answer(response: str, *, is_truncated: bool, fallbacks: Sequence[str]) -> Extracted | Verdict:
    # A response that was cut has no last sentence to fall back on, so only a box counts.
    found = extract_answer(response, () if is_truncated else fallbacks, is_truncated=is_truncated)
    if is_truncated and (found is None or isinstance(found, CutBox)):
        detail = "cut before an answer" if found is None else "cut inside its last box"
        return Verdict(Reason.TRUNCATED, None, rule="", tier=Tier.EXTRACTION, detail=detail)
    if isinstance(found, CutBox):
        found = found.before
    if found is None:
        return Verdict(Reason.NO_ANSWER, None, rule="", tier=Tier.EXTRACTION, detail="no box and no other mark")
    if not found.text.strip():
        return Verdict(Reason.NO_ANSWER, None, found.rule, Tier.EXTRACTION, "the answer is empty")
    return found


def submit(pending: Pending) -> "Future[Decision]":
    pair = in_one_notation(pending.reference, pending.answer)
    return shared_decisions().submit(*pair, conventions=pending.conventions)


def grade_math(
    response: str,
    reference: str,
    *,
    is_truncated: bool,
    fallbacks: Sequence[str] = MATH_FALLBACKS,
    conventions: Conventions = DEFAULTS,
) -> Verdict:
    """Grade and wait for the worker where one is needed."""
    begun = start(response, reference, is_truncated=is_truncated, fallbacks=fallbacks, conventions=conventions)
    if isinstance(begun, Verdict):
        return begun
    return finish(begun, submit(begun))


async def grade_math_async(
    response: str,
    reference: str,
    *,
    is_truncated: bool,
    fallbacks: Sequence[str] = MATH_FALLBACKS,
    conventions: Conventions = DEFAULTS,
) -> Verdict:
    """``grade_math`` for an event loop: other responses are graded while a worker is busy."""
    begun = start(response, reference, is_truncated=is_truncated, fallbacks=fallbacks, conventions=conventions)
    if isinstance(begun, Verdict):
        return begun
    future = submit(begun)
    await settled(future)
    return finish(begun, future)


def finish(pending: Pending, future: "Future[Decision]") -> Verdict:
    """The verdict of a pending answer once its comparison is done (waits for it)."""
    answer = pending.answer
    try:
        decision = future.result()
    except TimedOutError as error:
        return Verdict(Reason.TIMED_OUT, answer, pending.rule, tier=Tier.SYMBOLIC, detail=str(error))
    except WorkerError as error:
        return Verdict(Reason.GRADER_ERROR, answer, pending.rule, tier=Tier.GRADER, detail=str(error))
    return verdict_of(_in_form(decision, pending.reference, answer, pending.conventions), answer, pending.rule)
