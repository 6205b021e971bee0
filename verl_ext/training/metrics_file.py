"""``metrics.jsonl`` and ``validation.jsonl``: one row for each step (and data source), over all the launches of a run."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

from verl_ext.host.files import write_whole
from verl_ext.metrics.validations import NAME, TRAINING, drawn_by

VARIABLE = "VERL_FILE_LOGGER_PATH"
"""Where verl's FileLogger writes."""


def metrics_path(config: Any) -> Path:
    """Where verl's file logger writes a row for each step."""
    return Path(os.environ.get(VARIABLE) or Path(config.trainer.output_dir) / "metrics.jsonl")


def recorded_steps(path: Path) -> set[int]:
    """The steps that have a whole row, which the run itself has written; none where there is no file."""
    if not path.is_file():
        return set()
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    places = [_place(line) for line in lines if line.endswith("\n")]
    return {place[0] for place in places if place is not None and place[2] == TRAINING}


def _rows_file(config: Any) -> Path | None:
    """``metrics.jsonl``, where the run writes it and it is there."""
    loggers, path = config.trainer.logger, metrics_path(config)
    return path if "file" in ([loggers] if isinstance(loggers, str) else loggers) and path.is_file() else None


def has_row(config: Any, step: int) -> bool | None:
    """Whether ``metrics.jsonl`` has a row of a step; None where the run writes no rows."""
    path = _rows_file(config)
    return None if path is None else step in recorded_steps(path)


def is_on_record(config: Any, step: int) -> bool | None:
    """Whether a step is over, its validation included: by its row of metrics, or else by that of ``validation.jsonl``.

    None where the run writes neither.
    """
    path = _rows_file(config) or Path(config.trainer.output_dir) / NAME
    return step in recorded_steps(path) if path.is_file() else None


def _place(line: str) -> tuple[int, str, str] | None:
    """The step of a row, and of a row of validation.jsonl the data source and who drew; None for what is half written."""
    try:
        row = json.loads(line)
    except ValueError:
        return None
    step = row.get("step") if isinstance(row, dict) else None
    return (step, str(row.get("data_source", "")), drawn_by(row)) if isinstance(step, int) else None


def keep_until(path: Path, step: int, *, is_validated: bool = False) -> int:
    """Leave the rows of the steps 0 to ``step``, those that a resumed run does not make again; returns how many it took out.

    Whatever is taken out stays in a copy of the file as it was, ``metrics.jsonl.1``, ``.2``... ``step`` is -1 when a run
    starts over. A step has one row, the first that was written of it.

    Args:
        path: Of the file.
        step: The last one that is not made again.
        is_validated: Whether its validation is: then a row goes that the run itself has written of it.
    """
    if not path.is_file():
        return 0
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    kept: dict[tuple[int, str, str], str] = {}
    for line in lines:
        found = _place(line)
        if found is None or found[0] > step or not line.endswith("\n"):
            continue
        if not (is_validated and found[0] == step and found[2] == TRAINING):
            kept.setdefault(found, line)
    if len(kept) == len(lines):
        return 0
    number = 1
    while (copy := path.with_name(f"{path.name}.{number}")).exists():
        number += 1
    shutil.copy2(path, copy)
    write_whole(path, "".join(kept.values()))
    return len(lines) - len(kept)
