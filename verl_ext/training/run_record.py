"""``run.json``: everything needed to tell what a run was, written next to its results before it starts."""

import json
import os
import platform
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from verl_ext.host.files import read_object, write_whole
from verl_ext.host.processor import processor_name
from verl_ext.host.provenance import git_state, versions

NAME = "run.json"
GRADER_VARIABLES = "VERL_EXT_GRADER"
"""How their names begin."""


def grader_settings() -> dict[str, str]:
    """The variables that decide how answers are graded; every process that grades has to have them."""
    return {name: value for name, value in sorted(os.environ.items()) if name.startswith(GRADER_VARIABLES)}


def write_run_record(path: Path, *, argv: Sequence[str], config: dict[str, Any], **facts: Any) -> None:
    """Write argv, resolved configuration, versions, git state, machine and seeds; an earlier record is kept as .1, .2…"""
    if path.exists():
        taken = sum(1 for _ in path.parent.glob(f"{path.name}.*"))
        path.rename(path.with_name(f"{path.name}.{taken + 1}"))
    record = {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "argv": list(argv),
        "versions": versions(),
        "git": git_state(Path(__file__).parent),
        "machine": {
            "platform": platform.platform(),
            "processor": processor_name(),
            "num_cpus": os.cpu_count(),
            "python": sys.executable,
        },
        "grader": grader_settings(),
        "seeds": {
            "data": config["data"]["seed"],
            "rollout": config["actor_rollout_ref"]["rollout"]["seed"],
            "actor": config["actor_rollout_ref"]["actor"]["data_loader_seed"],
        },
        **facts,
        "config": config,
    }
    write_whole(path, json.dumps(record, indent=2, default=str) + "\n")


def read_run_record(folder: Path | None) -> dict[str, Any] | None:
    """What ``write_run_record`` wrote into a run's folder; None where there is none."""
    if folder is None or not (folder / NAME).is_file():
        return None
    return read_object(folder / NAME, "Delete it to go on without.")
