"""The table of tasks. A new one is a file here and a line below."""

import re
from difflib import get_close_matches

from verl_ext.tasks.competition_math import AIME2024, AIME2025, AMC23, MATH, MATH500
from verl_ext.tasks.countdown import COUNTDOWN
from verl_ext.tasks.gsm8k import GSM8K
from verl_ext.tasks.gym_tasks import GYM_TASKS, PREFIX, checked_name
from verl_ext.tasks.minerva import MINERVA
from verl_ext.tasks.olympiadbench import OLYMPIADBENCH
from verl_ext.tasks.task import Task

TASKS: dict[str, Task] = {
    task.data_source: task
    for task in (MATH, MATH500, AIME2025, AIME2024, AMC23, MINERVA, OLYMPIADBENCH, GSM8K, COUNTDOWN)
}
"""Name -> task."""
DATA_SOURCES: dict[str, Task] = {
    name: task for task in TASKS.values() for name in (task.data_source, *task.other_data_sources)
} | GYM_TASKS
"""What a row's ``data_source`` may be -> task."""
SHOWN_DATA_SOURCES = (*(name for name in DATA_SOURCES if name not in GYM_TASKS), f"{PREFIX}<generator>")
"""For messages."""


def plain_name(name: str) -> str:
    """MATH-500 and math500 are the same task."""
    return re.sub(r"[\s_-]", "", name).lower()


_BY_PLAIN_NAME = {
    plain_name(name): task for task in TASKS.values() for name in (task.data_source, task.repo_id, *task.aliases)
}


def task_named(name: str) -> Task:
    """The task people mean by ``name``: MATH-500, math500 and HuggingFaceH4/MATH-500 are the same one.

    Raises:
        ValueError: There is no such task; says which is nearest.
    """
    if name.startswith(PREFIX):
        return GYM_TASKS[PREFIX + checked_name(name)]
    task = _BY_PLAIN_NAME.get(plain_name(name))
    if task is not None:
        return task
    nearest = get_close_matches(plain_name(name), _BY_PLAIN_NAME, n=1, cutoff=0.5)
    hint = (
        f"Did you mean {_BY_PLAIN_NAME[nearest[0]].data_source}?"
        if nearest
        else f"There are {', '.join(TASKS)} and {PREFIX}<generator>."
    )
    raise ValueError(f"There is no task {name!r}. {hint}")
