"""Train with TRL's GRPOTrainer and write a line of numbers for every step. Run by the interpreter of TRL's environment.

    ENVIRONMENT/bin/python benchmarks/trl_steps.py JOB.json

The job has the folder of the model, the prompts (chats), the options of ``GRPOConfig`` and the file for the lines, which
look like those that verl's file logger writes: ``{"step": 1, "data": {...}}``. Knows nothing of this package.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import TrainerCallback
from trl import GRPOConfig, GRPOTrainer


class StepLog(TrainerCallback):
    """Append what TRL logs of each step, how many samples it had, and how long it took since the one before it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ended = time.monotonic()
        self.num_samples = 0

    def even_length(self, completions: list[list[dict[str, str]]], **_unused: Any) -> list[float]:
        """The reward of ``even_length_reward.py``, in TRL's words."""
        self.num_samples += len(completions)
        return [float(len(completion[0]["content"]) % 2 == 0) for completion in completions]

    def on_train_begin(self, *_unused: Any, **_named: Any) -> None:
        self.ended = time.monotonic()

    def on_log(self, _args: Any, state: Any, _control: Any, *, logs: dict[str, float], **_named: Any) -> None:
        if "reward" not in logs:  # the summary at the end of the run
            return
        now = time.monotonic()
        data = logs | {"timing_s/step": now - self.ended, "num_samples": self.num_samples}
        self.ended, self.num_samples = now, 0
        with self.path.open("a") as file:
            file.write(json.dumps({"step": state.global_step, "data": data}) + "\n")


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text())
    log = StepLog(Path(job["log"]))
    trainer = GRPOTrainer(
        model=job["model"],
        reward_funcs=log.even_length,
        args=GRPOConfig(**job["options"]),
        train_dataset=Dataset.from_list([{"prompt": prompt} for prompt in job["prompts"]]),
        callbacks=[log],
    )
    trainer.train()


if __name__ == "__main__":
    main()
