"""From nothing to a pass@k picture on two cores: get a base model, train it with each objective through verl, Ray, FSDP2
and vLLM, sample 256 answers to held-out problems, and plot the result.

    bash scripts/quickstart.sh [--model smollm2] [--only nsr] [--output DIR]

The model is a small one that is built here in minutes, or SmolLM2-135M-Instruct from a package on PyPI.

Everything that is already there is reused: run it again after an interruption, or with another --only.
"""

import argparse
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quickstart_settings import ANSWERS, SETTINGS, SMALL, Settings

from verl_ext.host.command_line import path_option, print_any_text
from verl_ext.host.files import read_object, write_whole
from verl_ext.host.parent_death import end_with_parent
from verl_ext.host.threads import ONE_THREAD

REPOSITORY = Path(__file__).resolve().parents[1]
REMEDY = "Remove the folder, or take another --output."
METHODS = ("psr", "nsr", "w_reinforce", "grpo")
ROLLOUT_MB = 20
"""Of each run's samples on file, at most."""


@dataclass(frozen=True)
class Quickstart:
    """One quickstart, and where its parts lie."""

    output: Path
    settings: Settings = SETTINGS[SMALL]

    @property
    def base(self) -> Path:
        return self.output / "base"

    @property
    def data(self) -> Path:
        return self.output / "data"

    def problems(self, split: str) -> Path:
        return self.data / f"{self.settings.data_name}_{split}.parquet"

    def run(self, method: str) -> Path:
        return self.output / "runs" / method

    @property
    def written_settings(self) -> Path:
        return self.output / "settings.json"

    def model(self, name: str) -> Path:
        return self.base if name == "base" else self.run(name)

    def generations(self, name: str) -> Path:
        return self.output / "generations" / f"{name}.jsonl"


def run(command: Sequence[str], *, env: dict[str, str] | None = None) -> None:
    """Run a command with its output in view; stop the quickstart with its exit code when it fails."""
    print(f"$ {shlex.join(str(part) for part in command)}", flush=True)
    process = start([str(part) for part in command], env=os.environ | (env or {}))
    try:
        code = process.wait()
    except KeyboardInterrupt:
        process.wait()  # it was interrupted, too, and cleans up
        sys.exit(128 + signal.SIGINT)
    if code:
        print(f"error: the command above failed with exit code {code}.", file=sys.stderr)
        sys.exit(code)


def start(command: Sequence[str | Path], **options: Any) -> "subprocess.Popen[bytes]":
    """Start a command that is asked to end when this process has ended: nobody else would wait for it."""
    parent = os.getpid()
    return subprocess.Popen(command, preexec_fn=lambda: end_with_parent(signal.SIGTERM, parent), **options)


def stage(number: int, total: int, text: str) -> None:
    print(f"\n=== {number}/{total} {text}", flush=True)


def keep_settings(quickstart: Quickstart) -> None:
    """Write the settings beside what is made with them; raises ValueError where others, or unknown ones, have made it."""
    file, wanted = quickstart.written_settings, quickstart.settings.written
    if file.exists():
        found = read_object(file, REMEDY)
        others = [name for name in wanted if found.get(name) != wanted[name]]
        if not others:
            return
        reason = f"was made with other settings ({', '.join(others)}; {file.name} has them)"
    elif quickstart.data.exists() or (quickstart.output / "runs").exists():
        reason = f"has a quickstart without {file.name}, so nobody knows of which settings"
    else:
        write_whole(file, json.dumps(wanted, indent=2) + "\n")
        return
    raise ValueError(f"{quickstart.output} {reason}. {REMEDY}")


def get_base(quickstart: Quickstart) -> None:
    script, *arguments = quickstart.settings.model_command
    run([sys.executable, REPOSITORY / "scripts" / script, *arguments, "--out", quickstart.base])


def prepare_data(quickstart: Quickstart) -> None:
    if not quickstart.problems("test").exists():
        settings = quickstart.settings
        command = [sys.executable, REPOSITORY / "scripts/prepare_data.py", settings.task, "--out", quickstart.data]
        numbers = ["--num_train", settings.num_train, "--num_test", settings.num_test, "--seed", "1"]
        unseen = ["--unseen_by", quickstart.base] if settings.is_unseen_by_base else []
        run([*command, *settings.task_options, *unseen, *numbers])


def override(name: str, path: Path) -> str:
    """An option for the launcher, quoted as hydra reads it: a folder may have blanks, commas or = in its name."""
    # Backslashes only count before a quote; ${ would begin the name of another option.
    text = re.sub(r"(\\*)('|\Z)", lambda found: 2 * found[1] + found[2].replace("'", "\\'"), str(path))
    text = text.replace("${", r"\${")
    return f"{name}='{text}'"


def shared_options(quickstart: Quickstart) -> list[str]:
    """What every method gets."""
    settings = quickstart.settings
    return [
        override("actor_rollout_ref.model.path", quickstart.base),
        override("data.train_files", quickstart.problems("train")),
        override("data.val_files", quickstart.problems("test")),
        f"data.train_batch_size={settings.prompts_per_step}",
        f"data.max_prompt_length={settings.max_prompt_tokens}",
        f"data.max_response_length={settings.max_response_tokens}",
        "data.seed=1",
        f"actor_rollout_ref.rollout.n={settings.samples_per_prompt}",
        f"actor_rollout_ref.rollout.max_model_len={settings.max_prompt_tokens + settings.max_response_tokens}",
        f"actor_rollout_ref.rollout.max_num_seqs={settings.prompts_per_step * settings.samples_per_prompt}",
        f"actor_rollout_ref.actor.ppo_mini_batch_size={settings.prompts_per_step}",
        f"actor_rollout_ref.actor.optim.lr={settings.learning_rate}",
        f"actor_rollout_ref.actor.checkpoint.save_contents={settings.saved}",
        f"trainer.total_training_steps={settings.num_steps}",
        f"trainer.save_freq={settings.steps_between_checkpoints}",
        "trainer.max_actor_ckpt_to_keep=1",
        "trainer.val_before_train=False",
        "trainer.rollout_data_dir=${trainer.output_dir}/rollouts",
        f"trainer.rollout_data_max_mb={ROLLOUT_MB}",
    ]


def own_options(quickstart: Quickstart, method: str) -> list[str]:
    return [f"algorithm.adv_estimator={method}", override("trainer.output_dir", quickstart.run(method))]


def training_command(quickstart: Quickstart, *methods: str) -> list[str]:
    """The command that trains one method, or several one after the other, of which only the first pays the start-up."""
    command = [sys.executable, "-m", "verl_ext.training.main", *shared_options(quickstart)]
    if len(methods) == 1:
        return [*command, *own_options(quickstart, methods[0])]
    return [*command, *(word for method in methods for word in ("--run", *own_options(quickstart, method)))]


def train(quickstart: Quickstart, methods: Sequence[str]) -> None:
    """Train those that are not, with the command of each alone for who wants to repeat it."""
    pending = [method for method in methods if not is_trained(quickstart, method)]
    for method in methods:
        if method not in pending:
            print(f"already trained: {quickstart.run(method)}")
    if len(pending) > 1:
        for method in pending:
            print(f"{method} alone: {shlex.join(training_command(quickstart, method))}")
    if pending:
        run(training_command(quickstart, *pending))


def is_trained(quickstart: Quickstart, method: str) -> bool:
    tracker = quickstart.run(method) / "checkpoints" / "latest_checkpointed_iteration.txt"
    if not tracker.exists():
        return False
    text = tracker.read_text(encoding="utf-8", errors="replace").strip()
    # One that a kill has cut is the launcher's to mend, which knows the steps that are complete.
    return text.isdecimal() and int(text) >= quickstart.settings.num_steps


def evaluate(quickstart: Quickstart, names: Sequence[str]) -> None:
    """Sample the answers of each model, several models at a time where one does not fill the cores."""
    settings = quickstart.settings
    pending = [
        (
            name,
            [
                sys.executable,
                str(REPOSITORY / "eval/eval.py"),
                *("--model_path", str(quickstart.model(name))),
                *("--data", str(quickstart.problems("test"))),
                *("--output_path", str(quickstart.generations(name))),
                *("--num_samples", str(settings.num_samples)),
                # The policy itself, as it was trained: other temperatures measure another distribution.
                *("--temperature", "1", "--top_p", "1"),
                *("--max_tokens", str(settings.max_response_tokens)),
                *("--max_model_len", str(settings.max_prompt_tokens + settings.max_response_tokens)),
            ],
        )
        for name in names
    ]
    num_parallel = max(1, min(settings.evaluations_at_once, os.cpu_count() or 1))
    while pending:
        batch, pending = pending[:num_parallel], pending[num_parallel:]
        shown = " and ".join(name for name, _ in batch)
        print(f"sampling {settings.num_samples} answers to {settings.num_test} problems: {shown}", flush=True)
        processes = []
        for row, (name, command) in enumerate(batch):
            log = quickstart.generations(name).with_suffix(".log")
            log.parent.mkdir(parents=True, exist_ok=True)
            # The first shows its progress; the other writes to its log.
            errors = None if row == 0 else log.open("wb")
            env = os.environ | (ONE_THREAD if settings.evaluations_at_once > 1 else {})
            processes.append((name, log, start(command, env=env, stdout=errors, stderr=errors)))
        for name, log, process in processes:
            if process.wait():
                written = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
                print(f"error: sampling {name} failed.\n{written[-2000:]}", file=sys.stderr)
                sys.exit(process.returncode)


def write_answers(quickstart: Quickstart, names: Sequence[str]) -> None:
    """The page of answers: those to held-out problems, and those that the runs learned from."""
    from verl_ext.viewer.viewer_page import write_viewer

    held_out = [(name, quickstart.generations(name)) for name in names]
    runs = [(f"{name}, training", quickstart.run(name)) for name in names if quickstart.run(name).is_dir()]
    write_viewer([*held_out, *runs], quickstart.output / ANSWERS, title="The quickstart's answers")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=METHODS, action="append", help="train only this objective; may be repeated")
    parser.add_argument("--model", choices=SETTINGS, default=SMALL, help="default: %(default)s")
    parser.add_argument(
        "--output", type=path_option, help="default: outputs/quickstart, or outputs/quickstart_MODEL for another model"
    )
    return parser.parse_args(arguments)


def output_of(options: argparse.Namespace) -> Path:
    """Two models never share a folder that nobody named."""
    name = "quickstart" if options.model == SMALL else f"quickstart_{options.model}"
    return (options.output or Path("outputs") / name).absolute()


def main(arguments: Sequence[str]) -> int:
    print_any_text()
    options = parse(arguments)
    methods = [method for method in METHODS if not options.only or method in options.only]
    settings = SETTINGS[options.model]
    quickstart = Quickstart(output_of(options), settings)
    started = time.monotonic()
    try:
        keep_settings(quickstart)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    total = 5
    stage(1, total, f"the base model ({settings.model_text})")
    get_base(quickstart)
    stage(2, total, f"problems of {settings.task}, training and held-out")
    prepare_data(quickstart)
    stage(3, total, f"{', '.join(methods)}: {settings.step_text} each")
    train(quickstart, methods)
    stage(total - 1, total, "answers to held-out problems")
    evaluate(quickstart, ["base", *methods])
    stage(total, total, "the report")
    # A run with --only reports on all existing results, so that the parts add up to the whole.
    reported = [name for name in ("base", *METHODS) if quickstart.generations(name).exists()]
    from quickstart_report import write_report

    runs = {name: quickstart.run(name) for name in reported if name != "base"}
    write_report(quickstart.output, settings, reported, runs)
    write_answers(quickstart, reported)
    seconds = time.monotonic() - started
    print(
        f"\ndone in {seconds / 60:.1f} min: {quickstart.output / 'report.html'}, {ANSWERS}, pass_at_k.png, training.png, "
        "metrics.json"
    )
    (quickstart.output / "timing.json").write_text(
        json.dumps({"seconds": round(seconds), "methods": methods}) + "\n", encoding="utf-8"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
