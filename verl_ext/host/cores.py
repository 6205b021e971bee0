"""How many processor cores this process may use."""

import os
from pathlib import Path

QUOTA = Path("/sys/fs/cgroup/cpu.max")


def usable_cores() -> int:
    """The cores of the machine, less those that affinity or a container's quota (``docker run --cpus``) withhold; >= 1."""
    cores = len(os.sched_getaffinity(0))
    quota, period = (QUOTA.read_text().split() if QUOTA.is_file() else ["max", "1"])[:2]
    if quota != "max":
        cores = min(cores, int(quota) // int(period))
    return max(1, cores)
