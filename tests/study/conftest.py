"""A study of runs that a stand-in for the stack makes at once: what becomes of each is the option trainer.project_name."""

import sys
from pathlib import Path

import pytest
import yaml

from tests.training.conftest import folder, overrides_of
from verl_ext.training import several_runs

__all__ = ["folder"]

STAND_IN = """
import os, signal, time
from multiprocessing.connection import Connection
from pathlib import Path
from verl_ext.training import run_folder
pipe = Connection({descriptor})
members, total, is_alone = pipe.recv()
for member in members:
    config = member.run.config
    output = Path(config.trainer.output_dir)
    fate = config.trainer.project_name
    made = output.parent / "made.txt"
    list(run_folder.begin(config, member.run.checkpoint))  # as one_run does: the fingerprint
    with made.open("a") as file:
        print(output.name, file=file)
    while fate == "waits" and not (output.parent / "go_on").exists():
        time.sleep(0.01)
    code = {{"fails": 1, "interrupted": 130}}.get(fate, 0)
    if fate == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if code == 0:
        step = config.trainer.total_training_steps
        (output / f"checkpoints/global_step_{{step}}").mkdir(parents=True)
        (output / "checkpoints/latest_checkpointed_iteration.txt").write_text(str(step))
    pipe.send(code)
    if code:
        break
"""


@pytest.fixture(autouse=True)
def stand_in(monkeypatch):
    """No test of a study starts Ray."""
    monkeypatch.setattr(several_runs, "SERVE", STAND_IN)


def command(*arguments: str) -> list[str]:
    """The command in a process of its own, with the stand-in."""
    script = (
        "import sys; from verl_ext.training import several_runs; several_runs.SERVE = sys.argv[1]\n"
        "from verl_ext.study.__main__ import main; sys.exit(main(sys.argv[2:]))"
    )
    return [sys.executable, "-c", script, STAND_IN, *arguments]


def options_of(folder: Path) -> dict:
    """Options under which every check passes, but for the place of the output."""
    options = dict(override.split("=", 1) for override in overrides_of(folder)) | {
        "trainer.total_training_steps": 2,
        "trainer.save_freq": 1,
        "device": "cpu",
    }
    del options["trainer.output_dir"]
    return options


def study_file(place: Path, content) -> Path:
    file = place / "study.yaml"
    file.write_text(content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False))
    return file


def fates(**named: str) -> dict:
    """An axis of runs with the given names and fates."""
    return {name: {"trainer.project_name": fate} for name, fate in named.items()}


def made(output: Path) -> list[str]:
    """The runs that have been begun, in order."""
    file = output / "made.txt"
    return file.read_text().split() if file.exists() else []
