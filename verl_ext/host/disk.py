"""Whether there is room for what is going to be written, asked before half of it is."""

import shutil
from pathlib import Path


def nearest_existing(path: Path) -> Path:
    """``path``, or the nearest of its parents that exists."""
    return next(one for one in (path.absolute(), *path.absolute().parents) if one.exists())


def free_bytes(path: Path) -> int:
    """What may still be written where ``path`` is, or will be."""
    return shutil.disk_usage(nearest_existing(path)).free


def shown_bytes(num_bytes: float) -> str:
    """For a reader: 1.5 GiB, 20.0 MiB, 3 KiB."""
    for unit, size in (("GiB", 2**30), ("MiB", 2**20)):
        if num_bytes >= size:
            return f"{num_bytes / size:.1f} {unit}"
    return f"{num_bytes / 2**10:.0f} KiB"


class NoRoomError(OSError):
    """What is going to be written does not fit."""


def check_room(path: Path, num_bytes: int, what: str, remedy: str = "Make room, or choose another disk.") -> None:
    """Raises NoRoomError where fewer than ``num_bytes`` are free at ``path``: ``what`` needs them, ``remedy`` is a sentence."""
    free = free_bytes(path)
    if free < num_bytes:
        raise NoRoomError(
            f"{what} needs {shown_bytes(num_bytes)}, and {nearest_existing(path)} has {shown_bytes(free)} free. {remedy}"
        )
