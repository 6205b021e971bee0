"""Start training runs of a small random model and read what they measured; shared by the benchmarks."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil

from verl_ext.data.parquet import write_rows
from verl_ext.data.rows import make_row
from verl_ext.host.threads import ONE_THREAD
from verl_ext.host.vllm_on_cpu import CPU_PLATFORM
from verl_ext.small_model.architecture import Architecture, random_weights
from verl_ext.small_model.tokenizer import build_tokenizer
from verl_ext.tasks.countdown import generate_problems, short_prompt

REWARD = Path(__file__).with_name("even_length_reward.py")
"""Right when the response has an even number of characters: a random model is right about half the time."""


def prepare(folder: Path) -> None:
    """Write a random model of 0.6M parameters and 512 Countdown rows."""
    tokenizer = build_tokenizer(max_length=256)
    random_weights(Architecture(max_length=256), tokenizer, seed=0).save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    problems = generate_problems(512, seed=1, split="train")
    rows = [
        make_row(data_source="countdown", prompt=short_prompt(p), ground_truth=p.reference, split="train", index=i)
        for i, p in enumerate(problems)
    ]
    write_rows(rows, folder / "train.parquet")


def shared_options(
    folder: Path,
    *,
    prompts: int,
    samples: int,
    tokens: int,
    steps: int,
    objective: str = "nsr",
    model: Path | None = None,
    prompt_tokens: int = 32,
) -> list[str]:
    """What both sides of a comparison are given: the same model, prompts and lengths.

    ``model`` is a folder, by default the one of ``prepare``; ``prompt_tokens`` is the most that a prompt may have.
    """
    return [
        f"algorithm.adv_estimator={objective}",
        f"actor_rollout_ref.model.path={model or folder / 'model'}",
        f"data.train_files={folder}/train.parquet",
        f"data.val_files={folder}/train.parquet",
        f"data.train_batch_size={prompts}",
        f"data.max_prompt_length={prompt_tokens}",
        f"data.max_response_length={tokens}",
        f"actor_rollout_ref.rollout.n={samples}",
        f"actor_rollout_ref.rollout.max_model_len={max(128, prompt_tokens + tokens)}",
        "actor_rollout_ref.rollout.ignore_eos=True",
        f"actor_rollout_ref.actor.ppo_mini_batch_size={prompts}",
        f"reward.custom_reward_function.path={REWARD}",
        "trainer.val_before_train=False",
        f"trainer.total_training_steps={steps}",
        "trainer.resume_mode=disable",
    ]


@dataclass(frozen=True)
class Run:
    """What a run took."""

    first_step_seconds: float
    """From launch to the end of the first optimizer step."""
    steps: list[dict[str, float]]
    """Metrics of every step."""
    peak_bytes: int
    """Of all its processes together, shared memory counted once (PSS), looked at every two seconds."""
    arrivals: list[float]
    """Seconds from launch at which each line of ``steps`` was seen: the wall clock, whatever a run says of itself."""


class RunFailed(SystemExit):
    """A run ended with an error; it ends the benchmark too, with the end of the run's log."""


def ours(folder: Path, name: str, options: Sequence[str]) -> Run:
    """Run our launcher."""
    output = folder / name
    command = [sys.executable, "-m", "verl_ext.training.main", "device=cpu", f"trainer.output_dir={output}", *options]
    return measured(command, output / "metrics.jsonl", {})


def stock(folder: Path, name: str, options: Sequence[str]) -> Run:
    """Run verl's own entry point and trainer with our plugin: what a CPU needs, and verl's defaults for the rest."""
    metrics = folder / f"{name}.jsonl"
    command = [
        *(sys.executable, "-m", "verl.trainer.main_ppo", *options),
        "+actor_rollout_ref.model.override_config.attn_implementation=sdpa",
        "actor_rollout_ref.model.use_remove_padding=False",
        *("actor_rollout_ref.actor.strategy=fsdp2", "actor_rollout_ref.actor.use_dynamic_bsz=True"),
        "actor_rollout_ref.actor.use_torch_compile=False",
        "actor_rollout_ref.actor.fsdp_config.use_torch_compile=False",
        *("actor_rollout_ref.rollout.name=vllm", "actor_rollout_ref.rollout.enforce_eager=True"),
        "actor_rollout_ref.rollout.tensor_model_parallel_size=1",
        *("actor_rollout_ref.rollout.free_cache_engine=False", "+actor_rollout_ref.rollout.enable_sleep_mode=False"),
        "+actor_rollout_ref.rollout.engine_kwargs.vllm.worker_extension_cls=verl_ext.cpu.rollout.CPUWorkerExtension",
        # Eight workers of each kind would not fit into two cores: one of each, as in our own configuration.
        *("actor_rollout_ref.rollout.agent.num_workers=1", "reward.num_workers=1"),
        "transfer_queue.backend.SimpleStorage.num_data_storage_units=1",
        *("data.dataloader_num_workers=0", "trainer.device=cpu", "trainer.n_gpus_per_node=1", "trainer.logger=[file]"),
        *("ray_kwargs.ray_init.num_cpus=32", "+ray_kwargs.ray_init.num_gpus=1"),
        f"trainer.default_local_dir={folder}/{name}",
    ]
    env = CPU_PLATFORM | ONE_THREAD
    env |= {"VERL_USE_EXTERNAL_MODULES": "verl_ext.plugin", "VERL_FILE_LOGGER_PATH": str(metrics)}
    return measured(command, metrics, env)


def _memory_of(pid: int) -> int:
    """PSS in bytes of a process and its descendants; those that end meanwhile do not count."""
    total = 0
    with suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        for process in [root, *root.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                total += process.memory_full_info().pss
    return total


def measured(command: Sequence[str], metrics: Path, env: Mapping[str, str]) -> Run:
    """Run a command that writes a line for each step into ``metrics``, and measure it from outside.

    Its output is beside ``metrics``, in a file that ends in .log. Raises RunFailed when it fails.
    """
    started = time.monotonic()
    log = metrics.with_suffix(".log")
    log.parent.mkdir(parents=True, exist_ok=True)
    arrivals: list[float] = []
    peak, looked = 0, 0.0
    with log.open("w") as output:
        process = subprocess.Popen(command, env=os.environ | env, stdout=output, stderr=subprocess.STDOUT)
        try:
            while process.poll() is None:
                now = time.monotonic() - started
                arrivals += [now] * (_num_lines(metrics) - len(arrivals))
                if now - looked > 2:
                    looked, peak = now, max(peak, _memory_of(process.pid))
                time.sleep(0.05)
        finally:
            process.kill()  # where it has not ended, this program does, and would leave it behind
    if process.returncode:
        shown = " ".join(map(str, command[:4]))
        raise RunFailed(f"error: {shown} failed ({process.returncode}); the end of {log}:\n{log.read_text()[-2000:]}")
    steps = [json.loads(line)["data"] for line in metrics.read_text().splitlines()]
    arrivals += [time.monotonic() - started] * (len(steps) - len(arrivals))
    return Run(arrivals[0] if arrivals else float("nan"), steps, peak, arrivals)


def _num_lines(file: Path) -> int:
    return file.read_bytes().count(b"\n") if file.exists() else 0


def median_of(steps: Sequence[dict[str, float]], *names: str, skip: int = 2) -> float:
    """Median over the steps, the first ``skip`` left out, of the sum of the named timings in seconds."""
    return median(sum(step[f"timing_s/{name}"] for name in names) for step in steps[skip:])
