"""The side file of a generations file, ``<name>.run.json`` of ``<name>.jsonl``: prompts and facts of the evaluation."""

import json
from pathlib import Path
from typing import Any

PACKED_ENDINGS = (".zst", ".gz")
FORMAT = 1


def plain_path(path: Path) -> Path:
    """Where the file is while it is written: its name without ``.zst`` or ``.gz``."""
    return path.with_suffix("") if path.suffix in PACKED_ENDINGS else path


def run_path(path: Path) -> Path:
    """Where the side file is, of a generations file that is packed or not."""
    plain = plain_path(path)
    return plain.with_name(plain.name.removesuffix(".jsonl") + ".run.json")


def read_run(path: Path) -> dict[str, Any] | None:
    """The side file's content; None where there is none.

    Raises:
        ValueError: It is damaged, or of another version of this package.
    """
    try:
        run = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}). Put it back, or sample into another file.") from error
    if not isinstance(run, dict) or run.get("format") != FORMAT:
        raise ValueError(f"{path} is not of this version of the package. Sample into another file.")
    return run
