"""What a run finds around it: package versions, shared memory, temporary folder, other Rays, addresses, variables.

Each function returns a finding. The launcher refuses what fails and prints what is doubtful; ``verl_ext.doctor`` prints all.
"""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from verl_ext.host import ray_processes
from verl_ext.host.disk import nearest_existing
from verl_ext.host.finding import Finding, Level, fail, first_of, ok, warn
from verl_ext.host.free_memory import GIB, read_memory
from verl_ext.host.locked_versions import LOCKS, OtherVersion, canonical, installed_versions, other_versions, read_lock
from verl_ext.host.provenance import PACKAGES
from verl_ext.training.checks.machine import STARTED_BY_TORCHRUN
from verl_ext.training.checks.other_rays import addresses, rays
from verl_ext.training.resources import num_ranks

VERSIONS, SHARED_MEMORY, TEMPORARY, VARIABLES = "versions", "shared memory", "temporary files", "variables"
SHM = Path("/dev/shm")
LEFT_BY_TORCHRUN = ("LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "ROLE_RANK", "MASTER_ADDR", "MASTER_PORT")
OF_VERDICTS = ("latex2sympy2-extended", "antlr4-python3-runtime", "sympy", "mpmath")
DECIDING = frozenset(canonical(name) for name in (*PACKAGES, *OF_VERDICTS))
"""Packages whose version decides whether a run works, or a verdict; another one of the rest is only doubtful."""
MIB = 2**20
NCCL = 64 * MIB
"""What NCCL takes of shared memory for each device, about; Docker's default is as much for all."""
RAYS_SHARE, RAYS_LEAST = 0.3, 10**10
"""Of the memory, for Ray's objects; where shared memory has neither that nor the second, Ray puts them on the disk."""
LEAST_TEMPORARY = 512 * MIB
"""Ray's logs of a session and a checkpoint's small files."""
RAYS_FULL_DISK = 0.95
"""Of a disk that is fuller than this Ray uses nothing."""


def surroundings(config: Any, environment: Mapping[str, str] | None = None) -> list[Finding]:
    """What the launcher looks at before every run, in less than a second; ``environment`` as in ``variables``."""
    return [
        versions(),
        shared_memory(config),
        temporary_files(),
        rays(config),
        addresses(config),
        variables(environment),
    ]


# ---------------------------------------------------------------------- versions


class Lock(NamedTuple):
    name: str
    versions: Mapping[str, str]


def lock_of(installed: Mapping[str, str]) -> Lock | None:
    """The lock of this environment, for accelerators or for a CPU; None where the package was installed without its checkout."""
    flavor = "gpu" if "vllm" in installed and "cpu" not in installed["vllm"] else "cpu"
    path = LOCKS / f"{flavor}.txt"
    return Lock(f"requirements/{path.name}", read_lock(path)) if path.is_file() else None


def versions(installed: Mapping[str, str] | None = None) -> Finding:
    """Whether the packages are the locked ones."""
    installed = _installed() if installed is None else installed
    lock = lock_of(installed)
    if lock is None:
        return ok(VERSIONS, f"{len(installed)} packages, with no lock to compare them with: not a checkout")
    deciding: list[OtherVersion] = []
    others: list[OtherVersion] = []
    for found in other_versions(lock.versions, installed):
        (deciding if found.name in DECIDING else others).append(found)
    if not deciding and not others:
        return ok(VERSIONS, f"{len(lock.versions)} packages as in {lock.name}")
    flag = Path(lock.name).stem
    remedy = f"bash scripts/install.sh --{flag} installs what differs."
    text = f"not as in {lock.name}: {first_of([*deciding, *others])}"
    return (fail if deciding else warn)(VERSIONS, text, remedy)


@cache
def _installed() -> dict[str, str]:
    return installed_versions()


# ---------------------------------------------------------------------- shared memory and temporary files


class Space(NamedTuple):
    """Bytes of a file system."""

    total: int
    free: int


def space_of(path: Path) -> Space:
    """Of the file system that ``path`` is on, or is going to be."""
    usage = shutil.disk_usage(nearest_existing(path.absolute()))
    return Space(usage.total, usage.free)


def shared_memory_needed(config: Any) -> int:
    """Bytes of /dev/shm without which the run of ``config`` stops: a bucket of weights for each rank, or NCCL's."""
    if config is None:
        return 0
    if config.trainer.device != "cpu":
        return num_ranks(config) * NCCL if num_ranks(config) > 1 else 0
    return (
        num_ranks(config)
        * int(config.actor_rollout_ref.rollout.checkpoint_engine.update_weights_bucket_megabytes)
        * MIB
    )


def shared_memory(config: Any, space: Space | None = None, memory: int | None = None) -> Finding:
    """Whether /dev/shm holds what the ranks exchange there, and Ray's objects.

    Args:
        config: None where no run is meant.
        space: Of /dev/shm.
        memory: Bytes of the machine.
    """
    if space is None and not SHM.is_dir():
        return fail(SHARED_MEMORY, f"there is no {SHM}", f"Mount it: mount -t tmpfs -o size=8g tmpfs {SHM}")
    space = space_of(SHM) if space is None else space
    needed = shared_memory_needed(config)
    text = f"{_gib(space.free)} GiB of {_gib(space.total)} free in {SHM}"
    remedy = (
        "In a container: docker run --ipc=host, or --shm-size=8g; elsewhere: mount -o remount,size=8g /dev/shm, and delete "
        "what ended processes have left there."
    )
    if space.free < needed:
        return fail(SHARED_MEMORY, f"{text}, and the run's ranks exchange {_gib(needed)} GiB there", remedy)
    total = read_memory().total if memory is None else memory
    for_ray = min(int(RAYS_SHARE * total), RAYS_LEAST)
    if space.free < for_ray:
        return warn(
            SHARED_MEMORY, f"{text}: Ray puts its objects ({_gib(for_ray)} GiB) on the disk, which is slower", remedy
        )
    return ok(SHARED_MEMORY, text)


def temporary_files(folder: Path | None = None, space: Space | None = None) -> Finding:
    """Whether Ray's sessions and sockets can be made, and have room."""
    folder = ray_processes.temporary_folder() if folder is None else folder
    parent = nearest_existing(folder.absolute())
    remedy = (
        "Name another folder with a short name on a larger disk: RAY_TMPDIR=/var/tmp (Ray's), TMPDIR (all others')."
    )
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        return fail(TEMPORARY, f"{folder} cannot be made: {parent} is no folder that can be written", remedy)
    longest = len(os.fsencode(ray_processes.longest_socket_path(folder)))
    if longest > ray_processes.LONGEST_SOCKET_PATH:
        excess = longest - ray_processes.LONGEST_SOCKET_PATH
        return fail(TEMPORARY, f"{folder} is {excess} bytes too long for the names of Ray's sockets", remedy)
    space = space_of(parent) if space is None else space
    text = f"{_gib(space.free)} GiB of {_gib(space.total)} free in {parent}"
    if space.free < LEAST_TEMPORARY:
        return fail(TEMPORARY, f"{text}, of which Ray and others need {_gib(LEAST_TEMPORARY)}", remedy)
    if space.free < (1 - RAYS_FULL_DISK) * space.total:
        return warn(TEMPORARY, f"{text}: of a disk that is fuller than {RAYS_FULL_DISK:.0%} Ray uses nothing", remedy)
    return ok(TEMPORARY, text)


def _gib(number: int) -> str:
    return f"{number / GIB:.1f}" if number >= GIB // 10 else f"{number / GIB:.3f}"


# ---------------------------------------------------------------------- variables


def variables(environment: Mapping[str, str] | None = None) -> Finding:
    """Whether something that started processes for each device has left its variables; ``check_launcher`` refuses the worst.

    ``environment`` is that of this process, or what it was before a learner in it set the same variables.
    """
    values = os.environ if environment is None else environment
    left = [name for name in (*STARTED_BY_TORCHRUN, *LEFT_BY_TORCHRUN) if name in values]
    if not left:
        return ok(VARIABLES, "none of torchrun's are left")
    return warn(
        VARIABLES,
        f"{first_of([f'{name}={values[name]}' for name in left])} of torchrun, which vLLM and workers read",
        f"unset {' '.join(left)}",
    )


def refused(findings: Sequence[Finding]) -> Iterator[str]:
    """What the launcher does not start a run with: all that fails but versions, which somebody may be trying out."""
    yield from (str(one) for one in findings if one.level is Level.FAIL and one.subject != VERSIONS)


def doubtful(findings: Sequence[Finding]) -> Iterator[str]:
    """What it says and goes on."""
    for one in findings:
        if one.level is Level.WARN or (one.level is Level.FAIL and one.subject == VERSIONS):
            yield f"warning: {one}"
