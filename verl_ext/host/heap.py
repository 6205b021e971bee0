"""Memory that this process has freed, given back to the system.

glibc keeps what is freed for the next allocation. On a CPU the learner and vLLM's engine take turns in one memory: what one
of them keeps, the other lacks.
"""

import ctypes
import sys
from functools import cache

WORTH_IT = 2**29
"""Bytes: giving back less is not worth the page faults of taking it again."""


class _Numbers(ctypes.Structure):
    """glibc's ``struct mallinfo2``."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()
    ]


@cache
def _glibc() -> ctypes.CDLL | None:
    """The C library, where it has both functions (glibc from 2.33 on)."""
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    if not (hasattr(library, "mallinfo2") and hasattr(library, "malloc_trim")):
        return None
    library.mallinfo2.restype = _Numbers
    return library


def kept_bytes() -> int:
    """Bytes that are free in this process and not the system's; 0 where that cannot be told."""
    library = _glibc()
    return 0 if library is None else int(library.mallinfo2().fordblks)


def give_back() -> None:
    """Give freed memory back, where there is much of it. Also that of tcmalloc, which vLLM's CPU build is started with."""
    release = getattr(ctypes.CDLL(None), "MallocExtension_ReleaseFreeMemory", None)
    if release is not None:
        release()
    library = _glibc()
    if library is not None and kept_bytes() >= WORTH_IT:
        library.malloc_trim(0)
