"""Runs of TRL's GRPOTrainer on a CPU, and the search for the options with which it is fastest."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from model_flops import StepShape
from runs import Run, RunFailed, measured, median_of

from verl_ext.host.threads import THREAD_VARIABLES

PRECISIONS: dict[str, dict[str, Any]] = {
    "float32": {"bf16": False},
    "bfloat16": {"bf16": True},
    "bfloat16 weights": {"bf16": False, "model_init_kwargs": {"dtype": "bfloat16"}},
}
"""Options of ``GRPOConfig``. The last one keeps no float32 weights: an update below 1/256 of a weight is lost."""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """What a user of TRL may choose for speed."""

    precision: str
    threads: int
    micro_batch: int

    def __str__(self) -> str:
        return f"{self.precision}, {self.threads} thread(s), micro-batches of {self.micro_batch}"


@dataclass(frozen=True, kw_only=True)
class TRLWork:
    """A model, its prompts and the lengths, for TRL's trainer."""

    python: Path
    """The interpreter of TRL's environment."""
    model: Path
    prompts: Sequence[Sequence[dict[str, str]]]
    """Chats, in the order in which they are drawn."""
    shape: StepShape
    folder: Path
    """For what the runs write."""

    def run(self, name: str, variant: Variant, steps: int) -> Run:
        """Train for ``steps`` steps; raises RunFailed."""
        log = self.folder / f"{name}.jsonl"
        job = {"model": str(self.model), "prompts": self.prompts, "log": str(log)}
        job["options"] = self.options(variant, steps) | {"output_dir": str(self.folder / name)}
        file = self.folder / f"{name}.json"
        file.write_text(json.dumps(job))
        command = [str(self.python), str(Path(__file__).with_name("trl_steps.py")), str(file)]
        threads = dict.fromkeys(THREAD_VARIABLES, str(variant.threads))
        return measured(command, log, threads | {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"})

    def options(self, variant: Variant, steps: int) -> dict[str, Any]:
        """Options of ``GRPOConfig``: one update of all samples a step, answers of one length, and no more than that.

        Without vLLM: with vllm_mode=colocate TRL's first weight push ends in an error on a CPU, where vLLM has packed
        its weights. Without continuous batching, which on a CPU takes many times as long and ends answers early.
        """
        shape = self.shape
        return {
            "use_cpu": True,
            "per_device_train_batch_size": variant.micro_batch,
            "gradient_accumulation_steps": shape.num_sequences // variant.micro_batch,
            "num_generations": shape.samples,
            "max_completion_length": shape.answer_tokens,
            "generation_kwargs": {"min_new_tokens": shape.answer_tokens},
            "temperature": 1.0,
            "beta": 0.0,
            "shuffle_dataset": False,
            "gradient_checkpointing": False,  # it computes twice to save memory
            "max_steps": steps,
            "logging_steps": 1,
            "save_strategy": "no",
            "report_to": [],
            "disable_tqdm": True,
            **PRECISIONS[variant.precision],
        }


@dataclass(frozen=True)
class Trial:
    variant: Variant
    seconds: float
    """Of a step, infinite where the variant failed."""
    failure: str = ""


class Search:
    """Tries variants for a few steps each, none twice, and remembers them."""

    def __init__(self, work: TRLWork, steps: int, *, sizes: Sequence[int], threads: Sequence[int]) -> None:
        self.work, self.steps, self.sizes, self.threads = work, steps, sizes, threads
        self.trials: dict[Variant, Trial] = {}

    def seconds(self, variant: Variant) -> float:
        if variant not in self.trials:
            self.trials[variant] = self._try(variant)
            trial = self.trials[variant]
            print(f"  TRL, {variant}: {trial.failure or f'{trial.seconds:.2f} s a step'}", flush=True)
        return self.trials[variant].seconds

    def _try(self, variant: Variant) -> Trial:
        try:
            run = self.work.run(f"trial_{len(self.trials)}", variant, self.steps)
        except RunFailed as error:
            last = str(error).splitlines()[-1]
            return Trial(variant, float("inf"), f"failed: {last}")
        return Trial(variant, median_of(run.steps, "step", skip=1))

    def fastest(self, variants: Iterator[Variant]) -> Variant:
        return min(variants, key=self.seconds)

    def best(self, start: Variant, *, every: bool) -> Variant:
        """The fastest that keeps float32 weights.

        One option after the other, each from the best so far; with ``every``, all combinations.
        """
        kept = [name for name in PRECISIONS if name != "bfloat16 weights"]
        if every:
            grid = product(kept, self.threads, self.sizes)
            return self.fastest(Variant(precision=p, threads=t, micro_batch=m) for p, t, m in grid)
        found = self.fastest(replace(start, precision=name) for name in kept)
        found = self.fastest(replace(found, micro_batch=size) for size in self.sizes)
        return self.fastest(replace(found, threads=threads) for threads in self.threads)


def micro_batches(num_sequences: int) -> list[int]:
    """Sizes to try: all samples at once, a quarter and a sixteenth of them."""
    return sorted({num_sequences // part for part in (1, 4, 16) if num_sequences % part == 0})
