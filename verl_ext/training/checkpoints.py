"""Which checkpoint a run goes on from, found as verl finds it, and before anything has started."""

import math
from pathlib import Path
from typing import Any, NamedTuple

from verl_ext.training.deterministic import is_deterministic
from verl_ext.training.metrics_file import has_row, metrics_path, recorded_steps
from verl_ext.training.paths import local_path
from verl_ext.training.whole_checkpoint import what_is_missing

TRACKER = "latest_checkpointed_iteration.txt"
STEP_FOLDER = "global_step_"
HISTORY = "ending.json"
"""What this package's trainer keeps in a step's folder of its validations, written before verl's files and after."""


class Checkpoint(NamedTuple):
    step: int
    folder: Path
    """The folder of the step; its parent holds the run's other checkpoints, the tracker and the fingerprint."""
    is_validated: bool = False
    """Whether the run validates the step before it makes the next, see ``checks.resume``."""


def checkpoints_folder(config: Any) -> Path:
    """Where the run saves."""
    return local_path(config.trainer.default_local_dir).absolute()


def is_own(config: Any, checkpoint: Checkpoint) -> bool:
    """Whether the run itself saves where the checkpoint is; the folder of another may be given to it to begin with."""
    return checkpoint.folder.parent == checkpoints_folder(config)


def saved_steps(folder: Path) -> list[int]:
    """The steps that have a folder, in order."""
    names = [path.name.removeprefix(STEP_FOLDER) for path in folder.glob(f"{STEP_FOLDER}*") if path.is_dir()]
    return sorted(int(name) for name in names if name.isdecimal())


def complete_steps(config: Any, folder: Path) -> list[int]:
    """Those of ``saved_steps`` that the run can go on from, in order."""
    return [step for step in saved_steps(folder) if _missing(config, folder, step) is None]


def resumed_checkpoint(config: Any, end: int | None = None) -> Checkpoint | None:
    """The checkpoint that the run goes on from, all of it there; None when it starts over.

    Args:
        config: The resolved configuration.
        end: The step at which the run is over, where that is known: nothing is read of a checkpoint of that step.

    Raises:
        ValueError: The folder or the file that names the last step is not what the run can go on from.
    """
    if config.trainer.resume_mode == "disable":
        return None
    if config.trainer.resume_mode == "resume_path":
        return _complete_one(config, given_checkpoint(config), end)
    found = latest(config, end)
    if found is None:
        return None
    folder = checkpoints_folder(config)
    step = _last_on_record(config, folder, found.step) if is_deterministic(config) else found.step
    return None if step is None else Checkpoint(step, folder / f"{STEP_FOLDER}{step}")


class Latest(NamedTuple):
    """The checkpoint that ``trainer.resume_mode=auto`` goes on from."""

    step: int
    passed_over: str
    """Why it is another one than the tracker names; empty where it is not."""


def latest(config: Any, end: int | None = None) -> Latest | None:
    """The step that the tracker names; where that one is not complete, or the tracker is cut, the last one that is.

    None where there is no tracker: the run starts over. ``end`` and errors are those of ``resumed_checkpoint``.
    """
    folder = checkpoints_folder(config)
    tracker = folder / TRACKER
    if not tracker.is_file():
        return None
    text = tracker.read_text(encoding="utf-8", errors="replace").strip()
    named = int(text) if text.isdecimal() else None
    if named is None:
        why = f"{tracker} should hold the number of the last checkpoint and holds {text!r}, as when a run is killed while it writes"
        most = _last_on_this_course(config)
    elif named not in saved_steps(folder):
        why = f"{tracker} says step {named}, but there is no {folder / f'{STEP_FOLDER}{named}'}"
        raise ValueError(f"{why}. {_way_out(tracker, complete_steps(config, folder))}")
    else:
        missing = None if end is not None and named >= end else _missing(config, folder, named)
        if missing is None:
            return Latest(named, "")
        why, most = f"step {named} of {folder} is not complete: {missing.removesuffix('.')}", named - 1
    complete = complete_steps(config, folder)
    possible = [step for step in complete if step <= most]
    if not possible:
        raise ValueError(f"{why}. {_way_out(tracker, complete)}")
    return Latest(possible[-1], f"{why}; the last complete checkpoint is that of step {possible[-1]}")


def _missing(config: Any, folder: Path, step: int) -> str | None:
    return what_is_missing(config, folder / f"{STEP_FOLDER}{step}")


def _said(complete: list[int]) -> str:
    return f"Complete are the steps {', '.join(map(str, complete))}." if complete else "No step is complete."


def _way_out(tracker: Path, complete: list[int]) -> str:
    write = f"Write one of them into {tracker}, or delete" if complete else "Delete"
    return f"{_said(complete)} {write} {'it' if complete else tracker} to start over."


def _last_on_this_course(config: Any) -> float:
    """The last step that the run can have saved: it saves one before the step's row of metrics.

    What is later was saved before somebody went back. Without rows nothing tells.
    """
    return max(recorded_steps(metrics_path(config)), default=math.inf) + 1


def _last_on_record(config: Any, folder: Path, last: int) -> int | None:
    """Of a run that repeats to the bit: the last whole checkpoint whose step has its row of metrics; None: it starts over.

    verl saves a step before it validates it and writes its row. One that was stopped in between is made again: its row, its
    training metrics and its samples on file would be missing for good. Where no earlier checkpoint is there for that, it
    starts over if the last one is the run's first, so that no more is lost than between two checkpoints; else it goes on.
    """
    if has_row(config, last) is not False:
        return last
    recorded = recorded_steps(metrics_path(config))
    # With what the guards have seen: a checkpoint of stock verl has none
    with_history = (
        step for step in complete_steps(config, folder) if (folder / f"{STEP_FOLDER}{step}" / HISTORY).is_file()
    )
    earlier = [step for step in with_history if step < last and step in recorded]
    if earlier:
        return earlier[-1]
    return None if last <= config.trainer.save_freq else last


def given_checkpoint(config: Any) -> Checkpoint:
    """The one that ``trainer.resume_from_path`` names; raises ValueError where that is no folder of a step."""
    path = config.trainer.resume_from_path
    if not path:
        raise ValueError(
            "trainer.resume_mode=resume_path needs trainer.resume_from_path: the folder of a step, "
            "like outputs/RUN/checkpoints/global_step_7."
        )
    folder = local_path(path).absolute()
    step = folder.name.removeprefix(STEP_FOLDER)
    if not folder.name.startswith(STEP_FOLDER) or not step.isdecimal():
        raise ValueError(f"trainer.resume_from_path={path} is not the folder of a step, like .../global_step_7.")
    if not folder.is_dir():
        raise ValueError(f"trainer.resume_from_path={path} does not exist.")
    return Checkpoint(int(step), folder)


def _complete_one(config: Any, given: Checkpoint, end: int | None) -> Checkpoint:
    missing = what_is_missing(config, given.folder) if end is None or given.step < end else None
    if missing:
        folder = given.folder.parent
        raise ValueError(
            f"trainer.resume_from_path={config.trainer.resume_from_path} is not complete: {missing} In {folder}: "
            f"{_said(complete_steps(config, folder))}"
        )
    return given
