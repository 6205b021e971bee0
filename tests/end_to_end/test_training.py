"""The whole path: launcher, Ray, FSDP2, vLLM, checkpoint, resume, and what it says when something is wrong."""

import json
import os
import subprocess
import sys
from collections import Counter

import pytest

from tests.end_to_end.conftest import environment
from tests.end_to_end.stacks import PASS_AT_8, reward
from verl_ext.cpu.precision import stored_dtype
from verl_ext.host.threads import ONE_THREAD
from verl_ext.host.vllm_on_cpu import CPU_PLATFORM

pytestmark = pytest.mark.slow


def lines_of(path):
    """Of a file of JSON lines: a text in it may have other ends of a line, at which ``splitlines`` cuts too."""
    with path.open(newline="\n") as lines:
        return list(lines)


def test_nsr_saves_resumes_and_can_be_evaluated(run_of, train, data):
    """Two steps, a checkpoint, two more from it; then answers are sampled from the merged FSDP shards."""
    first = run_of("plain", "saved")
    assert first.code == 0, first.shown
    assert first.left_running == [], "Ray's agents end with the run"
    folder = first.folder
    actor = folder / "checkpoints" / "global_step_2" / "actor"
    assert (actor / "model_world_size_1_rank_0.pt").exists()
    assert json.loads((actor / "huggingface" / "config.json").read_text())["dtype"] == stored_dtype(
        actor / "huggingface"
    )
    assert len(lines_of(folder / "rollouts" / "1.jsonl")) == 32, "dropped samples are kept on file"
    step = first.steps[0]
    assert step["train/kept_samples"] == step["train/samples"] == 32, "a random model is never right"
    assert step["train/num_updates"] == 1
    assert 0.99 < sum(value for name, value in step.items() if name.startswith("train/reason/")) < 1.01
    assert "step 1/2 | correct 0.0% | all right 0% wrong 100% | kept 32/32 | updates 1 | entropy" in first.shown

    second = run_of("resumed", "saved")
    assert second.code == 0, second.shown
    assert "no accelerator" not in second.shown  # device=cpu was given
    assert second.left_running == []
    assert "step 3/4" in second.shown
    assert "step 1/4" not in second.shown
    assert f"resuming from step 2 of {folder}/checkpoints\n" in second.shown
    assert [step["training/global_step"] for step in second.steps] == [1, 2, 3, 4]

    again = train(folder, "trainer.save_freq=2", "trainer.total_training_steps=4")
    assert again.code == 0
    assert "nothing to do: step 4 of 4: " in again.shown

    other = train(folder, "trainer.save_freq=2", "trainer.total_training_steps=6", "data.seed=7")
    assert other.code == 2
    assert "data.seed  1 -> 7" in other.shown

    generations = folder / "generations.jsonl"
    command = [
        *(sys.executable, "eval/eval.py", "--model_path", str(folder), "--data", str(data / "test.parquet")),
        *("--output_path", str(generations), "--num_samples", "8", "--max_tokens", "8", "--max_model_len", "64"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment())
    assert done.returncode == 0, done.stderr
    assert len(generations.read_text().splitlines()) == 16 * 8


def test_a_step_with_nothing_left_is_skipped_and_training_goes_on(run_of):
    result = run_of("plain", "always right")
    assert result.code == 0, result.shown
    assert result.shown.count("nothing to learn from: update skipped") == 2
    for step in result.steps:
        assert step["train/kept_samples"] == step["train/num_updates"] == 0
        assert "actor/grad_norm" not in step


def test_a_batch_of_one(run_of):
    """One sample left: what verl keeps as ragged tensors is rectangular then."""
    result = run_of("plain", "batch of one")
    assert result.code == 0, result.shown
    assert [step["train/kept_samples"] for step in result.steps] == [1, 1]


def test_psr_makes_as_many_updates_as_its_samples_fill(run_of):
    """psr keeps about half of the samples; mini-batches of 8 samples make about two updates of them."""
    result = run_of("plain", "psr")
    assert result.code == 0, result.shown
    assert "validation at step 2: countdown/acc/mean@1 0." in result.shown
    for step in result.steps:
        kept = step["train/kept_samples"]
        assert kept == round(step["train/correct_ratio"] * 32)
        assert step["train/num_updates"] == -(-kept // 8)


def test_an_asynchronous_run_drops_stale_negatives_and_goes_on_from_its_checkpoint(run_of):
    """With the filter in front of updates on their own log-probs; no prompt comes twice, also not over the resume."""
    first = run_of("plain", "asynchronous")
    assert first.code == 0, first.shown
    assert "samples may come from older weights" in first.shown
    assert "old log-probs: those of a step's first update are its own" in first.shown
    for step in first.steps:
        assert step["train/kept_samples"] + step["train/stale_negatives"] == step["train/samples"] == 32
        assert step["train/missing_samples"] == 0
        assert step.get("train/rollout_gap/fresh", 0.0) < 1e-6, "a sample that says so comes from the newest weights"
    assert first.steps[0]["train/staleness/max"] == 0
    stale = [step for step in first.steps if step["train/staleness/max"]]
    assert any(step["train/stale_negatives"] for step in stale)
    assert any(step["train/rollout_gap/stale"] > 1e-6 for step in stale)

    resumed = run_of("resumed", "asynchronous")
    assert resumed.code == 0, resumed.shown
    assert f"resuming from step 4 of {first.folder}/checkpoints\n" in resumed.shown
    assert [step["training/global_step"] for step in resumed.steps] == [1, 2, 3, 4, 5, 6]
    prompts = Counter()
    for number in range(1, 7):
        prompts.update(json.loads(line)["input"] for line in lines_of(first.folder / "rollouts" / f"{number}.jsonl"))
    assert len(prompts) == 6 * 8
    assert set(prompts.values()) == {4}


def test_a_run_that_solves_fewer_problems_than_its_base_ends_with_its_best_step_kept(run_of):
    result = run_of("plain", "narrower")
    assert result.code == 0, result.shown
    said = json.loads((result.folder / "checkpoints/ended.json").read_text())
    assert said["step"] < 24
    assert f"ends at step {said['step']}: below the base: pass@8 went from " in result.shown
    best = json.loads((result.folder / "checkpoints/best_checkpoint.json").read_text())
    scores = {step: row[PASS_AT_8] for step, row in enumerate(result.steps)}
    assert best["validations"] == [[step, score] for step, score in scores.items()]
    assert best["value"] == max(score for step, score in scores.items() if step)
    kept = {
        int(path.name.removeprefix("global_step_")) for path in (result.folder / "checkpoints").glob("global_step_*")
    }
    assert kept == {best["step"], said["step"]}
    low, high = (result.steps[0][f"{PASS_AT_8.replace('core', 'aux')}/{end}"] for end in ("low", "high"))
    assert f"countdown/acc/pass@8 {scores[0]:.3f} [{low:.3f}, {high:.3f}]" in result.shown
    assert list((result.folder / "tensorboard").iterdir())


def test_a_run_that_stays_its_base_goes_on(run_of):
    result = run_of("plain", "as before")
    assert result.code == 0, result.shown
    assert [step["training/global_step"] for step in result.steps[1:]] == [1, 2, 3, 4]
    assert not (result.folder / "checkpoints/ended.json").exists()


def test_an_update_that_is_no_number_stops_the_run(run_of):
    """The rewards are none; verl leaves the update out, and would go on."""
    result = run_of("plain", "no number")
    assert result.code == 1
    assert "WARNING: step 1, guardrail not_finite: actor/" in result.shown
    assert "The run stops (trainer.guardrails.not_finite.action=stop)." in result.shown
    (step,) = result.steps
    assert step["actor/grad_norm"] is None, "as JSON has it"
    assert step["guardrails/not_finite"] == 1
    (event,) = (json.loads(line) for line in (result.folder / "guardrails.jsonl").read_text().splitlines())
    assert event["numbers"]["actor/grad_norm"] == "nan"
    assert result.left_running == [], "nothing of the stack is left after a failure"


def test_two_ranks_update_in_the_papers_mini_batches(run_of):
    """Each rank has its half of the kept samples: whole mini-batches of 4, then what is left, with the paper's loss."""
    result = run_of("two ranks", "paper")
    assert result.code == 0, result.shown
    assert [step["actor/lr"] for step in result.steps] == pytest.approx([0.5e-4, 1e-4]), (
        "once a step, whatever its parts"
    )
    for number, step in enumerate(result.steps, start=1):
        lines = lines_of(result.folder / "rollouts" / f"{number}.jsonl")
        rows = [json.loads(line) for line in lines]
        assert len(rows) == 32, "no padding among the samples"
        assert sum(row["kept"] for row in rows) == step["train/kept_samples"]
        for row in rows:
            assert (row["advantage"] or 0) < 0 if row["kept"] else row["advantage"] is None
            assert (row["old_log_probs"] is not None) == row["kept"]
            assert len(row["tokens"]) == len(row["rollout_log_probs"]) >= row["num_tokens"] > 0
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
