"""A folder that one process at a time works in, or makes."""

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NAME = ".lock"
NO_LOCKS_HERE = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)
"""What file systems of some clusters say: whether somebody else is there nobody can tell, and the work goes on."""
_LOOK_SECONDS = 0.1
_held: set[int] = set()


class BusyError(Exception):
    """Another process works in this folder, or makes it."""

    def __init__(self, message: str, process: int | None) -> None:
        super().__init__(message)
        self.process = process
        """Its number on its machine; None where it has not said."""


@contextmanager
def locked(folder: Path, what: str, patience: float = 0.0) -> Iterator[int]:
    """Hold a folder; yields the lock's descriptor, which a child that is to hold it too has to get.

    A process that is killed lets go of it, and the lock is gone with the last process that was given the descriptor. What
    is forked from it, a data loader say, does not hold it.

    Args:
        folder: Made where it is missing.
        what: Which work is refused to a second process: the beginning of the error.
        patience: Seconds to wait for another process, which may be one that is just ending.

    Raises:
        BusyError: Somebody has it.
        OSError: The folder cannot be written.
    """
    with _taken(folder / NAME, _refusal(what, folder), patience) as descriptor:
        yield descriptor


@contextmanager
def making(path: Path, patience: float = 0.0) -> Iterator[None]:
    """Be the only process that makes ``path``, which need not be there yet and may be replaced.

    Args:
        path: Its parent folder is made where it is missing. What holds it is a file beside it, which is gone in the end.
        patience: Seconds to wait for another process.

    Raises:
        BusyError: Somebody makes it.
        OSError: The parent folder cannot be written.
    """
    lock = path.with_name(f".{path.name}{NAME}")
    while True:
        with _taken(lock, f"{path} is being made by another process.", patience) as descriptor:
            if not _is_at(lock, descriptor):  # removed by the one that we waited for: a third may hold a new file
                continue
            try:
                yield
            finally:
                lock.unlink(missing_ok=True)
            return


@contextmanager
def _taken(lock: Path, refusal: str, patience: float) -> Iterator[int]:
    lock.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _take(descriptor, refusal, patience)
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        _held.add(descriptor)
        yield descriptor
    finally:
        _held.discard(descriptor)
        os.close(descriptor)


def _is_at(lock: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(lock.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _refusal(what: str, folder: Path) -> str:
    return f"{what} in {folder} are being run by another process."


def check_free(folder: Path, what: str, patience: float = 0.0) -> None:
    """Raise BusyError where another process has the folder, as ``locked`` does; makes and changes nothing."""
    try:
        descriptor = os.open(folder / NAME, os.O_RDONLY)
    except OSError:  # nobody has ever had it, or it is no folder of ours
        return
    try:
        _take(descriptor, _refusal(what, folder), patience)
    finally:
        os.close(descriptor)


def _take(descriptor: int, refusal: str, patience: float) -> None:
    end = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= end:
                said = os.pread(descriptor, 20, 0).decode(errors="replace").strip()
                raise BusyError(refusal, int(said) if said.isdecimal() else None) from None
        except OSError as error:
            if error.errno in NO_LOCKS_HERE:
                return
            raise
        time.sleep(_LOOK_SECONDS)


def _let_go() -> None:
    """In a forked child, whose parent has the locks: the descriptors stay taken, by nothing."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in _held:
        os.dup2(nothing, descriptor, inheritable=False)
    os.close(nothing)
    _held.clear()


os.register_at_fork(after_in_child=_let_go)
