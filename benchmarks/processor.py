"""What a benchmark ran on."""

import json
import os
import platform
import subprocess
from collections.abc import Iterator
from typing import Any

from verl_ext.host.cores import usable_cores


def hardware() -> dict[str, Any]:
    """The processor as ``lscpu`` describes it, its flags as a list, the cores that this process may use, and the memory."""
    listed = subprocess.run(
        ["lscpu", "--json"], check=True, capture_output=True, text=True, env=os.environ | {"LC_ALL": "C"}
    )
    fields = dict(_flattened(json.loads(listed.stdout)["lscpu"]))
    return {
        "processor": fields["Model name"],
        "flags": fields["Flags"].split(),
        "cores": usable_cores(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "platform": platform.platform(),
    }


def _flattened(entries: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """The fields at every depth: newer versions of lscpu put some below others."""
    for entry in entries:
        yield entry["field"].rstrip(":"), entry["data"] or ""
        yield from _flattened(entry.get("children", []))
