"""What the run's Ray actors ask for, so that none of them waits forever.

Ray's CPUs are tickets, not cores: verl and TransferQueue ask for a fixed number of them whatever the machine has, and an
actor without a ticket waits without a word. A Ray that this process starts gets as many tickets as the run needs; a
cluster that is already there is asked how many it has.
"""

import os
from collections.abc import Mapping
from typing import Any

from omegaconf import OmegaConf

CPUS_PER_RANK = 3
"""What verl's ResourcePoolManager reserves for the workers that share a device (``max_colocate_count``)."""
CONTROLLER_CPUS = 1
"""TransferQueue's controller."""
STARTING_CPUS = 1
"""An actor that asks for nothing needs one while it is placed and none when it runs."""
STORAGE = "transfer_queue.backend.SimpleStorage.num_data_storage_units"


def num_ranks(config: Any) -> int:
    """Devices of all nodes, those of a reward model or a teacher with nodes of its own included."""
    pools = [config.trainer]
    if config.reward.reward_model.enable_resource_pool:
        pools.append(config.reward.reward_model)
    if config.get("distillation") is not None and config.distillation.enabled:
        pools.append(config.distillation)
    return sum(int(pool.n_gpus_per_node) * int(pool.nnodes) for pool in pools)


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


def check_cluster(config: Any, resources: Mapping[str, float], device_resource: str = "GPU") -> None:
    """A Ray cluster that is already running has what the run asks for.

    Args:
        resources: ``ray.cluster_resources()``.
        device_resource: Ray's name for the devices: GPU, or NPU.

    Raises:
        RuntimeError: Some actors would wait forever.
    """
    for resource, needed, option in (
        (device_resource, num_ranks(config), "--num-gpus" if device_resource == "GPU" else "--resources"),
        ("CPU", cpus_needed(config), "--num-cpus"),
    ):
        available = resources.get(resource, 0)
        if available < needed:
            raise RuntimeError(
                f"The Ray cluster {cluster_of(config)} has {available:g} {resource}s, and this run asks for {needed}; it would "
                f"wait forever. Add nodes, start them with a larger ray start {option} (Ray's CPUs are tickets, not cores), or ask for "
                "less: trainer.nnodes, trainer.n_gpus_per_node."
            )
