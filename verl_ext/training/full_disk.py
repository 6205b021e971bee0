"""Why a run ended that could not write: which disk is full, and that the same command goes on."""

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from verl_ext.host.disk import NoRoomError, free_bytes, nearest_existing, shown_bytes
from verl_ext.host.ray_processes import temporary_folder
from verl_ext.training.killed import errors_in
from verl_ext.training.paths import is_remote, local_path
from verl_ext.training.phase import phase_of

OF_A_FULL_DISK = (errno.ENOSPC, errno.EDQUOT)
IN_WORDS = (
    "No space left on device",
    "Disk quota exceeded",
    "PytorchStreamWriter failed writing file",
    ". unexpected pos ",
)
"""The last two are torch.save's. As the libraries say it that have no number for it, and Ray that prints what a worker has raised."""


def explanation(failure: BaseException, config: Any) -> str | None:
    """What to tell of a run that ended with ``failure``; None where no disk was full."""
    if not any(map(_is_of_a_full_disk, errors_in(failure))):
        return None
    places = ", ".join(
        f"{shown_bytes(free_bytes(folder))} free in {folder} ({what})" for what, folder in _folders(config)
    )
    return (
        f"a disk is full, found out during the {phase_of(failure.__traceback__)}: {places}. What was being written is not whole "
        "and will not be used. Make room, or set trainer.max_actor_ckpt_to_keep, and run the same command again: it goes on "
        f"from the last checkpoint. The error was: {_first_line(failure)}"
    )


def _is_of_a_full_disk(error: BaseException) -> bool:
    if isinstance(error, NoRoomError):
        return False  # which says all of it
    number = error.errno if isinstance(error, OSError) else None
    return number in OF_A_FULL_DISK or any(words in str(error) for words in IN_WORDS)


def _folders(config: Any) -> Iterator[tuple[str, Path]]:
    for option in ("default_local_dir", "output_dir"):
        if not is_remote(config.trainer[option]):
            yield f"trainer.{option}", nearest_existing(local_path(config.trainer[option]))
    yield "temporary files", nearest_existing(temporary_folder())


def _first_line(failure: BaseException) -> str:
    lines = str(failure).strip().splitlines()
    return lines[0] if lines else type(failure).__name__
