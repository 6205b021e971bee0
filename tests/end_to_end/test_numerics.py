"""The numerics contract on real runs: a healthy model, and one whose rollout gets other weights than the learner has."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.end_to_end.conftest import environment
from verl_ext.training.step import token_gaps

pytestmark = pytest.mark.slow


def test_a_rollout_with_other_weights_is_shown_and_fails(models, tmp_path):
    """Two runs on one stack. The rollout loads what it gets in the first, and something else from the second's third push on."""
    shutil.copytree(models["tied"], tmp_path / "again")
    command = [
        *(sys.executable, "-m", "verl_ext.doctor", "numerics", "--model", str(models["tied"])),
        *("--model", str(tmp_path / "again"), "--tokens", "16", "--output", str(tmp_path), "device=cpu"),
        "actor_rollout_ref.rollout.engine_kwargs.vllm.worker_extension_cls=other_weights.OtherWeightsExtension",
    ]
    env = environment() | {"PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env, cwd=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.count("starting Ray") == 1
    healthy, planted = [line for line in done.stdout.splitlines() if line.startswith("| ") and "float32" in line]
    assert healthy.endswith("| 0% | ok |")
    assert "FAILS: mean gap" in planted
    assert "grows from" in planted
    first, *_, last = token_gaps.read(tmp_path / "runs" / "again_full" / "rollout_gap.jsonl")
    assert first.mean < 1e-7 < 1e-5 < last.mean
    assert last.max == pytest.approx(abs(last.largest[0].actor - last.largest[0].rollout))
