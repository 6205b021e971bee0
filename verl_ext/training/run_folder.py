"""What a run's folder has to hold before it goes on from a checkpoint, or starts over."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from verl_ext.host.files import write_whole
from verl_ext.training import ending, fingerprint, metrics_file, tensorboard_events, validation_counts
from verl_ext.training.checkpoints import TRACKER, Checkpoint, checkpoints_folder, is_own, latest
from verl_ext.training.deterministic import is_deterministic
from verl_ext.training.guards import roll_back


def begin(config: Any, checkpoint: Checkpoint | None) -> Iterator[str]:
    """Bring the run's folder in line with where it starts, and what verl reads of that; yields what a reader should know.

    ``trainer.val_before_train`` says from here on whether the checkpoint that the run goes on from is validated. A run that is
    killed after this and before its first checkpoint leaves a fingerprint without checkpoints, which binds nobody.
    """
    if checkpoint is not None:
        unknown = "" if fingerprint.read(checkpoint.folder.parent) else ", made with settings that are not on record"
        yield f"resuming from step {checkpoint.step} of {checkpoint.folder.parent}{unknown}"
    if checkpoint is not None and config.trainer.resume_mode == "auto":
        yield from _mend_tracker(config)
    if config.trainer.val_only:
        return
    folder = checkpoints_folder(config)
    (folder / ending.ENDED).unlink(missing_ok=True)  # it goes on from before, or starts over
    if checkpoint is None:
        (folder / roll_back.RECORD).unlink(missing_ok=True)
        yield from _of_none(config)
    else:
        yield from _of_checkpoint(config, checkpoint)
        config.trainer.val_before_train = checkpoint.is_validated
    if config.trainer.save_freq > 0:
        fingerprint.write(folder, fingerprint.fingerprint(config))
    last, is_validated = (-1, False) if checkpoint is None else (checkpoint.step, checkpoint.is_validated)
    for path in (metrics_file.metrics_path(config), Path(config.trainer.output_dir) / validation_counts.NAME):
        removed = metrics_file.keep_until(path, last, is_validated=is_validated)
        if removed:
            yield f"{path.name}: {removed} rows of steps that this run makes again are in a copy beside it"
    tensorboard_events.forget_after(tensorboard_events.folder_of(config), last - is_validated)


def _of_none(config: Any) -> Iterator[str]:
    """Let verl find no checkpoint either, where there is one that the run does not go on from; yields why."""
    tracker = checkpoints_folder(config) / TRACKER
    if is_deterministic(config) and config.trainer.resume_mode == "auto" and tracker.is_file():
        step = tracker.read_text(encoding="utf-8").strip()
        tracker.unlink()
        yield f"the first checkpoint, of step {step}, has no row of metrics: the run starts over, to the bit"


def _mend_tracker(config: Any) -> Iterator[str]:
    """Let it name the last complete step where it is cut or the step that it names is not whole; yields that."""
    found = latest(config)
    if found is not None and found.passed_over:
        write_whole(checkpoints_folder(config) / TRACKER, str(found.step))
        yield found.passed_over


def _of_checkpoint(config: Any, checkpoint: Checkpoint) -> Iterator[str]:
    """Make it the one that verl loads; yields what a reader should know of it."""
    folder, metrics = checkpoints_folder(config), metrics_file.metrics_path(config)
    if gone_back := roll_back.described(folder):
        yield gone_back
    if config.trainer.resume_mode == "auto" and (folder / TRACKER).read_text(encoding="utf-8").strip() != str(
        checkpoint.step
    ):
        write_whole(folder / TRACKER, str(checkpoint.step))
        yield "the checkpoint after it has no row of metrics: its step is made again, to the bit"
    elif is_own(config, checkpoint):
        if metrics_file.has_row(config, checkpoint.step) is False:
            yield f"{metrics.name} has no row of step {checkpoint.step}: the run was stopped between its checkpoint and its row"
        if checkpoint.is_validated:
            yield f"step {checkpoint.step} has no validation on record, which was due: it is made first"
