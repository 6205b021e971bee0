"""What a run's folder has to hold before it goes on from a checkpoint, or starts over."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from verl_ext.training import ending, fingerprint, metrics_file, validation_counts
from verl_ext.training.checkpoints import Checkpoint, checkpoints_folder
from verl_ext.training.guards import roll_back


def metrics_path(config: Any) -> Path:
    """Where verl's file logger writes a row for each step."""
    return Path(os.environ.get(metrics_file.VARIABLE) or Path(config.trainer.output_dir) / "metrics.jsonl")


def begin(config: Any, checkpoint: Checkpoint | None) -> Iterator[str]:
    """Bring the fingerprint and the metrics in line with where the run starts; yields what a reader should know.

    A run that is killed after this and before its first checkpoint leaves a fingerprint without checkpoints, which binds
    nobody.
    """
    if checkpoint is not None:
        unknown = "" if fingerprint.read(checkpoint.folder.parent) else ", made with settings that are not on record"
        yield f"resuming from step {checkpoint.step} of {checkpoint.folder.parent}{unknown}"
    if config.trainer.val_only:
        return
    folder = checkpoints_folder(config)
    (folder / ending.ENDED).unlink(missing_ok=True)  # it goes on from before, or starts over
    if checkpoint is None:
        (folder / roll_back.RECORD).unlink(missing_ok=True)
    elif gone_back := roll_back.described(folder):
        yield gone_back
    if config.trainer.save_freq > 0:
        fingerprint.write(folder, fingerprint.fingerprint(config))
    for path in (metrics_path(config), Path(config.trainer.output_dir) / validation_counts.NAME):
        removed = metrics_file.keep_until(path, -1 if checkpoint is None else checkpoint.step)
        if removed:
            yield f"{path.name}: {removed} rows of steps that this run makes again are in a copy beside it"
