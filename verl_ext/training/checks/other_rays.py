"""Rays beside the one that a run starts: left by ended runs, in use by others, or the cluster that the run joins."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from verl_ext.host import own_address, ray_processes
from verl_ext.host.finding import Finding, fail, first_of, ok, warn
from verl_ext.host.free_memory import GIB
from verl_ext.training.resources import cluster_of

RAY, ADDRESSES = "Ray", "addresses"
OPTION = "+ray_kwargs.ray_init.address"
OWN_RAY = f"{OPTION}=local gives the run a Ray of its own"
MANY = GIB
"""Bytes of what ended sessions have left."""


def rays(
    config: Any,
    instances: Sequence[ray_processes.RayInstance] | None = None,
    folder: Path | None = None,
) -> Finding:
    """Whether other Rays of this user are there, and what ended ones have left; none of it is touched.

    Args:
        config: A run that joins a cluster expects one; None where no run is meant.
        instances: What is there.
        folder: Where sessions are.
    """
    found = ray_processes.instances() if instances is None else instances
    folder = ray_processes.temporary_folder() if folder is None else folder
    joins_or_starts_own = config is not None and _names_one(config)
    if not joins_or_starts_own and ray_processes.started_cluster(folder) is not None:
        return _cluster_of_ray_start(folder)
    left = [one for one in found if one.owner is None]
    if left and not joins_or_starts_own:
        return _left(left)
    ended = ray_processes.ended_sessions(folder, [one.session for one in found])
    size = ray_processes.size_of(ended)
    if size > MANY:
        text = f"{len(ended)} sessions of ended runs take {size / GIB:.1f} GiB in {folder}"
        return warn(RAY, text, f"Delete them: {first_of(ended)}.")
    num_used = len(found) - len(left)
    return ok(RAY, "none left by ended runs" + (f"; {num_used} in use by others" if num_used else ""))


def _names_one(config: Any) -> bool:
    return cluster_of(config) is not None or config.ray_kwargs.ray_init.get("address") == "local"


def _cluster_of_ray_start(folder: Path) -> Finding:
    """Without an address Ray joins what this file names, and refuses the CPUs that the launcher gives it."""
    address = ray_processes.started_cluster(folder)
    return fail(
        RAY,
        f"ray start has left the address {address} in {folder / ray_processes.CURRENT}, which Ray would join, or wait for if "
        "it has ended",
        f"RAY_ADDRESS=auto joins it, {OWN_RAY}, and ray stop ends it.",
    )


def _left(left: Sequence[ray_processes.RayInstance]) -> Finding:
    pids = " ".join(str(pid) for one in left for pid in one.processes)
    return warn(
        RAY,
        f"the process that started {first_of([one.session for one in left])} has ended, and its Ray has not (processes {pids}): "
        "it holds memory and ports",
        f"kill {pids}. (ray stop --force ends every Ray of yours, also those in use.)",
    )


def addresses(config: Any, own: Callable[[], str] = own_address.own_address) -> Finding:
    """Whether processes of this machine can reach each other, and the cluster that the run joins."""
    cluster = None if config is None else cluster_of(config)
    if cluster is not None:
        return _cluster(cluster)
    address = own()
    try:
        own_address.reach_itself(address)
    except OSError as error:
        return fail(
            ADDRESSES,
            f"a port of this machine's own address {address} cannot be reached from here ({error}): Ray would wait for ever",
            f"A firewall or a VPN is the usual cause. +ray_kwargs.ray_init._node_ip_address={own_address.LOOPBACK} lets Ray use "
            "another.",
        )
    return ok(ADDRESSES, f"a free port of {address} can be reached")


def _cluster(cluster: str) -> Finding:
    host, _, port = cluster.rpartition("://")[2].rpartition(":")
    if not host or not port.isdigit():
        return ok(ADDRESSES, f"the run joins the Ray cluster {cluster}")
    try:
        own_address.reach(host, int(port))
    except OSError as error:
        return fail(
            ADDRESSES,
            f"the Ray cluster {cluster} does not answer ({error})",
            f"Start it (ray start --head), correct {OPTION} or RAY_ADDRESS; without either the run starts a Ray of its own.",
        )
    return ok(ADDRESSES, f"the Ray cluster {cluster} answers")
