"""``metrics.jsonl`` and ``validation.jsonl``: one row for each step (and data source), over all the launches of a run."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

from verl_ext.host.files import write_whole
from verl_ext.metrics.validations import drawn_by

VARIABLE = "VERL_FILE_LOGGER_PATH"
"""Where verl's FileLogger writes."""


def metrics_path(config: Any) -> Path:
    """Where verl's file logger writes a row for each step."""
    return Path(os.environ.get(VARIABLE) or Path(config.trainer.output_dir) / "metrics.jsonl")


def recorded_steps(path: Path) -> set[int]:
    """The steps that have a whole row; none where there is no file."""
    if not path.is_file():
        return set()
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    return {found[0] for line in lines if line.endswith("\n") and (found := _place(line)) is not None}


def _place(line: str) -> tuple[int, str, str] | None:
    """The step of a row, and of a row of validation.jsonl the data source and who drew; None for what is half written."""
    try:
        row = json.loads(line)
    except ValueError:
        return None
    step = row.get("step") if isinstance(row, dict) else None
    return (step, str(row.get("data_source", "")), drawn_by(row)) if isinstance(step, int) else None


def keep_until(path: Path, step: int) -> int:
    """Leave the rows of the steps 0 to ``step``, those that a resumed run does not make again; returns how many it took out.

    Whatever is taken out stays in a copy of the file as it was, ``metrics.jsonl.1``, ``.2``... ``step`` is -1 when a run
    starts over. A step has one row: of a checkpoint's step, which a resumed run validates again, the first.
    """
    if not path.is_file():
        return 0
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    kept: dict[tuple[int, str, str], str] = {}
    for line in lines:
        found = _place(line)
        if found is not None and found[0] <= step and line.endswith("\n"):
            kept.setdefault(found, line)
    if len(kept) == len(lines):
        return 0
    number = 1
    while (copy := path.with_name(f"{path.name}.{number}")).exists():
        number += 1
    shutil.copy2(path, copy)
    write_whole(path, "".join(kept.values()))
    return len(lines) - len(kept)
