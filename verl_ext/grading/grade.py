"""The one entrance to grading: every task's grader, by the name verl's rows carry in ``data_source``."""

import logging
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from typing import Any, Protocol

from verl_ext.grading import countdown, mathematics
from verl_ext.grading.paper import grader as paper_grader
from verl_ext.grading.verdict import Reason, Verdict

logger = logging.getLogger(__name__)


class GradeResponse(Protocol):
    def __call__(self, response: str, reference: Any, *, is_truncated: bool) -> Verdict: ...


class GradeResponseAsync(Protocol):
    def __call__(self, response: str, reference: Any, *, is_truncated: bool) -> Awaitable[Verdict]: ...


@dataclass(frozen=True)
class Grader:
    """How one task is graded."""

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


MATH, GSM8K = _math_grader(mathematics.MATH_FALLBACKS), _math_grader(mathematics.GSM8K_FALLBACKS)
GRADERS = {
    "countdown": Grader(countdown.grade_countdown, countdown.parse_reference),
    "gsm8k": GSM8K,
    "openai/gsm8k": GSM8K,
    **dict.fromkeys(("math", "math500", "aime2024", "aime2025", "amc23", "minerva", "olympiadbench"), MATH),
    # The data sources of the paper's own rows
    **dict.fromkeys(("TianHongZXY/MATH", "TianHongZXY/AIME2025", "TianHongZXY/amc23"), MATH),
}
PAPER_GRADERS = {
    **GRADERS,
    **dict.fromkeys(
        (task for task in GRADERS if task != "countdown"),
        Grader(paper_grader.grade_parsed, paper_grader.parse_reference, paper_grader.grade_parsed_async),
    ),
}
"""The paper's verdicts where it has them: for parity with its numbers, unsafe to trust (``paper_grader``)."""
TABLES = {"default": GRADERS, "paper": PAPER_GRADERS}


def grade(
    response: str, reference: Any, task: str, *, is_truncated: bool = False, grader: str | None = None
) -> Verdict:
    """Compare the answer in ``response`` with ``reference``.

    Args:
        response: The generated text, without the prompt. Any text at all: it is untrusted.
        reference: The row's ground truth. For countdown a mapping, or its JSON text, with ``numbers`` and ``target``.
        task: A name of ``GRADERS``, which is also the row's ``data_source``.
        is_truncated: The response was cut by its length limit.
        grader: ``default`` or ``paper``; without one, what VERL_EXT_GRADER says, else ``default``.

    Raises:
        ValueError: The task or the grader is unknown or the reference is broken. A fault in the grader itself does not
            raise: it is logged and becomes the verdict grader_error.
    """
    chosen = grader_of(task, grader)
    parsed_reference = chosen.parse_reference(reference)
    try:
        return chosen.grade(response, parsed_reference, is_truncated=is_truncated)
    except Exception as error:  # noqa: BLE001  a fault of ours: logged, counted by its own reason, never as wrong
        return _logged_grader_error(error, task, reference)


async def grade_async(
    response: str, reference: Any, task: str, *, is_truncated: bool = False, grader: str | None = None
) -> Verdict:
    """``grade`` for an event loop: a comparison that needs a worker process is awaited, and the loop stays free."""
    chosen = grader_of(task, grader)
    parsed_reference = chosen.parse_reference(reference)
    try:
        if chosen.grade_async is None:
            return chosen.grade(response, parsed_reference, is_truncated=is_truncated)
        return await chosen.grade_async(response, parsed_reference, is_truncated=is_truncated)
    except Exception as error:  # noqa: BLE001  as above
        return _logged_grader_error(error, task, reference)


def _logged_grader_error(error: Exception, task: str, reference: Any) -> Verdict:
    logger.exception("The grader of %s failed on reference %r.", task, reference)
    return grader_error(error)


def grader_error(error: Exception) -> Verdict:
    """The verdict of a response that could not be graded because of ``error``."""
    return Verdict(Reason.GRADER_ERROR, None, rule="", tier="grader", detail=f"{type(error).__name__}: {error}")


def check_reference(reference: Any, task: str) -> None:
    """Raise ValueError for an unknown task, or for a reference that no answer can be compared with."""
    grader_of(task).parse_reference(reference)


def grader_of(task: str, grader: str | None = None) -> Grader:
    name = grader or os.environ.get("VERL_EXT_GRADER") or "default"
    if name not in TABLES:
        raise ValueError(f"There is no grader called {name!r} (VERL_EXT_GRADER); there is {' and '.join(TABLES)}.")
    graders = TABLES[name]
    if task not in graders:
        nearest = get_close_matches(str(task), graders, n=1, cutoff=0.5)
        hint = f"Did you mean {nearest[0]}?" if nearest else f"There is a grader for {', '.join(graders)}."
        raise ValueError(f"There is no grader for the task (data_source) {task!r}. {hint}")
    return graders[task]
