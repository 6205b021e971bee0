"""What a user can get wrong is said in one line, before anything starts."""

import shutil
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.training.conftest import config_of, overrides_of
from verl_ext.grading.workers.settings import read_settings
from verl_ext.host import disk
from verl_ext.training import preflight
from verl_ext.training.checks.machine import check_disk


def test_a_good_configuration_passes(folder):
    preflight.check(config_of(folder))


CASES = {
    "algorithm.adv_estimator=nrs": "is not an estimator. Did you mean nsr?",
    "algorithm.positive_advantage_weight=-1": "must be a number >= 0, got -1",
    "algorithm.positive_advantage_weight=lots": "must be a number >= 0, got lots",
    "algorithm.adv_estimator=psr_nsr": "needs algorithm.advantage to be one of positive, negative, weighted",
    "algorithm.use_kl_in_reward=True": "nsr reads right or wrong from the reward",
    "algorithm.loss_normalizer=some": "must be one of kept, all, got some",
    "actor_rollout_ref.model.path=/no/such/model": "actor_rollout_ref.model.path=/no/such/model does not exist",
    "data.train_files=/no/such/file.parquet": "data.train_files: There is no data file /no/such/file.parquet",
    "data.train_files=FOLDER/no_truth.parquet": "data.train_files: FOLDER/no_truth.parquet, row 5, has no ground truth",
    "data.val_files=FOLDER/cut.parquet": "data.val_files: FOLDER/cut.parquet cannot be read as .parquet: ",
    "data.val_files=FOLDER/typed.parquet": "data.val_files: FOLDER/typed.parquet, row 0, has no prompt",
    "trainer.n_gpus_per_node=0": "must be a whole number >= 1, got 0",
    "ray_kwargs.ray_init.num_gpus=0": "trainer.n_gpus_per_node=1, but there are 0 logical devices",
    "actor_rollout_ref.rollout.tensor_model_parallel_size=2": "1 ranks cannot be split into rollout replicas",
    "data.train_batch_size=64": "data.train_batch_size=64 prompts, but the training files have 32 rows",
    "actor_rollout_ref.actor.ppo_mini_batch_size=3": "ppo_mini_batch_size=3 prompts must divide data.train_batch_size=8. "
    "Set actor_rollout_ref.actor.ppo_mini_batch_size=8 or a divisor of it.",
    "actor_rollout_ref.rollout.n=0": "must be a whole number >= 1, got 0",
    "data.max_response_length=40": "= 72 tokens, but the context of",
    "actor_rollout_ref.rollout.max_model_len=40": "more than actor_rollout_ref.rollout.max_model_len=40",
}


@pytest.mark.parametrize("override", CASES)
def test_each_mistake_is_named(folder, override):
    with pytest.raises(ValueError) as error:
        preflight.check(config_of(folder, override.replace("FOLDER", str(folder))))
    assert CASES[override].replace("FOLDER", str(folder)) in str(error.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("algorithm.positive_advantage_wieght=0.1", "algorithm has no option positive_advantage_wieght. Did you mean "),
        ("trainer.total_training_step=3", "Did you mean trainer.total_training_steps?"),
        ("actor_rollout_ref.actr.optim.lr=1", "Did you mean actor_rollout_ref.actor.optim.lr?"),
    ],
)
def test_an_unknown_option_names_the_nearest(folder, override, message):
    with pytest.raises(ValueError) as error:
        config_of(folder, override)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("kept", "at_once"),
    [
        ([], 1),
        (["trainer.max_actor_ckpt_to_keep=1"], 2),
        (["trainer.max_actor_ckpt_to_keep=3"], 3),
        (["trainer.max_actor_ckpt_to_keep=3", "trainer.best_checkpoint.metric=val-core/math/acc/mean@1"], 4),
    ],
)
def test_checkpoints_that_do_not_fit_are_refused(folder, monkeypatch, kept, at_once):
    config = config_of(folder, "trainer.save_freq=1", *kept)
    one = 4096 // 4 * 12
    monkeypatch.setattr(disk, "free_bytes", lambda _path: at_once * one)
    check_disk(config)
    monkeypatch.setattr(disk, "free_bytes", lambda _path: at_once * one - 1)
    with pytest.raises(ValueError, match="Point trainer.output_dir at a larger disk"):
        check_disk(config)


def test_a_model_of_broken_numbers_is_refused(folder, tmp_path):
    shutil.copytree(folder / "model", tmp_path / "model")
    save_file({"lm_head.weight": np.array([[0.5, np.nan]], np.float32)}, tmp_path / "model" / "model.safetensors")
    option = f"actor_rollout_ref.model.path={tmp_path}/model"
    with pytest.raises(
        ValueError, match=f"^{option}: .*holds NaN or an infinity in lm_head.weight, .*Copy the model again"
    ):
        preflight.check(config_of(folder, option))


@pytest.mark.parametrize(
    ("name", "value"),
    [("", "x"), ("_WORKERS", "2.5"), ("_SECONDS", "soon"), ("_CACHE", "/nowhere/at/all"), ("_CONVENTIONS", "units=x")],
)
def test_settings_of_the_grader_are_checked_before_ray(folder, monkeypatch, name, value):
    """By what reads them in the run, so that no value passes here and fails there."""
    monkeypatch.setenv(f"VERL_EXT_GRADER{name}", value)
    with pytest.raises(ValueError, match=f"^VERL_EXT_GRADER{name}={value}") as refused:
        preflight.check(config_of(folder))
    with pytest.raises(ValueError, match=f"^VERL_EXT_GRADER{name}={value}") as failed:
        read_settings()
    assert str(refused.value) == str(failed.value)


def test_torchrun_is_refused(folder, monkeypatch):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "1")
    with pytest.raises(ValueError, match="Ray starts the workers itself"):
        preflight.check(config_of(folder))


def test_the_command_says_it_in_one_line(folder):
    command = [sys.executable, "-m", "verl_ext.training.main", *overrides_of(folder), "algorithm.adv_estimator=nrs"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: algorithm.adv_estimator=nrs is not an estimator. Did you mean nsr?")
    assert not (folder / "out").exists()


def test_checking_loads_neither_torch_nor_verl(folder):
    code = (
        "import sys; from verl_ext.training import main; main.main(sys.argv[1:]); "
        "print([m for m in ('torch', 'verl', 'ray', 'vllm', 'transformers') if m in sys.modules])"
    )
    command = [sys.executable, "-c", code, *overrides_of(folder), "algorithm.adv_estimator=nrs"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"
