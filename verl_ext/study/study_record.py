"""``study.json``: what became of each run of a study. Written whole, whenever a run begins or ends.

The runs' folders are what counts: whether a run has something left to train is the launcher's to say, by its checkpoints.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from math import ceil
from pathlib import Path
from statistics import fmean

from verl_ext.host.files import read_object, write_whole

NAME = "study.json"


class RunState(StrEnum):
    """Of a run, as the command last saw it."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


@dataclass
class RunEntry:
    """A run and what became of it."""

    name: str
    axes: dict[str, str]
    """Axis -> the name of its value."""
    overrides: list[str]
    """The launcher's arguments."""
    folder: str
    """Its output, below the one of ``study.json``."""
    state: RunState = RunState.WAITING
    code: int | None = None
    """Exit code of the last attempt; None before it has ended."""
    seconds: float | None = None
    """Of all attempts whose end a command has seen, each from the end of the run before it, or from the start of its stack."""


@dataclass
class StudyRecord:
    """The runs of a study in one folder, in the order of the file."""

    output: Path
    file: str
    entries: list[RunEntry] = field(default_factory=list)

    def write(self) -> None:
        content = {"file": self.file, "runs": [asdict(entry) for entry in self.entries]}
        write_whole(self.output / NAME, json.dumps(content, indent=2) + "\n")

    def take_over(self) -> None:
        """Let the runs have the state, code and seconds that the folder's file has of them.

        Call it with the folder locked: a run that was running then was interrupted.

        Raises:
            ValueError: The file is damaged.
        """
        before = {entry.name: (entry.state, entry.code, entry.seconds) for entry in study_entries(self.output)}
        for entry in self.entries:
            entry.state, entry.code, entry.seconds = before.get(entry.name, (RunState.WAITING, None, None))
            if entry.state is RunState.RUNNING:
                entry.state = RunState.INTERRUPTED

    def progress(self, left: int, at_once: int = 1) -> str:
        """A line about the whole grid, and how long ``left`` runs will take if they are like those that are done.

        ``at_once`` of them are made at the same time.
        """
        states = [entry.state for entry in self.entries]
        text = f"{states.count(RunState.DONE)} of {len(states)} runs done"
        failed = states.count(RunState.FAILED)
        text += f", {failed} failed" if failed else ""
        text += f", {left} left to make"
        seconds = seconds_of_a_run(self.entries)
        return text if not left or seconds is None else f"{text}, about {shown_seconds(ceil(left / at_once) * seconds)}"


def study_entries(output: Path) -> list[RunEntry]:
    """What the file of a study's folder says of its runs; nothing where there is no file.

    Raises:
        ValueError: The file is damaged.
    """
    path = output / NAME
    if not path.is_file():
        return []
    remedy = f"Remove {path}: the runs' folders know what is done."
    runs = read_object(path, remedy).get("runs")
    try:
        return [RunEntry(**run | {"state": RunState(run["state"])}) for run in runs or ()]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged ({error!r}). {remedy}") from None


def seconds_of_a_run(entries: Sequence[RunEntry]) -> float | None:
    """The mean over the runs that are done; None where no command has seen the end of one."""
    seconds = [entry.seconds for entry in entries if entry.state is RunState.DONE and entry.seconds is not None]
    return fmean(seconds) if seconds else None


def shown_seconds(seconds: float) -> str:
    """A duration in the unit that fits it: 40 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
