"""A run goes on from its own checkpoints only, and has steps left to do."""

from pathlib import Path
from typing import Any

from verl_ext.training import ending, fingerprint
from verl_ext.training.checkpoints import (
    Checkpoint,
    checkpoints_folder,
    given_checkpoint,
    resumed_checkpoint,
    saved_steps,
)


class NothingLeftError(ValueError):
    """The run has made all its steps already."""


def check_resume(config: Any, num_steps: int | None) -> Checkpoint | None:
    """Return the checkpoint that the run goes on from, None when it starts over.

    Args:
        config: The resolved configuration.
        num_steps: The step at which the run ends; None when it is not known.
    """
    own = checkpoints_folder(config)
    folders = {own} if saved_steps(own) else set()
    if config.trainer.resume_mode == "resume_path":
        folders.add(given_checkpoint(config).folder.parent)
    for folder in folders:
        _check_same_run(config, folder)
    checkpoint = resumed_checkpoint(config, None if config.trainer.val_only else known_end(config, num_steps))
    has_left = checkpoint is None or num_steps is None or checkpoint.step < num_steps
    if checkpoint is not None and not has_left and not config.trainer.val_only:
        raise NothingLeftError(
            f"step {checkpoint.step} of {num_steps}: {checkpoint.folder.parent} has the last checkpoint of this run. Raise "
            "trainer.total_training_steps (or trainer.total_epochs), or start over in another trainer.output_dir."
        )
    ended = ending.read_ended(own)
    if checkpoint is not None and ended is not None and ended.step <= checkpoint.step and not config.trainer.val_only:
        raise NothingLeftError(
            f"This run has ended early, at step {ended.step}: {ended.reason}. Delete {own / ending.ENDED} to go on, with "
            f"another rule ({ending.OPTIONS}) or without."
        )
    return checkpoint


def known_end(config: Any, num_steps: int | None) -> int | None:
    """The step at which a run is over, because it has made all ``num_steps`` or ended early; None where neither tells."""
    ended = ending.read_ended(checkpoints_folder(config))
    ends = (num_steps, None if ended is None else ended.step)
    return min((step for step in ends if step is not None), default=None)


def _check_same_run(config: Any, folder: Path) -> None:
    recorded = fingerprint.read(folder)
    if recorded is None:
        return  # saved by stock verl, or before there were fingerprints: the launcher says so
    found = fingerprint.differences(recorded, fingerprint.fingerprint(config))
    if found:
        raise ValueError(
            f"{folder} has the checkpoints of another run. What they were made with -> what this run asks for:\n"
            f"{fingerprint.table(found)}\n"
            "Restore these settings to continue that run, or choose another trainer.output_dir for this one. If the change is "
            f"meant, delete {folder / fingerprint.NAME}: training then continues from those weights with the new settings."
        )
