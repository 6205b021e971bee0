"""What the runs of the numerics contract came to: a verdict on each, and the table."""

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from verl_ext.doctor.numerics_runs import GAP_FILE, Case
from verl_ext.training.guards.rollout_gap import FLOAT32_NOISE
from verl_ext.training.step import token_gaps
from verl_ext.training.step.token_gaps import StepGaps, TokenGap

RUN_FAILED = "the run failed"
HEADER = (
    "| model | weights | precision | tokens | mean gap | largest gap | where | ratio off 1 by | clipped | |",
    "|---|---|---|---:|---:|---:|---|---:|---:|---|",
)


class Limits(NamedTuple):
    """What a healthy pair stays below."""

    mean: float
    """Of the differences of the two probabilities."""
    max: float
    ratio: float
    """How far a ratio may be from 1 at learning rate 0: the two passes cut the samples into other micro-batches."""


FLOAT32, BFLOAT16 = Limits(1e-5, 1e-3, 1e-3), Limits(0.02, 0.5, 0.15)
"""The second's mean is trainer.guardrails.rollout_gap.max_diff; its ratio stays within every clip."""
MOST_GROWTH = 10.0
"""Of a step's mean gap, in multiples of the first step's: no weight has moved."""


class Numerics(NamedTuple):
    """Of one case."""

    case: Case
    precision: str
    """Of the learner and, where it differs, of the rollout."""
    steps: Sequence[StepGaps]
    ratio_error: float
    """The largest difference of a token's ratio from 1 over all updates."""
    clipped: float
    """The largest share of a step's tokens that were clipped."""

    @property
    def num_tokens(self) -> int:
        return sum(step.num_tokens for step in self.steps)

    @property
    def mean(self) -> float:
        return math.fsum(step.mean * step.num_tokens for step in self.steps) / max(self.num_tokens, 1)

    @property
    def max(self) -> float:
        return max((step.max for step in self.steps), key=_nan_is_most, default=0.0)

    @property
    def worst(self) -> tuple[StepGaps, TokenGap] | None:
        """The token with the largest gap and its step."""
        tokens = [(step, token) for step in self.steps for token in step.largest[:1]]
        return max(tokens, key=lambda one: _nan_is_most(abs(one[1].rollout - one[1].actor)), default=None)

    def faults(self) -> Iterator[str]:
        """What is wrong, a clause each; none for a healthy pair."""
        limits = FLOAT32 if self.precision in ("float32", "fp32") else BFLOAT16
        if not self.num_tokens:
            yield "no token was compared"
        for name, value, limit in (
            ("mean gap", self.mean, limits.mean),
            ("largest gap", self.max, limits.max),
            ("ratio off 1 by", self.ratio_error, limits.ratio),
            ("clipped", self.clipped, 0.0),
        ):
            if not value <= limit:
                yield f"{name} {value:.2g} > {limit:g}"
        first, last = (self.steps[0].mean, self.steps[-1].mean) if self.steps else (0.0, 0.0)
        if not last <= max(MOST_GROWTH * first, FLOAT32_NOISE):
            yield f"grows from {first:.2g} to {last:.2g} though no weight has moved"


def _nan_is_most(value: float) -> float:
    return math.inf if math.isnan(value) else value


def read_numerics(case: Case, folder: Path) -> Numerics:
    """Of a run that has ended well.

    Raises:
        ValueError: It has left no such numbers.
    """
    try:
        config = json.loads((folder / "run.json").read_text(encoding="utf-8"))["config"]["actor_rollout_ref"]
        lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        steps = token_gaps.read(folder / GAP_FILE)
    except (OSError, KeyError) as error:
        raise ValueError(f"{folder} has no numbers of a run: {error}") from None
    rows = [json.loads(line)["data"] for line in lines]
    learner = config["actor"]["fsdp_config"]["mixed_precision"]["param_dtype"]
    rollout = config["rollout"]["dtype"]
    return Numerics(
        case,
        learner if learner == rollout else f"{learner}, rollout {rollout}",
        steps,
        max((row["actor/ratio_error_max"] for row in rows), default=math.nan),
        max((row["actor/pg_clipfrac"] + row["actor/pg_clipfrac_lower"] for row in rows), default=math.nan),
    )


def table(results: Sequence[Numerics | Case]) -> str:
    """In Markdown, a line of each case; one without numbers is a run that failed."""
    return "\n".join([*HEADER, *map(_line, results)])


def _line(result: Numerics | Case) -> str:
    if isinstance(result, Case):
        return f"| {result.model} | {result.weights} | | | | | | | | {RUN_FAILED} |"
    faults = list(result.faults())
    verdict = f"FAILS: {'; '.join(faults)}" if faults else "ok"
    cells = [
        *(result.case.model, result.case.weights, result.precision, f"{result.num_tokens:,}"),
        *(f"{result.mean:.1e}", f"{result.max:.1e}", _where(result.worst)),
        *(f"{result.ratio_error:.1e}", f"{result.clipped:.0%}", verdict),
    ]
    return f"| {' | '.join(cells)} |"


def _where(worst: tuple[StepGaps, TokenGap] | None) -> str:
    if worst is None:
        return ""
    step, token = worst
    text = json.dumps(token.text, ensure_ascii=True).replace("|", "\\|")
    return f"step {step.step}, token {token.place} `{text}` {token.rollout:.4f} / {token.actor:.4f}"
