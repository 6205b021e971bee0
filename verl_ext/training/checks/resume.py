"""A run that goes on from a checkpoint."""

from pathlib import Path
from typing import Any


def check_resume(config: Any, num_rows: int) -> None:
    """A run that resumes has steps left to do."""
    if config.trainer.resume_mode != "auto":
        return
    tracker = Path(config.trainer.default_local_dir).expanduser() / "latest_checkpointed_iteration.txt"
    if not tracker.is_file():
        return
    done = int(tracker.read_text())
    total = config.trainer.total_training_steps
    if total is None:
        total = num_rows // config.data.train_batch_size * config.trainer.total_epochs
    if done >= total:
        raise ValueError(
            f"{tracker.parent} has a checkpoint of step {done} and this run ends at step {total}: there is nothing left to "
            "train. Raise trainer.total_training_steps, or start afresh in another trainer.output_dir."
        )
