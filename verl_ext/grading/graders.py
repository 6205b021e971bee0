"""The graders, by the name that a task gives: one for each kind of answer."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from verl_ext.grading import countdown_grader, mathematics
from verl_ext.grading.paper import grader as paper_grader
from verl_ext.grading.verdict import Verdict


class GradeResponse(Protocol):
    def __call__(self, response: str, reference: Any, *, is_truncated: bool) -> Verdict: ...


class GradeResponseAsync(Protocol):
    def __call__(self, response: str, reference: Any, *, is_truncated: bool) -> Awaitable[Verdict]: ...


@dataclass(frozen=True)
class Grader:
    """How one kind of answer is graded."""

    grade: GradeResponse
    parse_reference: Callable[[Any], Any]
    """Raises ValueError for a reference that no answer can be compared with."""
    grade_async: GradeResponseAsync | None = None
    """For a grader that may wait for a worker process; the others are done in microseconds."""


def _math_grader(fallbacks: tuple[str, ...]) -> Grader:
    return Grader(
        partial(mathematics.grade_math, fallbacks=fallbacks),
        mathematics.parse_reference,
        partial(mathematics.grade_math_async, fallbacks=fallbacks),
    )


GRADERS = {
    "math": _math_grader(mathematics.MATH_FALLBACKS),
    "gsm8k": _math_grader(mathematics.GSM8K_FALLBACKS),
    "countdown": Grader(countdown_grader.grade_countdown, countdown_grader.parse_reference),
}
_PAPER = Grader(paper_grader.grade_parsed, paper_grader.parse_reference, paper_grader.grade_parsed_async)
PAPER_GRADERS = {**GRADERS, "math": _PAPER, "gsm8k": _PAPER}
"""The paper's verdicts where it has them: for parity with its numbers, unsafe to trust (``paper.grader``)."""
TABLES = {"default": GRADERS, "paper": PAPER_GRADERS}
