"""How many processor cores this process may use."""

import os
from collections.abc import Iterator
from pathlib import Path

from verl_ext.host.control_groups import CGROUPS, OWN, groups_of


def usable_cores(cgroups: Path = CGROUPS, own: Path = OWN) -> int:
    """The cores of the machine, less those that affinity or a quota (``docker run --cpus``, Slurm) withhold; >= 1."""
    cores = len(os.sched_getaffinity(0))
    return max(1, min([cores, *_quotas(cgroups, own)]))


def _quotas(cgroups: Path, own: Path) -> Iterator[int]:
    """Whole cores that each control group leaves, where it has a limit."""
    for folder in groups_of("cpu", cgroups, own):
        both = _words(folder / "cpu.max") or [
            *_words(folder / "cpu.cfs_quota_us"),
            *_words(folder / "cpu.cfs_period_us"),
        ]
        if len(both) == 2 and both[0].isdigit():  # "max", or -1 in version 1, is none
            yield int(both[0]) // int(both[1])


def _words(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").split()
    except OSError:
        return []
