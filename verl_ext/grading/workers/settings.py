"""The settings of grading. They are environment variables because verl's reward workers take no arguments of ours."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from verl_ext.grading.answers.conventions import read_options

GRADER, WORKERS, SECONDS, CACHE, CONVENTIONS = (
    f"VERL_EXT_GRADER{end}" for end in ("", "_WORKERS", "_SECONDS", "_CACHE", "_CONVENTIONS")
)
GRADER_NAMES = ("default", "marked", "paper", "published_gsm8k")
"""The keys of ``verl_ext.grading.graders.TABLES``."""
DEFAULT_TIMEOUT_SECONDS = 2.0


@dataclass(frozen=True)
class GraderSettings:
    """Checked: whoever has one can grade with it."""

    grader: str = GRADER_NAMES[0]
    """VERL_EXT_GRADER: whose verdicts, one of ``GRADER_NAMES``."""
    num_workers: int | None = None
    """VERL_EXT_GRADER_WORKERS: processes that compare formulas; None leaves it to the pool."""
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    """VERL_EXT_GRADER_SECONDS: processor time of one comparison."""
    cache: Path | None = None
    """VERL_EXT_GRADER_CACHE: a file of decisions that outlives the process."""
    conventions: str = ""
    """VERL_EXT_GRADER_CONVENTIONS: on top of those of each mathematical task, as ``read_conventions`` reads them."""

    def __str__(self) -> str:
        """What decides verdicts: the grader, and its conventions where they are no defaults."""
        return ", ".join(filter(None, (self.grader, self.conventions)))


def read_settings(environment: Mapping[str, str] | None = None) -> GraderSettings:
    """The settings in ``environment``, by default this process's. An empty variable counts as unset.

    Raises:
        ValueError: A value that cannot be used; names the variable.
    """
    values = os.environ if environment is None else environment
    return _parsed(*(values.get(name, "") for name in (GRADER, WORKERS, SECONDS, CACHE, CONVENTIONS)))


@lru_cache(maxsize=8)  # for each response that is graded
def _parsed(grader: str, workers: str, seconds: str, cache: str, conventions: str) -> GraderSettings:
    if grader and grader not in GRADER_NAMES:
        raise ValueError(f"{GRADER}={grader} is not a grader. There is {', '.join(GRADER_NAMES)}.")
    return GraderSettings(
        grader=grader or GRADER_NAMES[0],
        num_workers=_number_of_workers(workers) if workers else None,
        timeout_seconds=_number_of_seconds(seconds) if seconds else DEFAULT_TIMEOUT_SECONDS,
        cache=_file_in_a_folder(cache) if cache else None,
        conventions=_conventions(conventions, grader) if conventions else "",
    )


def _conventions(text: str, grader: str) -> str:
    try:
        options = read_options(text)
    except ValueError as error:
        raise ValueError(f"{CONVENTIONS}={text}: {error}") from None
    if options and grader == "paper":
        raise ValueError(f"{CONVENTIONS}={text}: the paper's grader has conventions of its own. Unset it, or {GRADER}.")
    # Defaults stay in it: a task may have another value.
    return ",".join(f"{option}={value}" for option, value in sorted(options.items()))


def _number_of_workers(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise ValueError(f"{WORKERS}={text} is not a number of processes: 1 or more.")
    return int(text)


def _number_of_seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise ValueError(f"{SECONDS}={text} is not a number of seconds above 0.")
    return seconds


def _file_in_a_folder(text: str) -> Path:
    file = Path(os.path.expanduser(text)).absolute()
    if not file.parent.is_dir():
        raise ValueError(f"{CACHE}={text}: there is no folder {file.parent}.")
    return file
