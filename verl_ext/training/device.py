"""Which device a run is for: what the caller asked for, else what the machine has."""

import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from verl_ext.host.accelerators import num_accelerators, visible_accelerators


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
