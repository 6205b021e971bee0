"""Which checkpoint a run goes on from, found as verl finds it, and before anything has started."""

from pathlib import Path
from typing import Any, NamedTuple

from verl_ext.training.deterministic import is_deterministic
from verl_ext.training.metrics_file import has_row, metrics_path, recorded_steps
from verl_ext.training.paths import local_path

TRACKER = "latest_checkpointed_iteration.txt"
STEP_FOLDER = "global_step_"
HISTORY = "ending.json"
"""The last file that this package's trainer writes into a step's folder: one that has it is whole."""


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


def whole_steps(folder: Path) -> list[int]:
    """Those of them that were saved to the end, in order."""
    return [step for step in saved_steps(folder) if (folder / f"{STEP_FOLDER}{step}" / HISTORY).is_file()]


def resumed_checkpoint(config: Any) -> Checkpoint | None:
    """The checkpoint that the run goes on from; None when it starts over.

    Raises:
        ValueError: The folder or the file that names the last step is not what verl can resume from.
    """
    if config.trainer.resume_mode == "disable":
        return None
    if config.trainer.resume_mode == "resume_path":
        return _given(config.trainer.resume_from_path)
    folder = checkpoints_folder(config)
    tracker = folder / TRACKER
    if not tracker.is_file():
        return None
    text = tracker.read_text(encoding="utf-8", errors="replace").strip()
    steps = saved_steps(folder)
    have = f"There are the steps {', '.join(map(str, steps))}" if steps else "There is no step"
    if not text.isdecimal():
        raise ValueError(
            f"{tracker} should hold the number of the last checkpoint and holds {text!r}, as when a run is killed while it "
            f"writes. {have} in {folder}. Write the last complete one into the file, or delete the file to start over."
        )
    step: int | None = int(text)
    if step not in steps:
        raise ValueError(
            f"{tracker} says step {step}, but there is no {folder / f'{STEP_FOLDER}{step}'}. {have}. Write one that is there "
            "into the file, or delete the file to start over."
        )
    if is_deterministic(config):
        step = _last_on_record(config, folder, step)
    return None if step is None else Checkpoint(step, folder / f"{STEP_FOLDER}{step}")


def _last_on_record(config: Any, folder: Path, last: int) -> int | None:
    """Of a run that repeats to the bit: the last whole checkpoint whose step has its row of metrics; None: it starts over.

    verl saves a step before it validates it and writes its row. One that was stopped in between is made again: its row, its
    training metrics and its samples on file would be missing for good. Where no earlier checkpoint is there for that, it
    starts over if the last one is the run's first, so that no more is lost than between two checkpoints; else it goes on.
    """
    if has_row(config, last) is not False:
        return last
    recorded = recorded_steps(metrics_path(config))
    earlier = [step for step in whole_steps(folder) if step < last and step in recorded]
    if earlier:
        return earlier[-1]
    return None if last <= config.trainer.save_freq else last


def _given(path: Any) -> Checkpoint:
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
