"""What the run's Ray actors ask for, so that none of them waits forever.

Ray's CPUs are tickets, not cores: verl and TransferQueue ask for a fixed number of them whatever the machine has, and an
actor without a ticket waits without a word. A Ray that this process starts gets as many tickets as the run needs; a
cluster that is already there is asked how many it has, and on which nodes: verl wants those of a node's devices together.
"""

import os
from bisect import bisect_left, insort
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from omegaconf import OmegaConf

from verl_ext.host.finding import first_of

CPUS_PER_RANK = 3
"""What verl's ResourcePoolManager reserves for the workers that share a device (``max_colocate_count``)."""
CONTROLLER_CPUS = 1
"""TransferQueue's controller."""
STARTING_CPUS = 1
"""An actor that asks for nothing needs one while it is placed and none when it runs."""
STORAGE = "transfer_queue.backend.SimpleStorage.num_data_storage_units"


class Pool(NamedTuple):
    """Devices that verl asks for together: on each node one placement group, all of which has to be there."""

    num_nodes: int
    num_devices: int
    """On each of them."""


def pools(config: Any) -> list[Pool]:
    """Those of the trainer, and of a reward model or a teacher with nodes of its own."""
    sections = [config.trainer]
    if config.reward.reward_model.enable_resource_pool:
        sections.append(config.reward.reward_model)
    if config.get("distillation") is not None and config.distillation.enabled:
        sections.append(config.distillation)
    return [Pool(int(section.nnodes), int(section.n_gpus_per_node)) for section in sections]


def num_ranks(config: Any) -> int:
    """Devices of all nodes and pools."""
    return sum(pool.num_nodes * pool.num_devices for pool in pools(config))


def cpus_needed(config: Any) -> int:
    """Ray's CPUs that the actors of the run hold at the same time, on all nodes together."""
    num_storage_units = int(OmegaConf.select(config, STORAGE))
    return num_ranks(config) * CPUS_PER_RANK + num_storage_units + CONTROLLER_CPUS + STARTING_CPUS


def cluster_of(config: Any) -> str | None:
    """The address of the Ray cluster that the run joins, as it was given; None when it starts its own."""
    address = config.ray_kwargs.ray_init.get("address") or os.environ.get("RAY_ADDRESS")
    return str(address) if address and address != "local" else None


def check_cpus(config: Any) -> None:
    """A number of CPUs that was given is enough.

    Raises:
        ValueError: Some actors would wait forever.
    """
    given, needed = config.ray_kwargs.ray_init.num_cpus, cpus_needed(config)
    if given is not None and given < needed:
        raise ValueError(
            f"ray_kwargs.ray_init.num_cpus={given}, but the actors of this run ask Ray for {needed}: {CPUS_PER_RANK} for "
            f"each of {num_ranks(config)} devices, {OmegaConf.select(config, STORAGE)} for {STORAGE}, and 2. They would wait "
            "forever. Ray's CPUs are tickets, not cores: leave the option out, and Ray gets as many as are needed."
        )


def ray_init_options(config: Any) -> dict[str, Any]:
    """What ``ray.init`` is given, ``runtime_env`` left out: CPUs for every actor, unless it joins a cluster."""
    options: dict[str, Any] = OmegaConf.to_container(config.ray_kwargs.ray_init, resolve=True)  # type: ignore[assignment]
    del options["runtime_env"]
    if cluster_of(config) is not None:
        # A cluster has what its nodes were started with; ray.init refuses both.
        options.pop("num_cpus", None)
        options.pop("num_gpus", None)
    elif options.get("num_cpus") is None:
        options["num_cpus"] = max(os.cpu_count() or 1, cpus_needed(config))
    return options


def check_cluster(config: Any, nodes: Sequence[Mapping[str, Any]], device_resource: str = "GPU") -> None:
    """A Ray cluster that is already running has what the run asks for.

    Args:
        nodes: ``ray.nodes()``.
        device_resource: Ray's name for the devices: GPU, or NPU.

    Raises:
        RuntimeError: Some actors would wait forever.
    """
    rooms = [(node["NodeManagerAddress"], node["Resources"]) for node in nodes if node["Alive"]]
    device_option = "--num-gpus" if device_resource == "GPU" else "--resources"
    for resource, needed, option in (
        (device_resource, num_ranks(config), device_option),
        ("CPU", cpus_needed(config), "--num-cpus"),
    ):
        available = sum(room.get(resource, 0) for _, room in rooms)
        if available < needed:
            raise RuntimeError(
                f"The Ray cluster {cluster_of(config)} has {available:g} {resource}s, and this run asks for {needed}; it would "
                f"wait forever. Add nodes, start them with a larger ray start {option} (Ray's CPUs are tickets, not cores), or ask for "
                "less: trainer.nnodes, trainer.n_gpus_per_node."
            )
    groups = [pool.num_devices for pool in pools(config) for _ in range(pool.num_nodes)]
    if not fit(groups, [_most_ranks(room, device_resource) for _, room in rooms]):
        asked = ", ".join(
            f"{pool.num_nodes} x {pool.num_devices} {device_resource}s with {pool.num_devices * CPUS_PER_RANK} CPUs"
            for pool in pools(config)
        )
        has = [
            f"{name} {room.get(device_resource, 0):g} {device_resource}s and {room.get('CPU', 0):g} CPUs"
            for name, room in rooms
        ]
        raise RuntimeError(
            f"The nodes of the Ray cluster {cluster_of(config)} have {first_of(has)}, and this run asks for {asked}, each of them on "
            f"one node; it would wait forever. Start the nodes with as much (ray start {device_option}, --num-cpus; Ray's CPUs are "
            "tickets, not cores), or ask for less: trainer.nnodes, trainer.n_gpus_per_node."
        )


def _most_ranks(room: Mapping[str, float], device_resource: str) -> int:
    """How many ranks a node has devices and CPUs for."""
    return int(min(room.get(device_resource, 0), room.get("CPU", 0) // CPUS_PER_RANK))


def fit(groups: Sequence[int], rooms: Sequence[int]) -> bool:
    """Whether every group has a place where all of it is, put as Ray does: where the least is left over; the largest first here."""
    left = sorted(rooms)
    for group in sorted(groups, reverse=True):
        place = bisect_left(left, group)
        if place == len(left):
            return False
        insort(left, left.pop(place) - group)
    return True
