"""What a step worked through, read from what each side logs: a comparison needs the same on both."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

Step = dict[str, float]


class StepWork(NamedTuple):
    """The work of one step."""

    samples: int
    tokens: int | None
    """Of prompts and answers, the prompt counted for each of its samples; None where the log counts kept samples only."""
    shortest_answer: int
    longest_answer: int
    updates: int
    """Optimizer steps."""


def our_work(steps: Sequence[Step]) -> list[StepWork]:
    """From our ``metrics.jsonl``. The lengths that verl logs are those of the samples that the sign filter kept.

    Raises:
        ValueError: A step had nothing to learn from, as one of few samples may; TRL's learns from all.
    """
    for number, step in enumerate(steps, start=1):
        if not step["train/num_updates"]:
            raise ValueError(f"Step {number} of ours kept no sample, so it is not compared. Try more samples.")
    return [
        StepWork(
            samples=round(step["train/samples"]),
            tokens=_tokens(step) if step["train/kept_samples"] == step["train/samples"] else None,
            shortest_answer=round(step["response_length/min"]),
            longest_answer=round(step["response_length/max"]),
            updates=round(step["train/num_updates"]),
        )
        for step in steps
    ]


def _tokens(step: Step) -> int:
    return round(step["train/samples"] * (step["prompt_length/mean"] + step["response_length/mean"]))


def trl_work(steps: Sequence[Step]) -> list[StepWork]:
    """From TRL's log, whose ``num_tokens`` is the sum over all steps so far and which has a row for each update."""
    totals = [0.0, *(step["num_tokens"] for step in steps)]
    return [
        StepWork(
            samples=round(step["num_samples"]),
            tokens=round(after - before),
            shortest_answer=round(step["completions/min_length"]),
            longest_answer=round(step["completions/max_length"]),
            updates=1,
        )
        for step, (before, after) in zip(steps, pairwise(totals), strict=True)
    ]


def require_same(ours: Sequence[StepWork], theirs: Sequence[StepWork]) -> None:
    """Raise ValueError with the first step in which the two worked through something different."""
    if len(ours) != len(theirs):
        raise ValueError(f"Ours ran {len(ours)} steps and TRL {len(theirs)}, so they are not compared.")
    for number, (mine, other) in enumerate(zip(ours, theirs, strict=True), start=1):
        if mine != (other if mine.tokens is not None else other._replace(tokens=None)):
            raise ValueError(f"Step {number} is not the same work, so it is not compared: ours {mine}, TRL's {other}.")
