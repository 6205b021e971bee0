"""Memory that this process has freed, given back to the system.

An allocator keeps what is freed for the next allocation. On a CPU the learner and vLLM's engine take turns in one memory:
what one of them keeps, the other lacks.
"""

import ctypes
import sys
from functools import cache

WORTH_IT = 2**29
"""Bytes: giving back less is not worth the page faults of taking it again."""
_ALL_ARENAS = 4096
"""jemalloc's ``MALLCTL_ARENAS_ALL``."""


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


@cache
def _jemalloc() -> ctypes.CDLL | None:
    """jemalloc, where this process was started with it."""
    library = ctypes.CDLL(None)
    return library if hasattr(library, "mallctl") else None


def kept_bytes() -> int:
    """Bytes that are free in this process and not the system's; 0 where that cannot be told."""
    jemalloc = _jemalloc()
    if jemalloc is not None:
        epoch = ctypes.c_uint64(1)  # its statistics are of the last time that this was written
        jemalloc.mallctl(b"epoch", None, None, ctypes.byref(epoch), ctypes.c_size_t(ctypes.sizeof(epoch)))
        return max(0, _statistic(jemalloc, b"stats.resident") - _statistic(jemalloc, b"stats.allocated"))
    library = _glibc()
    return 0 if library is None else int(library.mallinfo2().fordblks)


def give_back() -> None:
    """Give freed memory back, where there is much of it. Also that of tcmalloc, which vLLM's CPU build may be started with."""
    release = getattr(ctypes.CDLL(None), "MallocExtension_ReleaseFreeMemory", None)
    if release is not None:
        release()
    if kept_bytes() < WORTH_IT:
        return
    jemalloc, library = _jemalloc(), _glibc()
    if jemalloc is not None:
        jemalloc.mallctl(f"arena.{_ALL_ARENAS}.purge".encode(), None, None, None, ctypes.c_size_t(0))
    elif library is not None:
        library.malloc_trim(0)


def _statistic(jemalloc: ctypes.CDLL, name: bytes) -> int:
    """0 where jemalloc was built without them."""
    value = ctypes.c_size_t(0)
    size = ctypes.c_size_t(ctypes.sizeof(value))
    jemalloc.mallctl(name, ctypes.byref(value), ctypes.byref(size), None, ctypes.c_size_t(0))
    return value.value
