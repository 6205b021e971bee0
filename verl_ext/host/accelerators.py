"""The accelerators that this process may use, found without importing torch (which takes seconds)."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path("/")


class Vendor(NamedTuple):
    """Where a driver lists its devices, and the variables that hide some of them."""

    files: str
    """Pattern of what the driver makes for each device, below the root of the file system."""
    variables: tuple[str, ...]
    verl_name: str
    """``trainer.device``."""


VENDORS = (
    Vendor("dev/nvidia[0-9]*", ("CUDA_VISIBLE_DEVICES",), "cuda"),
    # A node of AMD's list is a GPU when it has an id; processors are listed with 0.
    Vendor(
        "sys/class/kfd/kfd/topology/nodes/*/gpu_id",
        ("ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES"),
        "cuda",
    ),
    Vendor("dev/davinci[0-9]*", ("ASCEND_RT_VISIBLE_DEVICES",), "npu"),
)


def _num_named(value: str, num_devices: int) -> int:
    """How many of ``num_devices`` a variable like ``CUDA_VISIBLE_DEVICES=0,1`` leaves visible.

    The drivers read entries up to the first that names no device (``0,-1,1`` is one device). A name like ``GPU-5f0e…``
    cannot be looked up without the driver and counts. A device that is cut into parts has one ``MIG-…`` name for each.
    """
    found: set[str] = set()
    for entry in (entry.strip() for entry in value.split(",")):
        if not (entry.isdigit() and int(entry) < num_devices) and not entry.startswith(("GPU-", "MIG-")):
            break
        found.add(entry)
    is_in_parts = any(entry.startswith("MIG-") for entry in found)
    return len(found) if is_in_parts else min(len(found), num_devices)


def _is_device(path: Path) -> bool:
    return path.name != "gpu_id" or path.read_text().strip() not in ("", "0")


def visible_accelerators(environment: Mapping[str, str] | None = None, root: Path = ROOT) -> dict[str, int]:
    """``trainer.device`` -> how many of them this process may use: the machine's, less what the usual variables hide.

    Args:
        environment: Variables, default those of this process.
        root: Where ``dev`` and ``sys`` are.
    """
    variables = os.environ if environment is None else environment
    found: dict[str, int] = {}
    for vendor in VENDORS:
        num_devices = sum(_is_device(path) for path in root.glob(vendor.files))
        if num_devices:
            named = [_num_named(variables[name], num_devices) for name in vendor.variables if name in variables]
            found[vendor.verl_name] = found.get(vendor.verl_name, 0) + min(named, default=num_devices)
    return {name: number for name, number in found.items() if number}


def num_accelerators(environment: Mapping[str, str] | None = None, root: Path = ROOT) -> int:
    """How many accelerators of any kind this process may use; arguments as of ``visible_accelerators``."""
    return sum(visible_accelerators(environment, root).values())
