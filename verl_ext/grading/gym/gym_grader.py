"""Answers to problems of reasoning-gym: its scorer gives 0 to 1, and what reaches the row's threshold is correct.

The row holds the whole problem, so that it is graded as it was asked whatever another version of the library would make
of its seed. The scorers are Python that reads untrusted text, some with ``eval``: they run in worker processes, in a child
without rights (``scorer``), and never here.
"""

import json
from collections.abc import Mapping
from concurrent.futures import Future
from functools import lru_cache
from typing import Any, Literal, NamedTuple, get_args

from verl_ext.grading.answer_tags import CLOSE_TAG, OPEN_TAG, last_tagged
from verl_ext.grading.verdict import Decision, Reason, Tier, Verdict, verdict_of
from verl_ext.grading.workers.decisions import settled, shared_decisions
from verl_ext.grading.workers.process import Comparison, TimedOutError, WorkerError

MAX_ANSWER_CHARS = 10_000
"""Some answers are grids; the longest of the library's own has 4,063 characters."""
AnswerForm = Literal["tag", "bare"]
FIELDS = ("task", "options", "entry", "threshold", "answer_form")
"""Of a ground truth, which may hold more."""


class GymReference(NamedTuple):
    """The ground truth of a row."""

    text: str
    """Its JSON, for the worker."""
    answer_form: AnswerForm
    """tag: the answer stands in ``<answer>``. bare: without one, the whole response is the answer."""


def parse_reference(reference: Any) -> GymReference:
    """Read the ground truth of a problem: a JSON object, or its text, as ``verl_ext.tasks.reasoning_gym`` makes it.

    Raises:
        ValueError: A field is missing or of another kind.
    """
    if isinstance(reference, GymReference):
        return reference
    if isinstance(reference, Mapping):
        reference = json.dumps(reference)
    if not isinstance(reference, str):
        raise _broken(reference, "it is no text")
    return _parsed(reference)


@lru_cache(maxsize=65536)
def _parsed(text: str) -> GymReference:
    try:
        fields = json.loads(text)
    except ValueError:
        raise _broken(text, "it is no JSON") from None
    missing = [name for name in FIELDS if not isinstance(fields, dict) or name not in fields]
    if missing:
        raise _broken(text, f"it has no {missing[0]}")
    entry, threshold = fields["entry"], fields["threshold"]
    if not isinstance(entry, dict) or not {"question", "answer", "metadata"} <= entry.keys():
        raise _broken(text, "its entry has no question, answer and metadata")
    if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not 0 < threshold <= 1:
        raise _broken(text, f"its threshold is {threshold!r:.40}, not above 0 and at most 1")
    if fields["answer_form"] not in get_args(AnswerForm):
        raise _broken(
            text, f"its answer_form is {fields['answer_form']!r:.40}, not {' or '.join(get_args(AnswerForm))}"
        )
    return GymReference(text, fields["answer_form"])


def _broken(reference: Any, why: str) -> ValueError:
    return ValueError(
        f"The ground truth of a reasoning_gym row must be what prepare_data.py writes, but {why}: {reference!r:.200}."
    )


class Unscored(NamedTuple):
    """An answer that a worker has to score."""

    reference: str
    answer: str
    rule: str


def grade_gym(response: str, reference: Any, *, is_truncated: bool) -> Verdict:
    """Grade the last complete ``<answer>`` of ``response``, or, where the row says bare, a response without one.

    An answer that the scorer fails on, though it takes the library's own, is unparsable.
    """
    begun = start(response, parse_reference(reference), is_truncated=is_truncated)
    return begun if isinstance(begun, Verdict) else finish(begun, submit(begun))


async def grade_gym_async(response: str, reference: Any, *, is_truncated: bool) -> Verdict:
    """``grade_gym`` for an event loop: other responses are graded while a worker is busy."""
    begun = start(response, parse_reference(reference), is_truncated=is_truncated)
    if isinstance(begun, Verdict):
        return begun
    future = submit(begun)
    await settled(future)
    return finish(begun, future)


def start(response: str, reference: GymReference, *, is_truncated: bool) -> Verdict | Unscored:
    """Find the answer; nothing is computed with it."""
    tagged = last_tagged(response)
    rule = "answer_tag" if tagged is not None else "bare"
    if tagged is None and is_truncated:
        return Verdict(Reason.TRUNCATED, None, "", Tier.EXTRACTION, "cut before the answer was complete")
    if tagged is None and (reference.answer_form == "tag" or OPEN_TAG in response):
        detail = f"{OPEN_TAG} is not closed" if OPEN_TAG in response else f"no {OPEN_TAG}{CLOSE_TAG}"
        return Verdict(Reason.NO_ANSWER, None, "", Tier.EXTRACTION, detail)
    answer = (response if tagged is None else tagged).strip()
    if not answer:
        return Verdict(Reason.NO_ANSWER, None, rule, Tier.EXTRACTION, "the answer is empty")
    if len(answer) > MAX_ANSWER_CHARS:
        detail = f"longer than {MAX_ANSWER_CHARS} characters"
        return Verdict(Reason.UNPARSABLE, answer[:MAX_ANSWER_CHARS], rule, Tier.LIMITS, detail)
    return Unscored(reference.text, answer, rule)


def submit(undecided: Unscored) -> "Future[Decision]":
    return shared_decisions().submit(undecided.reference, undecided.answer, Comparison.REASONING_GYM)


def finish(undecided: Unscored, future: "Future[Decision]") -> Verdict:
    """The verdict of an answer once it is scored (waits for it)."""
    try:
        decision = future.result()
    except TimedOutError as error:
        return Verdict(Reason.TIMED_OUT, undecided.answer, undecided.rule, tier=Tier.SCORE, detail=str(error))
    except WorkerError as error:
        return Verdict(Reason.GRADER_ERROR, undecided.answer, undecided.rule, tier=Tier.GRADER, detail=str(error))
    return verdict_of(decision, undecided.answer, undecided.rule)
