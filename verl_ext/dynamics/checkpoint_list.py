"""The checkpoints that a path stands for, in the order of their steps."""

import re
from dataclasses import dataclass
from pathlib import Path

from verl_ext.host.command_line import typed_path
from verl_ext.plots.training_curves import METRICS_NAME

_STEP = re.compile(r"(?:.*[^0-9])?([0-9]+)")


@dataclass(frozen=True)
class CheckpointAt:
    """A model and how many steps it was trained."""

    path: Path
    step: int


@dataclass(frozen=True)
class CheckpointRun:
    """The checkpoints of one training run."""

    name: str
    checkpoints: tuple[CheckpointAt, ...]
    metrics: Path | None
    """Of the run, where its output folder is known."""


def find_run(name: str, path: str, base: str | None = None) -> CheckpointRun:
    """The checkpoints of a run.

    Args:
        name: Of the run.
        path: A run's output folder, its ``checkpoints``, or any folder whose subfolders are models with a step's number at the
            end of their names (``global_step_8``, ``step-8``, ``8``); or one model.
        base: What training started from: step 0.

    Raises:
        ValueError: There is no such folder, it holds no such model, or two of its models have one step.
    """
    folder = typed_path(path)
    if not folder.is_dir():
        raise ValueError(f"{name}: there is no folder {path}. Give a run's output or a folder of checkpoints.")
    inside = folder / "checkpoints" if (folder / "checkpoints").is_dir() else folder
    found = [CheckpointAt(typed_path(base), 0)] if base is not None else []
    if (inside / "config.json").is_file():
        found.append(CheckpointAt(inside, 1 if found else 0))
    else:
        found += sorted(_numbered(inside), key=lambda each: each.step)
    if len(found) == (base is not None):
        raise ValueError(
            f"{name}: {inside} has no checkpoints: subfolders with a model, whose names end in the number of their step."
        )
    steps = [each.step for each in found]
    if double := next((step for step in steps if steps.count(step) > 1), None):
        raise ValueError(f"{name}: step {double} comes twice. Name the folder of one of them.")
    metrics = inside.parent / METRICS_NAME if inside.name == "checkpoints" else inside / METRICS_NAME
    return CheckpointRun(name, tuple(found), metrics if metrics.is_file() else None)


def _numbered(folder: Path) -> list[CheckpointAt]:
    return [
        CheckpointAt(child, int(match[1]))
        for child in folder.iterdir()
        if child.is_dir() and (match := _STEP.fullmatch(child.name)) and _is_model(child)
    ]


def _is_model(folder: Path) -> bool:
    return any((folder / name).exists() for name in ("config.json", "adapter_config.json", "actor"))
