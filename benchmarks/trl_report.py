"""The comparison with TRL as a table and as JSON."""

from dataclasses import asdict
from pathlib import Path
from statistics import mean, median
from typing import Any

from matmul_speed import measure_speeds
from model_flops import Sizes, rollout_flops, update_flops
from processor import hardware
from step_work import trl_work
from trl_comparison import Comparison, Plan, Row
from trl_environment import requirements

from verl_ext.host.provenance import git_state, versions

ROOT = Path(__file__).resolve().parents[1]


def said_of_figures(plan: Plan) -> str:
    """How many runs and steps a figure of the table is of."""
    of_runs = (
        "one run, not a median of several"
        if plan.rounds == 1
        else f"{plan.rounds} runs: the median, and the largest peak"
    )
    return f"each figure is of {of_runs}; of a run's {plan.steps} steps, {plan.steps - plan.warm_up} after the warm-up count"


class Report:
    """The rows as a table and as JSON."""

    def __init__(self, comparison: Comparison) -> None:
        self.comparison, self.plan = comparison, comparison.plan
        self.sizes = Sizes.read(comparison.model)
        self.speeds = measure_speeds(self.sizes.hidden, self.sizes.intermediate)
        self.work = trl_work(comparison.rows[0].runs[-1].steps)
        sequences = comparison.shape().num_sequences
        tokens = mean(step.tokens for step in self.work) / sequences
        self.shape = comparison.shape(tokens - self.plan.answer_tokens)

    def numbers(self, row: Row) -> dict[str, float]:
        warm_up, sequences = self.plan.warm_up, self.shape.num_sequences
        seconds = row.step_seconds(warm_up)
        kept = row.kept(warm_up)
        limit = row.limit_seconds(self.sizes, self.shape, self.speeds, kept=kept)
        return {
            "step_seconds": seconds,
            "wall_seconds": row.wall_seconds(warm_up),
            "first_step_seconds": median(run.first_step_seconds for run in row.runs),
            "peak_bytes": max(run.peak_bytes for run in row.runs),
            "samples_per_second": sequences / seconds,
            "limit_samples_per_second": sequences / limit,
            "share_of_limit": limit / seconds,
            "kept": kept,
            "times_trl": self.comparison.rows[0].step_seconds(warm_up) / seconds,
        }

    def print(self) -> None:
        shape = self.shape
        print(
            f"{shape.prompts} prompts x {shape.samples} samples x {shape.answer_tokens} tokens, prompts of "
            f"{shape.prompt_tokens:.0f} tokens; {mean(step.tokens for step in self.work):,.0f} tokens a step on both sides"
        )
        print(said_of_figures(self.plan))
        print(f"load of the machine before: {self.comparison.load:.1f}; that of others blurs the seconds")
        for precision, by_threads in self.speeds.items():
            each = ", ".join(f"{speed / 1e9:.0f} with {threads}" for threads, speed in by_threads.items())
            print(f"GFLOP/s in {precision} by threads: {each}")
        print(
            f"{'':56}{'step':>9}{'wall':>9}{'first':>9}{'peak':>10}{'samples/s':>11}{'limit':>8}{'of it':>7}{'x TRL':>7}"
        )
        for row in self.comparison.rows:
            n = self.numbers(row)
            name = row.name if n["kept"] == 1 else f"{row.name}, {n['kept']:.2f} of the tokens kept"
            print(
                f"{name:56}{n['step_seconds']:7.2f} s{n['wall_seconds']:7.2f} s{n['first_step_seconds']:7.1f} s"
                f"{n['peak_bytes'] / 2**30:6.2f} GiB{n['samples_per_second']:11.2f}{n['limit_samples_per_second']:8.1f}"
                f"{n['share_of_limit']:7.1%}{n['times_trl']:7.2f}"
            )

    def as_dict(self) -> dict[str, Any]:
        return {
            "hardware": hardware() | {"load_before": self.comparison.load},
            "versions": versions() | {"trl environment": requirements()},
            "git": git_state(ROOT),
            "plan": asdict(self.plan) | {"prompt_tokens": self.shape.prompt_tokens},
            "flops": {"rollout": rollout_flops(self.sizes, self.shape), "update": update_flops(self.sizes, self.shape)},
            "speeds": self.speeds,
            "work": [each._asdict() for each in self.work],
            "trials": [
                asdict(trial) | {"seconds": None if trial.failure else trial.seconds}
                for trial in self.comparison.trials
            ],
            "rows": [
                {"name": row.name, **self.numbers(row), "settings": row.settings, "runs": [asdict(r) for r in row.runs]}
                for row in self.comparison.rows
            ],
        }
