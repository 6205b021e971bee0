"""Output folders of a study as its runs would leave them: validations of policies that sharpen or widen by objective."""

import json
from pathlib import Path

import numpy as np

from verl_ext.study.grid_file import SEED_AXIS, read_grid

STEPS = (0, 50, 100, 150, 200)
EFFECTS = {
    "psr": (1.1, 0.9),
    "nsr": (0.7, 0.1),
    "w_reinforce": (0.9, 0.2),
    "reinforce": (1.0, 0.5),
    "grpo": (1.0, 0.6),
}
"""Objective -> how much easier problems get over a training, and how much farther apart easy and hard ones."""


def make_runs(
    file: Path, output: Path, *, num_problems: int = 40, num_samples: int = 64, steps=STEPS, seed_effect: float = 0.15
) -> None:
    """Write the folders of every run of a study, all finished, and its study.json."""
    rng = np.random.default_rng(7)
    problems_P = rng.normal(-3.0, 2.2, num_problems)
    entries = []
    for run in read_grid(file):
        number = int(run.place.get(SEED_AXIS, "seed1").removeprefix(SEED_AXIS))
        options = {**run.common, **run.own}
        write_run(output / run.name, options, steps[-1])
        rise, sharpen = EFFECTS.get(options.get("algorithm.adv_estimator"), (0.8, 0.4))
        sharpen += 0.6 * float(options.get("algorithm.positive_advantage_weight", 0))
        rise -= 3 * float(options.get("algorithm.noisy_grader.false_negative_rate", 0))
        log_metrics(output / run.name, steps[-1], rise)
        draws = np.random.default_rng(number)
        rise += seed_effect * draws.normal()
        for step in steps:
            done = (step / max(steps[-1], 1)) ** 0.7
            logits_P = (problems_P + 2.0) * (1 + sharpen * done) - 2.0 + rise * done
            moved = np.random.default_rng([number, step, len(entries) if step else 0])
            logits_P = logits_P + (0.3 * moved.normal(size=num_problems) if step else 0.0)
            add_validation(
                output / run.name, step, moved.binomial(num_samples, 1 / (1 + np.exp(-logits_P))), num_samples
            )
        entries.append(
            {
                "name": run.name,
                "axes": dict(run.place),
                "overrides": [
                    *run.overrides,
                    f"trainer.experiment_name={run.name}",
                    f"trainer.output_dir={output / run.name}",
                ],
                "folder": run.name,
                "state": "done",
                "code": 0,
                "seconds": 100.0,
            }
        )
    (output / "study.json").write_text(json.dumps({"file": str(file), "runs": entries}))


def write_run(folder: Path, options: dict, num_steps: int) -> None:
    """Its run.json, and the checkpoint of its last step."""
    config: dict = {"trainer": {"total_training_steps": num_steps}}
    for name, value in options.items():
        *sections, last = name.split(".")
        place = config
        for section in sections:
            place = place.setdefault(section, {})
        place[last] = value
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints/latest_checkpointed_iteration.txt").write_text(str(num_steps))
    record = {
        "started": "2026-11-27T08:00:00+00:00",
        "versions": {"python": "3.11.2", "verl": "0.9.1"},
        "git": {"commit": "0123abc", "is_modified": False},
        "machine": {"processor": "a processor", "num_cpus": 2},
        "config": config,
    }
    (folder / "run.json").write_text(json.dumps(record))


def log_metrics(folder: Path, num_steps: int, rise: float) -> None:
    """Its metrics.jsonl: accuracy that goes up and entropy that goes down."""
    with (folder / "metrics.jsonl").open("w") as file:
        for step in range(1, num_steps + 1):
            data = {"train/correct_ratio": rise * step / num_steps / 2, "train/entropy": 1 - 0.5 * step / num_steps}
            file.write(json.dumps({"step": step, "data": data}) + "\n")


def add_validation(folder: Path, step: int, num_correct, num_samples: int, source: str = "countdown", **more) -> None:
    counts = {"num_correct": [int(c) for c in num_correct], "num_samples": [num_samples] * len(num_correct)}
    with (folder / "validation.jsonl").open("a") as file:
        file.write(json.dumps({"step": step, "data_source": source, **counts, **more}) + "\n")
