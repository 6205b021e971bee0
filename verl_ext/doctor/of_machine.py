"""What the doctor looks at on a machine, whatever is to run there."""

import os
from collections.abc import Callable
from typing import Any

from verl_ext.doctor.examination import Examination
from verl_ext.host.accelerator_memory import Accelerator, accelerators
from verl_ext.host.accelerators import num_accelerators, visible_accelerators
from verl_ext.host.cores import usable_cores
from verl_ext.host.finding import Finding, fail, ok, warn
from verl_ext.host.free_memory import GIB, Memory, read_memory
from verl_ext.training.checks import other_rays, surroundings
from verl_ext.training.checks.machine import check_launcher
from verl_ext.training.resources import cluster_of, cpus_needed, ray_init_options

ACCELERATOR, CORES, MEMORY = "accelerator", "cores", "machine's memory"
IN_USE = 0.05
"""Of an accelerator's memory: more than its driver takes."""
LEAST_MEMORY, ENOUGH_MEMORY = 2 * GIB, 4 * GIB
"""A run of the smallest model on a CPU has a peak of 1.8 GiB, and with processes of their own one of 3.4 (docs/cpu.md)."""


def examine_machine(examination: Examination, config: Any) -> None:
    """Everything that no run is needed for.

    Args:
        examination: Takes the findings.
        config: Of the run, where one is meant: it decides how much shared memory is enough, and whether it joins a cluster.
    """
    examination.make(surroundings.VERSIONS, surroundings.versions)
    examination.make(ACCELERATOR, accelerator)
    examination.make(CORES, lambda: cores(config))
    examination.make(MEMORY, machine_memory)
    examination.make(surroundings.SHARED_MEMORY, lambda: surroundings.shared_memory(config))
    examination.make(surroundings.TEMPORARY, surroundings.temporary_files)
    examination.make(other_rays.RAY, lambda: other_rays.rays(config))
    examination.make(other_rays.ADDRESSES, lambda: other_rays.addresses(config))
    examination.make(surroundings.VARIABLES, _variables)


def _variables() -> Finding:
    check_launcher()
    return surroundings.variables()


def accelerator(look: Callable[[], list[Accelerator]] = accelerators) -> Finding:
    """Which accelerators a run would get, and whether others use them."""
    visible = visible_accelerators()
    if not visible:
        return ok(ACCELERATOR, "none visible: device=cpu is the default")
    text = ", ".join(f"{number} of {device}" for device, number in visible.items()) + " visible"
    if "cuda" not in visible:
        return ok(ACCELERATOR, text)
    try:
        found = look()
    except OSError as error:
        return warn(ACCELERATOR, f"{text}, and {error}", "Without nvidia-smi their memory is not known.")
    names = ", ".join(sorted({f"{one.name}, {one.total / GIB:.0f} GiB" for one in found}))
    in_use = [one for one in found if one.used > IN_USE * one.total]
    if in_use:
        busy = ", ".join(f"{one.number} ({one.used / GIB:.1f} GiB)" for one in in_use)
        return warn(
            ACCELERATOR,
            f"{text}: {names}; in use: {busy}",
            "vLLM needs its share free at the start: wait, or leave them out with CUDA_VISIBLE_DEVICES.",
        )
    return ok(ACCELERATOR, f"{text}: {names}")


def cores(config: Any, usable: int | None = None, total: int | None = None) -> Finding:
    """How many cores this process may use, and how many of Ray's CPUs a run is given."""
    usable = usable_cores() if usable is None else usable
    total = (os.cpu_count() or 1) if total is None else total
    text = f"{usable} of {total} may be used" + (" (affinity or a control group's quota)" if usable < total else "")
    if config is not None and cluster_of(config) is None:
        given = ray_init_options(config)["num_cpus"]
        text += f"; Ray is given {given} CPUs, tickets for its actors, of which the run's ask for {cpus_needed(config)}"
    if usable < 2:
        return warn(CORES, text, "Everything of a run takes turns on it: give the container a second core.")
    return ok(CORES, text)


def machine_memory(memory: Memory | None = None) -> Finding:
    """What is free, under every limit."""
    memory = read_memory() if memory is None else memory
    text = f"{memory.available / GIB:.1f} GiB {memory.bound}, of {memory.total / GIB:.1f} ({memory.total_bound})"
    if memory.total < LEAST_MEMORY:
        return fail(
            MEMORY, text, f"A run needs {LEAST_MEMORY / GIB:.0f} GiB, also with the smallest model: raise the limit."
        )
    if memory.available < ENOUGH_MEMORY:
        return warn(MEMORY, text, "Wait until others have ended: a process of the run may be killed.")
    return ok(MEMORY, text)


def memory_of_accelerators(look: Callable[[], list[Accelerator]] = accelerators) -> Accelerator | None:
    """The visible accelerator with the least memory; None where there is none, or nobody says."""
    if not num_accelerators():
        return None
    try:
        return min(look(), key=lambda one: one.total, default=None)
    except OSError:
        return None
