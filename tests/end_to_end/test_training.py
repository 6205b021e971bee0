"""The whole path: launcher, Ray, FSDP2, vLLM, checkpoint, resume, and what it says when something is wrong."""

import json
import os
import subprocess
import sys

import pytest

from tests.end_to_end.conftest import environment
from tests.end_to_end.rewards_path import REWARDS
from verl_ext.cpu.precision import stored_dtype
from verl_ext.host.threads import ONE_THREAD
from verl_ext.host.vllm_on_cpu import CPU_PLATFORM

pytestmark = pytest.mark.slow


def reward(name: str) -> tuple[str, str]:
    return (f"reward.custom_reward_function.path={REWARDS}", f"reward.custom_reward_function.name={name}")


def test_nsr_saves_resumes_and_can_be_evaluated(train, tmp_path, data):
    """Two steps, a checkpoint, two more from it; then answers are sampled from the merged FSDP shards."""
    exported = "actor_rollout_ref.actor.checkpoint.save_contents=[model,optimizer,extra,hf_model]"
    first = train(tmp_path, "trainer.save_freq=2", exported, "trainer.rollout_data_dir=" + str(tmp_path / "rollouts"))
    assert first.code == 0, first.shown
    assert "no accelerator" not in first.shown  # device=cpu was given
    assert first.left_running == [], "Ray's agents end with the run"
    actor = tmp_path / "checkpoints" / "global_step_2" / "actor"
    assert (actor / "model_world_size_1_rank_0.pt").exists()
    assert json.loads((actor / "huggingface" / "config.json").read_text())["dtype"] == stored_dtype(
        actor / "huggingface"
    )
    assert len((tmp_path / "rollouts" / "1.jsonl").read_text().splitlines()) == 32, "dropped samples are kept on file"
    step = first.steps[0]
    assert step["train/kept_samples"] == step["train/samples"] == 32, "a random model is never right"
    assert step["train/num_updates"] == 1
    assert 0.99 < sum(value for name, value in step.items() if name.startswith("train/reason/")) < 1.01
    assert "step 1/2 | correct 0.0% | all right 0% wrong 100% | kept 32/32 | updates 1 | entropy" in first.shown

    again = train(tmp_path, "trainer.save_freq=2")
    assert again.code == 2
    assert "there is nothing left to train" in again.shown

    second = train(tmp_path, "trainer.save_freq=2", "trainer.total_training_steps=4")
    assert second.code == 0, second.shown
    assert "step 3/4" in second.shown
    assert "step 1/4" not in second.shown
    assert f"resuming from step 2 of {tmp_path}/checkpoints\n" in second.shown
    assert [step["training/global_step"] for step in second.steps] == [1, 2, 3, 4]

    other = train(tmp_path, "trainer.save_freq=2", "trainer.total_training_steps=6", "data.seed=7")
    assert other.code == 2
    assert "data.seed  not set -> 7" in other.shown

    generations = tmp_path / "generations.jsonl"
    command = [
        *(sys.executable, "eval/eval.py", "--model_path", str(tmp_path), "--data", str(data / "test.parquet")),
        *("--output_path", str(generations), "--num_samples", "8", "--max_tokens", "8", "--max_model_len", "64"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment())
    assert done.returncode == 0, done.stderr
    assert len(generations.read_text().splitlines()) == 16 * 8


@pytest.fixture(scope="module")
def of_one_stack(train_together, tmp_path_factory):
    """Runs that differ in options alone, not in what they are started on."""
    runs = {
        "always right": reward("always_right"),
        "batch of one": (
            "data.train_batch_size=1",
            "actor_rollout_ref.rollout.n=1",
            "actor_rollout_ref.actor.ppo_mini_batch_size=1",
        ),
        "psr": (
            *reward("by_length"),
            "algorithm.adv_estimator=psr",
            "algorithm.loss_normalizer=all",
            "actor_rollout_ref.actor.ppo_mini_batch_size=2",
            "trainer.test_freq=2",
        ),
        "partial": reward("partial"),
    }
    return train_together(tmp_path_factory.mktemp("stack"), runs)


def test_a_step_with_nothing_left_is_skipped_and_training_goes_on(of_one_stack):
    result = of_one_stack["always right"]
    assert result.code == 0, result.shown
    assert result.shown.count("nothing to learn from: update skipped") == 2
    for step in result.steps:
        assert step["train/kept_samples"] == step["train/num_updates"] == 0
        assert "actor/grad_norm" not in step


def test_a_batch_of_one(of_one_stack):
    """One sample left: what verl keeps as ragged tensors is rectangular then."""
    result = of_one_stack["batch of one"]
    assert result.code == 0, result.shown
    assert [step["train/kept_samples"] for step in result.steps] == [1, 1]


def test_psr_makes_as_many_updates_as_its_samples_fill(of_one_stack):
    """psr keeps about half of the samples; mini-batches of 8 samples make about two updates of them."""
    result = of_one_stack["psr"]
    assert result.code == 0, result.shown
    assert "validation at step 2: countdown/acc/mean@1 0." in result.shown
    for step in result.steps:
        kept = step["train/kept_samples"]
        assert kept == round(step["train/correct_ratio"] * 32)
        assert step["train/num_updates"] == -(-kept // 8)


def test_a_partial_reward_stops_the_first_step(of_one_stack):
    result = of_one_stack["partial"]
    assert result.code == 1
    assert "nsr needs rewards of 0, 1 or -1, got 0.3 at row 0 (prompt " in result.shown
    assert result.left_running == [], "nothing of the stack is left after a failure"


def test_two_ranks_update_in_the_papers_mini_batches(train, tmp_path):
    """Each rank has its half of the kept samples: whole mini-batches of 4, then what is left, with the paper's loss."""
    result = train(
        tmp_path,
        *reward("by_length"),
        "algorithm.adv_estimator=nsr",
        "algorithm.mini_batches=paper",
        "actor_rollout_ref.actor.policy_loss.loss_mode=paper",
        "actor_rollout_ref.actor.ppo_mini_batch_size=2",
        # Moves at every step of the schedule: 0, then half, then the whole
        *("actor_rollout_ref.actor.optim.lr=1e-4", "actor_rollout_ref.actor.optim.lr_warmup_steps=2"),
        "trainer.n_gpus_per_node=2",
        f"trainer.rollout_data_dir={tmp_path}/rollouts",
    )
    assert result.code == 0, result.shown
    assert [step["actor/lr"] for step in result.steps] == pytest.approx([0.5e-4, 1e-4]), (
        "once a step, whatever its parts"
    )
    for number in (1, 2):
        written = (tmp_path / "rollouts" / f"{number}.jsonl").read_text().splitlines()
        assert len(written) == 32, "no padding among the samples"
    for step in result.steps:
        assert 0 < step["train/kept_samples"] < 32
        assert step["train/num_updates"] == -(-step["train/kept_samples"] // 8)
        assert step["actor/grad_norm"] > 0
        assert step["actor/tokens_negative"] > 0


def test_ppo_with_a_critic(train, tmp_path, models):
    result = train(
        tmp_path,
        *reward("by_length"),
        "algorithm.adv_estimator=gae",
        f"critic.model.path={models['tied']}",
        "critic.optim.lr=1e-3",
    )
    assert result.code == 0, result.shown
    assert all(step["critic/grad_norm"] > 0 for step in result.steps)


def test_grpo_with_a_kl_reference(train, tmp_path):
    result = train(
        tmp_path,
        *reward("by_length"),
        "algorithm.adv_estimator=grpo",
        "actor_rollout_ref.actor.use_kl_loss=True",
        "actor_rollout_ref.actor.optim.lr=1e-2",
    )
    assert result.code == 0, result.shown
    first, second = (step["actor/kl_loss"] for step in result.steps)
    assert abs(first) < 1e-6
    assert second > 1e-6


def test_stock_verl_trains_nsr(tmp_path, data, models):
    """verl's own entry point and trainer, with nothing of ours but the plugin."""
    command = [
        *(sys.executable, "-m", "verl.trainer.main_ppo", "algorithm.adv_estimator=nsr"),
        *(f"data.train_files={data}/train.parquet", f"data.val_files={data}/test.parquet"),
        *("data.train_batch_size=8", "data.max_prompt_length=32", "data.max_response_length=8"),
        "data.dataloader_num_workers=0",
        f"actor_rollout_ref.model.path={models['tied']}",
        "+actor_rollout_ref.model.override_config.attn_implementation=sdpa",
        "actor_rollout_ref.model.use_remove_padding=False",
        *("actor_rollout_ref.actor.strategy=fsdp2", "actor_rollout_ref.actor.use_dynamic_bsz=True"),
        "actor_rollout_ref.actor.ppo_mini_batch_size=8",
        "actor_rollout_ref.actor.use_torch_compile=False",
        "actor_rollout_ref.actor.fsdp_config.use_torch_compile=False",
        *("actor_rollout_ref.rollout.name=vllm", "actor_rollout_ref.rollout.n=4"),
        *("actor_rollout_ref.rollout.tensor_model_parallel_size=1", "actor_rollout_ref.rollout.enforce_eager=True"),
        *("actor_rollout_ref.rollout.free_cache_engine=False", "+actor_rollout_ref.rollout.enable_sleep_mode=False"),
        *("actor_rollout_ref.rollout.agent.num_workers=1", "actor_rollout_ref.rollout.max_model_len=64"),
        "+actor_rollout_ref.rollout.engine_kwargs.vllm.worker_extension_cls=verl_ext.cpu.rollout.CPUWorkerExtension",
        *("reward.num_workers=1", *reward("by_length")),
        *("trainer.device=cpu", "trainer.n_gpus_per_node=1", "trainer.total_training_steps=2"),
        *("trainer.val_before_train=False", "trainer.logger=[file]", f"trainer.default_local_dir={tmp_path}"),
        *("transfer_queue.backend.SimpleStorage.num_data_storage_units=1", "ray_kwargs.ray_init.num_cpus=32"),
        "+ray_kwargs.ray_init.num_gpus=1",
    ]
    metrics = tmp_path / "metrics.jsonl"
    env = environment() | CPU_PLATFORM | ONE_THREAD
    env |= {
        "VERL_USE_EXTERNAL_MODULES": "verl_ext.plugin",
        "VERL_FILE_LOGGER_PATH": str(metrics),
    }
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert len(metrics.read_text().splitlines()) == 2


def test_a_broken_plugin_fails_loudly(train, tmp_path, models):
    """verl's plugin loader would go on without the estimators; the launcher does not."""
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "sitecustomize.py").write_text(
        "import sys\nsys.modules['verl_ext.objectives.estimators'] = None  # as if its import failed\n"
    )
    previous = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = f"{broken}:{previous}"
    try:
        result = train(tmp_path)
    finally:
        os.environ["PYTHONPATH"] = previous
    assert result.code == 1
    assert "verl_ext.objectives.estimators" in result.shown
