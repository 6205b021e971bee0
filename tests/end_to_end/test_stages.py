"""Two stages with a hard reset between them on the real stack, killed twice: sync truth, new optimizer, new reference."""

import json
import subprocess
import sys
import time

import pytest
import torch

from tests.end_to_end.conftest import environment
from verl_ext.host.log_tail import tail

pytestmark = pytest.mark.slow

FLOAT32_NOISE = 1e-7
OPTIONS = {
    "data.train_batch_size": 8,
    "data.max_prompt_length": 32,
    "data.max_response_length": 8,
    "actor_rollout_ref.rollout.n": 4,
    "actor_rollout_ref.rollout.max_model_len": 64,
    "actor_rollout_ref.actor.ppo_mini_batch_size": 8,
    "actor_rollout_ref.model.lora_rank": 8,
    "actor_rollout_ref.model.lora_alpha": 16,
    "actor_rollout_ref.actor.optim.lr": 2e-2,
    "actor_rollout_ref.actor.use_kl_loss": True,
    "algorithm.adv_estimator": "reinforce",
    "trainer.val_before_train": False,
    "trainer.save_freq": 1,
    "trainer.deterministic": True,
}
STAGES = [
    # top_p cuts what is sampled; the gap below is between the whole distributions
    {
        "name": "attention",
        "steps": 3,
        "options": {
            "actor_rollout_ref.model.target_modules": ["q_proj", "k_proj"],
            "actor_rollout_ref.rollout.top_p": 0.7,
        },
    },
    {
        "name": "all-linear",
        # Many after the kill: it comes a moment after the second, and the run must not be over by then.
        "steps": 12,
        "options": {
            "actor_rollout_ref.model.target_modules": "all-linear",
            "actor_rollout_ref.model.lora.merge": True,
            "actor_rollout_ref.rollout.temperature": 1.2,
        },
    },
]


def steps_of(run):
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return {row["step"]: row["data"] for row in rows}


def optimizer_steps(run, step):
    """How many steps each tensor's moments have seen, in a checkpoint."""
    state = torch.load(run / f"checkpoints/global_step_{step}/actor/optim_world_size_1_rank_0.pt", weights_only=False)
    return {int(tensors["step"]) for tensors in state["state"].values()}


LAST_FILE = "extra_state_world_size_1_rank_0.pt"
"""Of a checkpoint."""


def start_and_kill_when(command, folder, is_time):
    """Start the stages in ``folder`` and kill them when ``is_time()``."""
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment(), cwd=folder)
        while not is_time():
            assert process.poll() is None, tail(folder / "log")
            time.sleep(0.1)
        process.kill()
        process.wait()


def test_a_reset_starts_over_from_what_was_learned(data, models, tmp_path):
    file = tmp_path / "two.yaml"
    file.write_text(json.dumps({"options": OPTIONS, "stages": STAGES}))
    options = [
        "device=cpu",
        f"actor_rollout_ref.model.path={models['tied']}",
        f"data.train_files={data}/train.parquet",
        f"data.val_files={data}/test.parquet",
    ]
    stages_of = [sys.executable, "-m", "verl_ext.stages", str(file), *options]
    command = [*stages_of, f"trainer.output_dir={tmp_path}/out"]
    first, second = tmp_path / "out/0-attention", tmp_path / "out/1-all-linear"
    start_and_kill_when(command, tmp_path, (second / "train.log").exists)
    assert not list(second.glob("checkpoints/global_step_*")), "killed before the first step after the reset"
    start_and_kill_when(command, tmp_path, (second / "checkpoints/global_step_2/actor" / LAST_FILE).exists)
    history = (tmp_path / "out/stages.json").read_text()
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert "stage 1 of 2" not in done.stdout
    assert "resuming from step" in done.stdout

    stages = json.loads((tmp_path / "out/stages.json").read_text())["stages"]
    assert stages[0] == json.loads(history)["stages"][0], "what was finished is as it was"
    assert [(stage["name"], stage["steps"], stage["ended"]) for stage in stages] == [
        ("attention", 3, "all steps made"),
        ("all-linear", 12, "all steps made"),
    ]
    assert stages[1]["base"] == stages[0]["model"] != stages[0]["base"]
    assert all(stage["logit_difference"] < 1e-4 for stage in stages)

    before, after = steps_of(first), steps_of(second)
    # verl saves a step before it logs it: the kill may have come between the two.
    assert set(before) == {1, 2, 3}
    assert len(set(range(1, 13)) - set(after)) <= 1
    assert {1, 12} <= set(after) <= set(range(1, 13))
    gaps = [step["training/rollout_probs_diff_mean"] for step in (*before.values(), *after.values())]
    assert max(gaps) < FLOAT32_NOISE, f"the rollout samples what was merged: {gaps}"
    # The reference is the merged model: it is the policy again, from which the first stage had moved away.
    assert before[1]["actor/kl_loss"] == pytest.approx(0, abs=1e-7)
    assert before[3]["actor/kl_loss"] > 1e-6
    assert after[1]["actor/kl_loss"] == pytest.approx(0, abs=1e-7)
    assert after[12]["actor/kl_loss"] > 0.02, "the policy must have moved for the gaps to mean anything"
    assert optimizer_steps(first, 3) == {3}
    assert optimizer_steps(second, 12) == {12}, "the second stage's own steps"

    undisturbed = [*stages_of, f"trainer.output_dir={tmp_path}/undisturbed"]
    done = subprocess.run(undisturbed, capture_output=True, text=True, env=environment(), cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    others = json.loads((tmp_path / "undisturbed/stages.json").read_text())["stages"]
    assert stages == others, "digests of base, adapter and model too: the same weights to the bit"
