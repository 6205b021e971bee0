"""Rows of the real data sets and a small model, for every recipe; and a way to start one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from verl_ext.families import with_preset

ROOT = Path(__file__).resolve().parents[2]
STAGED = "run_qwen2-0.5b_gsm8k_prorl.sh"
RECIPES = sorted(path.name for path in (ROOT / "recipes").glob("run_*.sh") if path.name != STAGED)
"""Of the paper."""


def start(recipe, *options, **knobs):
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # the recipe's python is the test's
    environment = os.environ | {"PATH": path, "DEVICE": "cpu"} | {name: str(value) for name, value in knobs.items()}
    return subprocess.run(
        ["bash", f"recipes/{recipe}", *options],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="session")
def prepared(tmp_path_factory, data_dir):
    """Template -> a folder of real rows prepared with it, a twentieth of MATH among them."""
    folders = {}

    def prepare(template):
        if template not in folders:
            folders[template] = tmp_path_factory.mktemp(template)
            for task in ("math", "aime2025", "amc23"):
                command = [sys.executable, "scripts/prepare_data.py", task, "--template", template]
                command += ["--out", folders[template], "--data_dir", data_dir]
                # Every launch checks every row
                command += ["--stratified_fraction", "0.05"] if task == "math" else []
                subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        return folders[template]

    return prepare


def template_of(recipe):
    return with_preset(recipe.removeprefix("run_").partition("_")[0]).template


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "tiny"
    subprocess.run(
        [sys.executable, "scripts/build_small_model.py", "--random", "--tiny", "--out", folder], cwd=ROOT, check=True
    )
    return folder
