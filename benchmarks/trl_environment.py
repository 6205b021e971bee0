"""An environment with TRL beside this one: its own versions of nothing but TRL, the rest as here."""

import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

TRL = "1.16.0"
SHARED = ("torch", "transformers", "accelerate", "datasets")
"""Installed in the versions of this environment, so that the comparison is not one of theirs."""
READY = "ready.txt"
"""In the environment once it is whole: what was asked for."""


def requirements() -> list[str]:
    return [f"trl=={TRL}", *(f"{name}=={version(name)}" for name in SHARED)]


def environment(folder: Path) -> Path:
    """Make the environment where it is not there yet, and return its interpreter.

    torch comes from pip's own indexes, or from that of TORCH_INDEX_URL, as for scripts/install.sh. Ends the program with
    one line when something fails; pip's output is in ``folder``/install.log.
    """
    python, wanted = folder / "bin" / "python", "\n".join(requirements())
    ready = folder / READY
    if ready.is_file() and ready.read_text() == wanted:
        return python
    ready.unlink(missing_ok=True)
    print(f"Making an environment with TRL {TRL} in {folder}", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    _must(folder, [sys.executable, "-m", "venv", folder])
    install = [python, "-m", "pip", "install", "--no-input", "--disable-pip-version-check"]
    index = ["--index-url", os.environ["TORCH_INDEX_URL"]] if os.environ.get("TORCH_INDEX_URL") else []
    torch = next(each for each in requirements() if each.startswith("torch=="))
    _must(folder, [*install, *index, torch])
    _must(folder, [*install, *requirements()])
    _must(folder, [python, "-c", "from trl import GRPOTrainer"])
    ready.write_text(wanted)
    return python


def _must(folder: Path, command: Sequence[str | Path]) -> None:
    log = folder / "install.log"
    with log.open("a") as output:
        done = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        lines = log.read_text().splitlines()
        errors = [line for line in lines if line.startswith("ERROR") or "Error:" in line] or lines or ["no output"]
        shown = " ".join(map(str, command[1:]))
        raise SystemExit(f"error: TRL's environment: {shown} failed: {errors[-1]} ({log} has all of it)")
