"""Every recipe as a user starts it: its knobs and refusals, and two steps on real MATH rows without a GPU."""

import json
import subprocess
import sys

import pytest
from omegaconf import OmegaConf

from tests.recipes.conftest import RECIPES, ROOT, start
from verl_ext.families import FAMILIES


def test_there_are_three_recipes_for_each_model():
    names = [f"run_{family.preset}_{name}.sh" for family in FAMILIES for name in ("psr_nsr", "ppo", "grpo")]
    assert sorted(names) == RECIPES
    page = (ROOT / "recipes/README.md").read_text()
    assert [name for name in names if f"`{name}`" not in page] == []


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        (
            {"ADVANTAGE": "sideways"},
            "ADVANTAGE must be positive (PSR), negative (NSR) or weighted (W-REINFORCE), got sideways.",
        ),
        ({"ADVANTAGE": "negative", "POSITIVE_ADVANTAGE_WEIGHT": "0.5"}, "has no effect with ADVANTAGE=negative"),
        ({"DEVICE": "tpu"}, "DEVICE must be cpu or gpu, got tpu."),
        ({"DATA_DIR": "/nowhere"}, "python scripts/prepare_data.py math --template qwen --out /nowhere"),
    ],
)
def test_refusals(knobs, message):
    done = start("run_qwen2.5-math-7b_psr_nsr.sh", **knobs)
    assert done.returncode != 0
    assert message in done.stderr


def test_rows_of_another_template_are_refused(prepared, model):
    done = start("run_qwen3-4b_grpo.sh", MODEL_PATH=model, DATA_DIR=prepared("qwen"))
    assert done.returncode == 2
    assert "was prepared with the prompt template qwen, and this preset needs qwen3_no_thinking" in done.stderr


def test_the_doctor_looks_at_a_recipe_with_its_knobs(prepared, model, monkeypatch):
    """The recipe's own script starts it, with the options that the launcher would get."""
    for name, value in {
        "DEVICE": "cpu",
        "MODEL_PATH": model,
        "DATA_DIR": prepared("qwen"),
        "OUTPUT_DIR": "/tmp",
    }.items():
        monkeypatch.setenv(name, str(value))
    command = [sys.executable, "-m", "verl_ext.doctor", "--recipe", "recipes/run_qwen3-4b_grpo.sh", "--json"]
    done = subprocess.run([*command, "trainer.save_freq=3"], cwd=ROOT, capture_output=True, text=True, check=False)
    found = {one["subject"]: one for one in json.loads(done.stdout)["findings"]}
    assert done.returncode == 1, done.stderr
    assert "was prepared with the prompt template qwen, and this preset needs" in found["data"]["text"]
    assert found["algorithm"]["text"] == "grpo, in /tmp"


def test_dr_grpo_takes_the_loss_that_knows_its_mean(prepared, model):
    knobs = {"MODEL_PATH": model, "DATA_DIR": prepared("qwen"), "DR_GRPO": "True"}
    done = start("run_qwen2.5-math-7b_grpo.sh", "--cfg", **knobs)
    assert done.returncode == 0, done.stderr
    for line in (
        "loss_mode: vanilla_by_sign",
        "loss_agg_mode: seq-mean-token-sum-norm",
        "norm_adv_by_std_in_grpo: false",
    ):
        assert line in done.stdout


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_helps_and_starts_nothing(recipe, tmp_path):
    done = start(recipe, "--help", DATA_DIR=tmp_path / "nothing")
    assert done.returncode == 0
    assert "MODEL_PATH   a folder or a hub id" in done.stdout
    assert "Hardware:" in done.stdout
    assert done.stderr == ""


def test_a_folder_may_have_any_name(prepared, model, tmp_path):
    folder = tmp_path / "it's, a=b é"
    folder.symlink_to(prepared("qwen"))
    done = start("run_qwen2.5-math-7b_grpo.sh", "--cfg", MODEL_PATH=model, DATA_DIR=folder, OUTPUT_DIR=f"{folder}/o u")
    assert done.returncode == 0, done.stderr
    data = OmegaConf.create(done.stdout[done.stdout.index("\nactor_rollout_ref:") :])
    assert list(data.data.val_files) == [f"{folder}/{task}_test.parquet" for task in ("math", "aime2025", "amc23")]
    assert data.trainer.output_dir == f"{folder}/o u"


def test_an_unknown_option_is_the_one_that_is_named(prepared, model):
    knobs = {"MODEL_PATH": model, "DATA_DIR": prepared("qwen")}
    done = start("run_qwen2.5-math-7b_grpo.sh", "data.sed=3", **knobs)
    assert done.stderr.splitlines()[-1].startswith("error: data has no option sed. Did you mean data.seed?")


FOLDERS = [
    ("run_qwen2.5-math-7b_psr_nsr.sh", {}, "psr_nsr-negative"),
    ("run_qwen2.5-math-7b_psr_nsr.sh", {"ADVANTAGE": "weighted"}, "psr_nsr-weighted0.1"),
    (
        "run_qwen2.5-math-7b_psr_nsr.sh",
        {"ADVANTAGE": "weighted", "POSITIVE_ADVANTAGE_WEIGHT": "0.2", "ENTROPY_COEFF": "1e-3"},
        "psr_nsr-weighted0.2-entropy1e-3",
    ),
    ("run_qwen2.5-math-7b_psr_nsr.sh", {"MASK_TRUNCATED": "True"}, "psr_nsr-negative-mask_truncated"),
    ("run_qwen2.5-math-7b_grpo.sh", {"PAPER_GRADER": "True"}, "grpo-paper_grader"),
    ("run_qwen2.5-math-7b_grpo.sh", {"DR_GRPO": "True"}, "dr_grpo"),
]


@pytest.mark.parametrize(("recipe", "knobs", "name"), FOLDERS)
def test_what_makes_another_run_is_in_the_folders_name(recipe, knobs, name, prepared, model):
    done = start(recipe, "--cfg", MODEL_PATH=model, DATA_DIR=prepared("qwen"), **knobs)
    assert done.returncode == 0, done.stderr
    assert f"output_dir: outputs/recipes/qwen2.5-math-7b-{name}\n" in done.stdout


@pytest.mark.slow
def test_two_steps_without_a_gpu(prepared, model, tmp_path):
    """``DEVICE=cpu``: what a recipe does on a machine without an accelerator. Its GPU settings: test_rehearsal.py."""
    options = ["actor_rollout_ref.actor.optim.lr=1e-3"]  # so that a step is more than rounding
    knobs = {"MODEL_PATH": model, "DATA_DIR": prepared("qwen3_no_thinking"), "OUTPUT_DIR": tmp_path}
    done = start("run_qwen3-4b_grpo.sh", *options, **knobs)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "settings: preset=" in done.stdout
    steps = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    steps = [step["data"] for step in steps if "train/num_updates" in step["data"]]
    assert len(steps) == 2
    assert steps[1]["actor/kl_loss"] > 1e-6, "the policy has left the reference"
    record = json.loads((tmp_path / "run.json").read_text())
    changed = {one["option"] for one in record["preset_differences"]}
    assert changed >= {"data.train_batch_size", "actor_rollout_ref.actor.optim.lr"}
