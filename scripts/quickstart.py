"""From nothing to a pass@k picture on two cores: build a small base model, train it with each objective through verl,
Ray, FSDP2 and vLLM, sample 256 answers to held-out problems, and plot the result.

    bash scripts/quickstart.sh [--only nsr] [--output DIR]

Everything that is already there is reused: run it again after an interruption, or with another --only.
"""

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from verl_ext.host.command_line import path_option, print_any_text
from verl_ext.host.threads import ONE_THREAD

REPOSITORY = Path(__file__).resolve().parents[1]
METHODS = ("psr", "nsr", "w_reinforce", "grpo")
NUM_STEPS = 48
NUM_TEST_PROBLEMS = 200
NUM_SAMPLES = 256
PROMPTS_PER_STEP, SAMPLES_PER_PROMPT = 16, 16
LEARNING_RATE = "1e-4"
MAX_PROMPT_TOKENS, MAX_RESPONSE_TOKENS = 32, 16


@dataclass(frozen=True)
class Folders:
    """Where the parts of a quickstart lie."""

    output: Path

    @property
    def base(self) -> Path:
        return self.output / "base"

    @property
    def data(self) -> Path:
        return self.output / "data"

    def run(self, method: str) -> Path:
        return self.output / "runs" / method

    def model(self, name: str) -> Path:
        return self.base if name == "base" else self.run(name)

    def generations(self, name: str) -> Path:
        return self.output / "generations" / f"{name}.jsonl"


def run(command: Sequence[str], *, env: dict[str, str] | None = None) -> None:
    """Run a command with its output in view; stop the quickstart with its exit code when it fails."""
    print(f"$ {shlex.join(str(part) for part in command)}", flush=True)
    code = subprocess.run([str(part) for part in command], check=False, env=os.environ | (env or {})).returncode
    if code:
        print(f"error: the command above failed with exit code {code}.", file=sys.stderr)
        sys.exit(code)


def stage(number: int, total: int, text: str) -> None:
    print(f"\n=== {number}/{total} {text}", flush=True)


def build_base(folders: Folders) -> None:
    run([sys.executable, REPOSITORY / "scripts/build_small_model.py", "--out", folders.base])


def prepare_data(folders: Folders) -> None:
    if not (folders.data / "countdown_test.parquet").exists():
        options = ["--short", "--num_train", "4000", "--num_test", NUM_TEST_PROBLEMS, "--seed", "1"]
        run([sys.executable, REPOSITORY / "scripts/prepare_data.py", "countdown", "--out", folders.data, *options])


def override(name: str, path: Path) -> str:
    """An option for the launcher, quoted as hydra reads it: a folder may have blanks, commas or = in its name."""
    # Backslashes only count before a quote; ${ would begin the name of another option.
    text = re.sub(r"(\\*)('|\Z)", lambda found: 2 * found[1] + found[2].replace("'", "\\'"), str(path))
    text = text.replace("${", r"\${")
    return f"{name}='{text}'"


def shared_options(folders: Folders) -> list[str]:
    """What every method gets: the same prompts, samples, steps and learning rate."""
    return [
        override("actor_rollout_ref.model.path", folders.base),
        override("data.train_files", folders.data / "countdown_train.parquet"),
        override("data.val_files", folders.data / "countdown_test.parquet"),
        f"data.train_batch_size={PROMPTS_PER_STEP}",
        f"data.max_prompt_length={MAX_PROMPT_TOKENS}",
        f"data.max_response_length={MAX_RESPONSE_TOKENS}",
        "data.seed=1",
        f"actor_rollout_ref.rollout.n={SAMPLES_PER_PROMPT}",
        f"actor_rollout_ref.rollout.max_model_len={MAX_PROMPT_TOKENS + MAX_RESPONSE_TOKENS}",
        f"actor_rollout_ref.rollout.max_num_seqs={PROMPTS_PER_STEP * SAMPLES_PER_PROMPT}",
        f"actor_rollout_ref.actor.ppo_mini_batch_size={PROMPTS_PER_STEP}",
        f"actor_rollout_ref.actor.optim.lr={LEARNING_RATE}",
        "actor_rollout_ref.actor.checkpoint.save_contents=[model,optimizer,extra,hf_model]",
        f"trainer.total_training_steps={NUM_STEPS}",
        f"trainer.save_freq={NUM_STEPS // 2}",
        "trainer.max_actor_ckpt_to_keep=1",
        "trainer.val_before_train=False",
    ]


def own_options(folders: Folders, method: str) -> list[str]:
    return [f"algorithm.adv_estimator={method}", override("trainer.output_dir", folders.run(method))]


def training_command(folders: Folders, *methods: str) -> list[str]:
    """The command that trains one method, or several one after the other, of which only the first pays the start-up."""
    command = [sys.executable, "-m", "verl_ext.training.main", *shared_options(folders)]
    if len(methods) == 1:
        return [*command, *own_options(folders, methods[0])]
    return [*command, *(word for method in methods for word in ("--run", *own_options(folders, method)))]


def train(folders: Folders, methods: Sequence[str]) -> None:
    """Train those that are not, with the command of each alone for who wants to repeat it."""
    pending = [method for method in methods if not is_trained(folders, method)]
    for method in methods:
        if method not in pending:
            print(f"already trained: {folders.run(method)}")
    if len(pending) > 1:
        for method in pending:
            print(f"{method} alone: {shlex.join(training_command(folders, method))}")
    if pending:
        run(training_command(folders, *pending))


def is_trained(folders: Folders, method: str) -> bool:
    tracker = folders.run(method) / "checkpoints" / "latest_checkpointed_iteration.txt"
    if not tracker.exists():
        return False
    text = tracker.read_text(encoding="utf-8", errors="replace").strip()
    if not re.fullmatch("[0-9]+", text):
        sys.exit(f"error: {tracker} must hold the number of a step, got {text!r}. Remove {folders.run(method)}.")
    return int(text) >= NUM_STEPS


def evaluate(folders: Folders, names: Sequence[str]) -> None:
    """Sample the answers of each model, two models at a time: one vLLM engine on a small model fills one core."""
    pending = [
        (
            name,
            [
                sys.executable,
                str(REPOSITORY / "eval/eval.py"),
                *("--model_path", str(folders.model(name))),
                *("--data", str(folders.data / "countdown_test.parquet")),
                *("--output_path", str(folders.generations(name))),
                *("--num_samples", str(NUM_SAMPLES)),
                # The policy itself, as it was trained: other temperatures measure another distribution.
                *("--temperature", "1", "--top_p", "1"),
                *("--max_tokens", str(MAX_RESPONSE_TOKENS)),
                *("--max_model_len", str(MAX_PROMPT_TOKENS + MAX_RESPONSE_TOKENS)),
            ],
        )
        for name in names
    ]
    num_parallel = max(1, min(2, (os.cpu_count() or 1)))
    while pending:
        batch, pending = pending[:num_parallel], pending[num_parallel:]
        print(f"sampling {NUM_SAMPLES} answers to {NUM_TEST_PROBLEMS} problems: {' and '.join(n for n, _ in batch)}")
        processes = []
        for row, (name, command) in enumerate(batch):
            log = folders.generations(name).with_suffix(".log")
            log.parent.mkdir(parents=True, exist_ok=True)
            # The first shows its progress; the other writes to its log.
            errors = None if row == 0 else log.open("wb")
            env = os.environ | ONE_THREAD
            processes.append((name, log, subprocess.Popen(command, env=env, stdout=errors, stderr=errors)))
        for name, log, process in processes:
            if process.wait():
                written = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
                print(f"error: sampling {name} failed.\n{written[-2000:]}", file=sys.stderr)
                sys.exit(process.returncode)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=METHODS, action="append", help="train only this objective; may be repeated")
    parser.add_argument("--output", type=path_option, default=Path("outputs/quickstart"))
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    print_any_text()
    options = parse(arguments)
    methods = [method for method in METHODS if not options.only or method in options.only]
    folders = Folders(options.output.absolute())
    started = time.monotonic()
    total = 5
    stage(1, total, "the base model (supervised on demonstrations, some of them wrong)")
    build_base(folders)
    stage(2, total, "Countdown problems, training and held-out")
    prepare_data(folders)
    what = f"{NUM_STEPS} steps of {PROMPTS_PER_STEP} prompts x {SAMPLES_PER_PROMPT} samples"
    stage(3, total, f"{', '.join(methods)}: {what} each")
    train(folders, methods)
    stage(total - 1, total, "answers to held-out problems")
    evaluate(folders, ["base", *methods])
    stage(total, total, "the report")
    # A run with --only reports on all existing results, so that the parts add up to the whole.
    reported = [name for name in ("base", *METHODS) if folders.generations(name).exists()]
    from quickstart_report import write_report

    write_report(folders.output, reported, {name: folders.run(name) for name in reported if name != "base"})
    seconds = time.monotonic() - started
    print(
        f"\ndone in {seconds / 60:.1f} min: {folders.output / 'report.html'}, pass_at_k.png, training.png, metrics.json"
    )
    (folders.output / "timing.json").write_text(
        json.dumps({"seconds": round(seconds), "methods": methods}) + "\n", encoding="utf-8"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
