"""TensorBoard's files of a run that goes on: what it makes again is not shown twice."""

import os
from pathlib import Path
from typing import Any

VARIABLE = "TENSORBOARD_DIR"
"""Where verl's logger writes."""
EVENTS = "events.out.tfevents.*"
VERSION = "brain.Event:2"
"""The first event of a file; before it TensorBoard does not know the marker."""


def folder_of(config: Any) -> Path:
    return Path(os.environ.get(VARIABLE) or Path(config.trainer.output_dir) / "tensorboard")


def forget_after(folder: Path, step: int) -> None:
    """Mark that everything after ``step`` is made again; without files of events there is nothing to mark.

    TensorBoard then leaves out what earlier files have of later steps, as it does after SummaryWriter's ``purge_step``.
    """
    if not any(folder.glob(EVENTS)):
        return
    from tensorboard.compat.proto.event_pb2 import Event, SessionLog
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    writer = EventFileWriter(str(folder))
    writer.add_event(Event(step=step + 1, file_version=VERSION))
    writer.add_event(Event(step=step + 1, session_log=SessionLog(status=SessionLog.START)))
    writer.close()


def flush(logger: Any) -> None:
    """Bring to the disk what verl's logger of TensorBoard holds back, for up to two minutes."""
    adapter = getattr(logger, "logger", {}).get("tensorboard")
    if adapter is not None:
        adapter.writer.flush()
