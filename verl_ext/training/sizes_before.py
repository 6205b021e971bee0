"""Sizes that a run has had before it was stopped: on another machine or under another limit others would be chosen."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from verl_ext.training.checkpoints import checkpoints_folder, saved_steps
from verl_ext.training.deterministic import is_deterministic
from verl_ext.training.run_record import read_run_record


def sizes_before(config: Any, options: Sequence[str]) -> dict[str, int]:
    """Option -> what the last launch of a run had that repeats to the bit; none where it begins or makes no such promise.

    Raises:
        ValueError: The run's record cannot be read.
    """
    if (
        not is_deterministic(config)
        or config.trainer.resume_mode != "auto"
        or not saved_steps(checkpoints_folder(config))
    ):
        return {}
    record = (read_run_record(Path(config.trainer.output_dir)) or {}).get("config")
    found = {option: _selected(record, option) for option in options}
    return {option: value for option, value in found.items() if isinstance(value, int)}


def _selected(config: Any, option: str) -> Any:
    for part in option.split("."):
        config = config.get(part) if isinstance(config, dict) else None
    return config
