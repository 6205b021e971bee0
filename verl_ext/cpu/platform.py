"""The CPU as a verl platform: ``VERL_PLATFORM=cpu`` selects it.

verl 0.9.1 knows CUDA, ROCm and Ascend. It reaches every device through ``PlatformBase`` and through a
``torch.cuda``-like module, so a CPU needs one of each and no change to the trainer. Ray hands out logical GPUs
(``ray_kwargs.ray_init.num_gpus``), which is how the placement groups keep their meaning: one logical GPU is one rank.
"""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
import torch
from verl.plugin.platform import PlatformBase, PlatformRegistry

from verl_ext.cpu.preloaded import ld_preload
from verl_ext.host.heap import give_back
from verl_ext.host.vllm_on_cpu import KV_CACHE_VARIABLE, VLLM_ON_CPU

CPU = torch.device("cpu")
STATUS, CLEAR_REFS, RESET_PEAK = Path("/proc/self/status"), Path("/proc/self/clear_refs"), "5"


class _NoEvent:
    """Stands for ``torch.cuda.Event``: work on a CPU is done when the call returns."""

    def __init__(self, *_args: Any, **_kwargs: Any) -> None: ...

    def record(self, *_args: Any) -> None: ...

    def wait(self, *_args: Any) -> None: ...

    def synchronize(self) -> None: ...

    def query(self) -> bool:
        return True


def _resident_bytes(*_args: Any) -> int:
    return int(psutil.Process().memory_info().rss)


def _peak_resident_bytes(*_args: Any) -> int:
    """Since the process began, or since ``_forget_peak``."""
    for line in STATUS.read_text(encoding="utf-8").splitlines() if STATUS.exists() else ():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _forget_peak(*_args: Any) -> None:
    with suppress(OSError):  # not Linux, or a container that does not let a process write there
        CLEAR_REFS.write_text(RESET_PEAK, encoding="utf-8")


def _memory_info(*_args: Any) -> tuple[int, int]:
    memory = psutil.virtual_memory()
    return int(memory.available), int(memory.total)


def _nothing(*_args: Any, **_kwargs: Any) -> None:
    """A device call that has no counterpart on a CPU and none is needed."""


def _cpu_device_module() -> ModuleType:
    """Build what verl uses of ``torch.cuda``, answered for host memory (bytes) and torch's default generator."""
    module = ModuleType("verl_ext.cpu.device")
    members: dict[str, Any] = {
        "is_available": lambda: True,
        "current_device": lambda: CPU,
        "device_count": lambda: 1,
        "get_device_name": lambda *_args: "cpu",
        "get_device_capability": lambda *_args: (None, None),
        "manual_seed": torch.manual_seed,
        "manual_seed_all": torch.manual_seed,
        "get_rng_state": lambda *_args: torch.get_rng_state(),
        "set_rng_state": lambda state, *_args: torch.set_rng_state(state),
        "memory_allocated": _resident_bytes,
        "max_memory_allocated": _peak_resident_bytes,
        "memory_reserved": _resident_bytes,
        "max_memory_reserved": _peak_resident_bytes,
        "reset_peak_memory_stats": _forget_peak,
        "empty_cache": give_back,
        "mem_get_info": _memory_info,
        "current_stream": torch.cpu.current_stream,
        "Stream": torch.cpu.Stream,
        "stream": torch.cpu.stream,
        "Event": _NoEvent,
    }
    members |= dict.fromkeys(("set_device", "synchronize", "ipc_collect"), _nothing)
    members["set_per_process_memory_fraction"] = _nothing
    for name, member in members.items():
        setattr(module, name, member)
    return module


def note_cache(rollout: Any) -> None:
    """Tell the platform whether ``rollout`` (``actor_rollout_ref.rollout``) sizes vLLM's cache by its own option."""
    engine = rollout.engine_kwargs.get("vllm") or {}
    PlatformCPU.has_sized_cache = bool(engine.get("kv_cache_memory_bytes"))


@PlatformRegistry.register(platform="cpu")
class PlatformCPU(PlatformBase):
    """verl's device interface for a host without an accelerator."""

    _device_module = _cpu_device_module()
    has_sized_cache = False
    """vLLM's cache is sized by its own option, over which the variable would win."""

    @property
    def device_name(self) -> str:
        return "cpu"

    @property
    def vendor_name(self) -> str:
        return "cpu"

    @property
    def device_module(self) -> ModuleType:
        return self._device_module

    def is_available(self) -> bool:
        return True

    def is_platform_available(self, use_smi_check: bool = False) -> bool:
        """False, so that auto-detection never picks the CPU: only ``VERL_PLATFORM=cpu`` does."""
        return False

    def current_device(self) -> torch.device:
        """The CPU as a device, since verl passes the answer to ``Tensor.to`` and an index would mean a GPU."""
        return CPU

    def device_count(self) -> int:
        return 1

    def set_device(self, device_index: int) -> None: ...

    def synchronize(self, device_index: int | None = None) -> None: ...

    def manual_seed(self, seed: int) -> None:
        torch.manual_seed(seed)

    def manual_seed_all(self, seed: int) -> None:
        torch.manual_seed(seed)

    def set_allocator_settings(self, settings: str) -> None: ...

    def empty_cache(self) -> None:
        give_back()

    def get_device_capability(self, device_index: int = 0) -> tuple[int | None, int | None]:
        return None, None

    def communication_backend_name(self) -> str:
        return "gloo"

    def visible_devices_envvar(self) -> str:
        # Ray writes the logical GPU ids here; with no CUDA in the process nothing else reads them.
        return "CUDA_VISIBLE_DEVICES"

    @contextmanager
    def nvtx_range(self, msg: str) -> Iterator[None]:
        yield

    def profiler_start(self) -> None: ...

    def profiler_stop(self) -> None: ...

    def ray_resource_name(self) -> str:
        return "GPU"

    def ray_noset_envvars(self) -> list[str]:
        return ["RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES"]

    def is_ipc_supported(self) -> bool:
        """False: weights travel to vLLM through POSIX shared memory."""
        return False

    def rollout_env_vars(self) -> dict[str, str]:
        """What the vLLM server and its workers need on a CPU, unless the caller has set it."""
        names = ["VLLM_TARGET_DEVICE"]
        if not self.has_sized_cache or KV_CACHE_VARIABLE in os.environ:
            names.append(KV_CACHE_VARIABLE)
        return {name: os.environ.get(name, VLLM_ON_CPU[name]) for name in names} | {"LD_PRELOAD": ld_preload()}

    def cudart(self) -> None:
        return None
