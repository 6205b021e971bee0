"""A process that ends with its parent, so that nothing goes on which nobody knows of."""

import ctypes
import os
import signal

SET_PARENT_DEATH_SIGNAL = 1
"""Of Linux's prctl."""


def end_with_parent(by: signal.Signals, parent: int | None = None) -> None:
    """Let this process get the signal ``by`` when its parent dies.

    Args:
        by: The signal.
        parent: Number of the parent; where that has died already, the signal comes at once.

    Raises:
        OSError: The system refuses.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(SET_PARENT_DEATH_SIGNAL, by):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    if parent is not None and os.getppid() != parent:
        os.kill(os.getpid(), by)
