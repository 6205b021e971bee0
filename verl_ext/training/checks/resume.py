"""A run goes on from its own checkpoints only, and has something left to do: steps, or the validation of the last one."""

from pathlib import Path
from typing import Any

from verl_ext.training import ending, fingerprint
from verl_ext.training.checkpoints import (
    TRACKER,
    Checkpoint,
    checkpoints_folder,
    complete_steps,
    given_checkpoint,
    is_own,
    resumed_checkpoint,
    saved_steps,
)
from verl_ext.training.metrics_file import has_row, is_on_record, metrics_path


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
    end = None if config.trainer.val_only else known_end(config, num_steps)
    checkpoint = resumed_checkpoint(config, end)
    if checkpoint is None or config.trainer.val_only:
        return checkpoint
    if num_steps is not None and checkpoint.step >= num_steps and not lacks_validation(config, checkpoint, num_steps):
        raise NothingLeftError(
            f"step {checkpoint.step} of {num_steps}: {checkpoint.folder.parent} has the last checkpoint of this run. Raise "
            "trainer.total_training_steps (or trainer.total_epochs), or start over in another trainer.output_dir."
            f"{_without_a_row(config, checkpoint)}"
        )
    ended = ending.read_ended(own)
    if ended is not None and ended.step <= checkpoint.step:
        raise NothingLeftError(
            f"This run has ended early, at step {ended.step}: {ended.reason}. Delete {own / ending.ENDED} to go on, with "
            f"another rule ({ending.OPTIONS}) or without.{_without_a_row(config, checkpoint)}"
        )
    if end is not None and checkpoint.step >= end:  # of which nothing was read so far: its validation reads it
        checkpoint = resumed_checkpoint(config)
    return (
        None if checkpoint is None else checkpoint._replace(is_validated=_is_validated(config, checkpoint, num_steps))
    )


def lacks_validation(config: Any, checkpoint: Checkpoint, num_steps: int | None) -> bool:
    """Whether a validation of the run's own step was due and is not on record: it was stopped between checkpoint and row."""
    freq, step = config.trainer.test_freq, checkpoint.step
    is_due = bool(freq > 0 and (step % freq == 0 or step == num_steps))
    return is_due and is_own(config, checkpoint) and is_on_record(config, step) is False


def _is_validated(config: Any, checkpoint: Checkpoint, num_steps: int | None) -> bool:
    """Whether the run validates the checkpoint before it goes on.

    ``trainer.val_before_train`` is about where a run begins: also at a checkpoint of another folder, but once. Of a step of its
    own it makes what is missing, and nothing that an undisturbed run has not.
    """
    if is_own(config, checkpoint):
        return lacks_validation(config, checkpoint, num_steps)
    return bool(config.trainer.val_before_train) and not is_on_record(config, checkpoint.step)


def _without_a_row(config: Any, checkpoint: Checkpoint) -> str:
    """What is missing of the last step, and how to get it; empty where nothing is."""
    folder, step = checkpoint.folder.parent, checkpoint.step
    if not is_own(config, checkpoint) or has_row(config, step) is not False:
        return ""
    earlier = [one for one in complete_steps(config, folder) if one < step]
    way_out = (
        f"To make it again, write {earlier[-1]}, the whole checkpoint before it, into {folder / TRACKER}"
        if earlier
        else "There is no whole checkpoint before it to make it again from"
    )
    return f" {metrics_path(config)} has no row of step {step}: the run was stopped between its checkpoint and its row. {way_out}."


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
