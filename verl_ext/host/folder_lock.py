"""A folder that one process at a time works in."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NAME = ".lock"


class BusyError(Exception):
    """Another process works in this folder."""


@contextmanager
def locked(folder: Path, what: str) -> Iterator[int]:
    """Hold a folder; yields the lock's descriptor, which a child that is to hold it too has to get.

    A process that is killed lets go of it, and the lock is gone with the last process that has the descriptor.

    Args:
        folder: Made where it is missing.
        what: Which work is refused to a second process: the beginning of the error.

    Raises:
        BusyError: Somebody has it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / NAME).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(f"{what} in {folder} are being run by another process.") from None
        yield file.fileno()
