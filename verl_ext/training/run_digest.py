"""What a run came to, without what the machine has to do with it: for two runs that should be equal to the bit."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from verl_ext.metrics.json_lines import read_lines
from verl_ext.training.checkpoints import STEP_FOLDER

OF_THE_MACHINE = ("timing_", "perf/", "actor/perf/", "critic/perf/")
"""What names of metrics begin with that are seconds and bytes."""
ROLLOUTS = "rollouts"
"""The folder of ``trainer.rollout_data_dir`` in a run's."""

Answer = tuple[str, str, float]
"""Prompt, answer and score."""


class RunDigest(NamedTuple):
    """Equal for equal runs."""

    metrics: list[dict[str, Any]]
    """By row, with its step."""
    answers: list[list[Answer]]
    """Of each step, sorted: verl writes them in the order of their random keys."""
    weights: str
    """SHA-256 over the last checkpoint's weights and the optimizer's moments, of all ranks."""

    def differences(self, other: "RunDigest") -> Iterator[str]:
        """What differs, a line each."""
        if [row["step"] for row in self.metrics] != [row["step"] for row in other.metrics]:
            yield f"rows of metrics of the steps {_steps(self)} and {_steps(other)}"
        else:
            pairs = zip(self.metrics, other.metrics, strict=True)
            steps = [first["step"] for first, second in pairs if first != second]
            if steps:
                yield f"metrics of {len(steps)} steps, first of step {steps[0]}"
        different = [
            step
            for step, (first, second) in enumerate(zip(self.answers, other.answers, strict=True), start=1)
            if first != second
        ]
        if different:
            yield f"samples of {len(different)} steps, first of step {different[0]}"
        if self.weights != other.weights:
            yield "the last weights"


def _steps(digest: RunDigest) -> str:
    return ", ".join(str(row["step"]) for row in digest.metrics)


def digest(folder: Path, last_step: int) -> RunDigest:
    """Read a run that has ended.

    Args:
        folder: Its ``trainer.output_dir``, with its samples in ``rollouts``.
        last_step: Of which it has a checkpoint.
    """
    answers = [_answers(folder / ROLLOUTS / f"{step}.jsonl") for step in range(1, last_step + 1)]
    return RunDigest(_metrics(folder / "metrics.jsonl"), answers, _weights(folder, last_step))


def _metrics(path: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in read_lines(path)]
    return [
        {"step": row["step"]} | {name: n for name, n in row["data"].items() if not name.startswith(OF_THE_MACHINE)}
        for row in rows
    ]


def _answers(path: Path) -> list[Answer]:
    # Not str.splitlines: verl writes answers as they are, and one may hold a line separator of Unicode
    rows = [json.loads(line) for line in read_lines(path)]
    return sorted((row["input"], row["output"], row["score"]) for row in rows)


def _weights(folder: Path, step: int) -> str:
    import torch

    total = hashlib.sha256()
    for path in sorted((folder / f"checkpoints/{STEP_FOLDER}{step}").glob("*/*_world_size_*.pt")):
        if path.name.startswith(("model_", "optim_")):
            total.update(f"{path.parent.name}/{path.name}".encode())
            for tensor in _tensors(torch.load(path, weights_only=False)):
                total.update(tensor.contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()


def _tensors(value: Any) -> Iterator[Any]:
    """Every tensor below ``value``, in its order."""
    import torch

    if hasattr(value, "to_local"):
        value = value.to_local()
    if isinstance(value, torch.Tensor):
        yield value.detach()
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _tensors(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _tensors(inner)
