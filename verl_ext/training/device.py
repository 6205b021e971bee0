"""Which device a run is for and how many of them it may use, found without importing torch (which takes seconds)."""

import os
from collections.abc import Mapping, Sequence
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


def cluster_address(overrides: Sequence[str]) -> str | None:
    """The Ray cluster that a run joins, named as it was given, or None when it starts its own."""
    for override in reversed(overrides):
        name, _, value = override.lstrip("+").partition("=")
        if name == "ray_kwargs.ray_init.address" and value not in ("", "null", "local"):
            return f"{name}={value}"
    address = os.environ.get("RAY_ADDRESS")
    return f"RAY_ADDRESS={address}" if address and address != "local" else None


def chosen_device(overrides: Sequence[str]) -> str | None:
    """The value of a ``device=`` override, or None when the caller left the choice to us."""
    for override in reversed(overrides):
        name, _, value = override.partition("=")
        if name == "device":
            return value
    return None


class Choice(NamedTuple):
    device: str
    reason: str


def default_device(overrides: Sequence[str], num_visible: int | None = None) -> Choice:
    """``gpu`` where an accelerator is visible or a cluster is joined whose nodes may have some, else ``cpu``."""
    num_visible = num_accelerators() if num_visible is None else num_visible
    if num_visible:
        return Choice("gpu", f"{num_visible} accelerator{'s' * (num_visible != 1)} visible")
    address = cluster_address(overrides)
    if address is not None:
        return Choice("gpu", f"no accelerator here, but {address} names a cluster; device=cpu trains without")
    return Choice("cpu", "no accelerator visible")


def device_defaults(overrides: Sequence[str], device: str, visible: Mapping[str, int] | None = None) -> list[str]:
    """Options that follow from this machine and that the caller did not give: as many ranks as devices are visible.

    A preset names the paper's machine; the launcher lists this with everything else that differs from it. verl's own name
    for Ascend devices is set where there are no others.
    """
    visible = visible_accelerators() if visible is None else visible
    if device != "gpu" or not visible:
        return []
    chosen: dict[str, int | str] = {"trainer.n_gpus_per_node": sum(visible.values())}
    if set(visible) == {"npu"}:
        chosen["trainer.device"] = "npu"
    given = {override.lstrip("+").partition("=")[0] for override in overrides}
    return [f"{option}={value}" for option, value in chosen.items() if option not in given]


if __name__ == "__main__":  # for recipes/common.sh
    print(num_accelerators(), default_device([]).device)
