"""The one entrance to grading: a response to a task, by the name that verl's rows carry in ``data_source``.

It stands above ``verl_ext.tasks``, which says which of the ``graders`` a task has; the rest of this package stands below.
"""

import logging
from difflib import get_close_matches
from typing import Any

from verl_ext.grading.answers.conventions import read_conventions
from verl_ext.grading.graders import TABLES, Grader
from verl_ext.grading.verdict import Reason, Tier, Verdict
from verl_ext.grading.workers.settings import read_settings
from verl_ext.tasks.table import DATA_SOURCES, SHOWN_DATA_SOURCES
from verl_ext.tasks.task import Task

logger = logging.getLogger(__name__)


def grade(
    response: str, reference: Any, task: str, *, is_truncated: bool = False, grader: str | None = None
) -> Verdict:
    """Compare the answer in ``response`` with ``reference``.

    Args:
        response: The generated text, without the prompt. Any text at all: it is untrusted.
        reference: The row's ground truth. For countdown a mapping, or its JSON text, with ``numbers`` and ``target``.
        task: The row's ``data_source``, a name of ``verl_ext.tasks.table.DATA_SOURCES``.
        is_truncated: The response was cut by its length limit.
        grader: ``default``, ``marked``, ``paper`` or ``published_gsm8k``; without one, what VERL_EXT_GRADER says, else ``default``.

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
    return Verdict(Reason.GRADER_ERROR, None, rule="", tier=Tier.GRADER, detail=f"{type(error).__name__}: {error}")


def check_reference(reference: Any, task: str) -> None:
    """Raise ValueError for an unknown task, or for a reference that no answer can be compared with."""
    grader_of(task).parse_reference(reference)


def grader_of(task: str, grader: str | None = None) -> Grader:
    """The grader that ``task`` names, in the table that ``grader`` or VERL_EXT_GRADER names, under the task's conventions.

    Raises:
        ValueError: There is no such task or no such table; says which is nearest.
    """
    name = grader or read_settings().grader
    if name not in TABLES:
        raise ValueError(f"There is no grader called {name!r}; there is {', '.join(TABLES)}.")
    if task not in DATA_SOURCES:
        nearest = get_close_matches(str(task), DATA_SOURCES, n=1, cutoff=0.5)
        hint = f"Did you mean {nearest[0]}?" if nearest else f"There is a grader for {', '.join(SHOWN_DATA_SOURCES)}."
        raise ValueError(f"There is no grader for the task (data_source) {task!r}. {hint}")
    found = DATA_SOURCES[task]
    chosen = TABLES[name][found.grader]
    return chosen if name == "paper" else _under_conventions(chosen, found)


def _under_conventions(grader: Grader, task: Task) -> Grader:
    """Of the task, and over them those of the run."""
    if grader.under is not None:
        return grader.under(read_conventions(read_settings().conventions, task.conventions))
    if str(task.conventions):
        raise ValueError(
            f"{task.data_source} has the conventions {task.conventions}, and its grader {task.grader} takes none."
        )
    return grader
