"""How much memory the processes of this one may take: what the machine has free, and what it is limited to."""

import os
import resource
from pathlib import Path
from typing import NamedTuple

import psutil

from verl_ext.host.control_groups import CGROUPS, OWN, groups_of

GIB = 2**30
NO_LIMIT = 2**60
"""cgroup v1 writes a number like this where there is no limit."""


class Memory(NamedTuple):
    """What this process and its children may have."""

    available: int
    """Bytes that can still be taken."""
    total: int
    """Bytes that there would be if nobody else took any."""
    bound: str
    """What ``available`` is bounded by, for a reader."""
    total_bound: str
    """What ``total`` is bounded by, which may be something else."""


def read_memory(cgroups: Path = CGROUPS, own: Path = OWN) -> Memory:
    """The least of what is free on the machine and what the limits leave: control groups (version 1 and 2) and ``ulimit -v``.

    A page cache that can be dropped counts as free in all of them. ``ulimit -v`` is for each process, not for all together.

    Args:
        cgroups: Where control groups are mounted.
        own: The file that names this process's groups.
    """
    machine = psutil.virtual_memory()
    found = [Memory(int(machine.available), int(machine.total), "free on this machine", "all of this machine's")]
    found += [_in_group(folder) for folder in groups_of("memory", cgroups, own) if _limit(folder) is not None]
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        used = int(psutil.Process(os.getpid()).memory_info().vms)
        found.append(
            Memory(max(0, soft - used), soft, f"left of ulimit -v, {soft / GIB:.1f} GiB", "ulimit -v, for each process")
        )
    smallest = min(found, key=lambda memory: memory.total)
    return min(found)._replace(total=smallest.total, total_bound=smallest.total_bound)


def _number(file: Path) -> int | None:
    try:
        text = file.read_text(encoding="utf-8").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def _limit(folder: Path) -> int | None:
    limits = [_number(folder / name) for name in ("memory.max", "memory.high", "memory.limit_in_bytes")]
    given = [limit for limit in limits if limit is not None and limit < NO_LIMIT]
    return min(given, default=None)


def _in_group(folder: Path) -> Memory:
    limit = _limit(folder)
    assert limit is not None
    used = _number(folder / "memory.current") or _number(folder / "memory.usage_in_bytes") or 0
    left = max(0, limit - max(0, used - _droppable(folder)))
    return Memory(left, limit, f"left of the control group's {limit / GIB:.1f} GiB", "all of the control group's limit")


def _droppable(folder: Path) -> int:
    """Bytes of files that nobody has touched lately, which the kernel drops when the group needs room."""
    try:
        lines = (folder / "memory.stat").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    numbers = dict(line.split() for line in lines)
    return int(numbers.get("total_inactive_file", numbers.get("inactive_file", 0)))
