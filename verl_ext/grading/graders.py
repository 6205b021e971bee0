"""The graders, by the name that a task gives: one for each kind of answer."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Protocol

from verl_ext.grading import countdown_grader, mathematics, published_gsm8k
from verl_ext.grading.answers.conventions import DEFAULTS, Conventions
from verl_ext.grading.gym import gym_grader
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
    under: Callable[[Conventions], "Grader"] | None = None
    """The same grader under other conventions; None where an answer needs none."""


@lru_cache(maxsize=64)
def _math_grader(fallbacks: tuple[str, ...], conventions: Conventions = DEFAULTS) -> Grader:
    options: dict[str, Any] = {"fallbacks": fallbacks, "conventions": conventions}
    return Grader(
        partial(mathematics.grade_math, **options),
        mathematics.parse_reference,
        partial(mathematics.grade_math_async, **options),
        under=partial(_math_grader, fallbacks),
    )


GRADERS = {
    "math": _math_grader(mathematics.MATH_FALLBACKS),
    "gsm8k": _math_grader(mathematics.GSM8K_FALLBACKS),
    "countdown": Grader(countdown_grader.grade_countdown, countdown_grader.parse_reference),
    "reasoning_gym": Grader(gym_grader.grade_gym, gym_grader.parse_reference, gym_grader.grade_gym_async),
}
MARKED_GRADERS = {
    **GRADERS,
    "math": _math_grader(mathematics.marks_of(mathematics.MATH_FALLBACKS)),
    "gsm8k": _math_grader(mathematics.marks_of(mathematics.GSM8K_FALLBACKS)),
}
"""The same without the rules that guess: a response that marks no answer has none."""
_PAPER = Grader(paper_grader.grade_parsed, paper_grader.parse_reference, paper_grader.grade_parsed_async)
PAPER_GRADERS = {**GRADERS, "math": _PAPER, "gsm8k": _PAPER}
"""The paper's verdicts where it has them: for parity with its numbers, unsafe to trust (``paper.grader``)."""
PUBLISHED_GSM8K_GRADERS = {
    **GRADERS,
    "gsm8k": Grader(published_gsm8k.grade_published_gsm8k, published_gsm8k.parse_reference),
}
TABLES = {
    "default": GRADERS,
    "marked": MARKED_GRADERS,
    "paper": PAPER_GRADERS,
    "published_gsm8k": PUBLISHED_GSM8K_GRADERS,
}
