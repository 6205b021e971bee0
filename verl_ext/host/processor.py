"""What the processor is called, for the record of a result."""

import platform
from pathlib import Path

CPU_INFO = Path("/proc/cpuinfo")


def processor_name(listing: Path = CPU_INFO) -> str:
    """The model of the first core, such as AMD EPYC; where the system does not list it, the architecture."""
    if listing.is_file():
        for line in listing.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name" and value.strip():
                return value.strip()
    return platform.processor() or platform.machine()
