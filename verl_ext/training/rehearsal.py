"""A recipe's GPU configuration on a CPU: everything as on GPUs but the lines of ``device/cpu.yaml`` that are hardware.

``HARDWARE`` is the one list of them: the tests run every recipe with exactly these exchanged, and ``recipes/README.md``
prints it as what no CPU can execute.

    python -m verl_ext.training.rehearsal          the list, as in recipes/README.md
    python -m verl_ext.training.rehearsal --options   the overrides, one a line
"""

import sys
from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, OmegaConf

from verl_ext.host.vllm_on_cpu import VLLM_ON_CPU
from verl_ext.training.configuration import CONFIG_DIR, compose_config

ROLLOUT = "actor_rollout_ref.rollout"
VARIABLES = "ray_kwargs.ray_init.runtime_env.env_vars"

HARDWARE = {
    "trainer.device": "CUDA itself, NCCL between the ranks, pinned memory of what is offloaded, weights by CUDA's IPC",
    f"{ROLLOUT}.tensor_model_parallel_size": "replicas over several devices; that sizes fit is checked",
    f"{ROLLOUT}.enforce_eager": "CUDA graphs",
    f"{ROLLOUT}.free_cache_engine": "vLLM's cache leaves the device while the learner works",
    f"{ROLLOUT}.enable_sleep_mode": "vLLM's weights leave it too",
    f"{ROLLOUT}.engine_kwargs.vllm.worker_extension_cls": "verl's own loading of pushed weights",
    f"{ROLLOUT}.engine_kwargs.vllm.distributed_executor_backend": "vLLM's workers as processes of their own",
    f"{ROLLOUT}.engine_kwargs.vllm.kernel_config": "vLLM's CUDA kernels",
    f"{ROLLOUT}.engine_kwargs.vllm.block_size": "vLLM's cache in blocks of its own choice",
    "ray_kwargs.ray_init.num_gpus": "real devices of Ray's",
    VARIABLES: "vLLM's and verl's platform, and threads",
}
"""Option, or section of options, and what is therefore not executed."""

AS_ON_GPUS = {
    "trainer.n_gpus_per_node": "as many ranks as are asked for",
    "trainer.v1.sampler.poll_interval": "",
    "actor_rollout_ref.model.use_remove_padding": "rows are packed",
    "actor_rollout_ref.model.enable_gradient_checkpointing": "",
    "precision": "",
    "actor_rollout_ref.actor.fsdp_config.dtype": "bfloat16 computes, float32 is kept",
    "actor_rollout_ref.ref.fsdp_config.dtype": "",
    f"{ROLLOUT}.dtype": "bfloat16",
    f"{ROLLOUT}.max_model_len": "",
    f"{ROLLOUT}.engine_kwargs.vllm.kv_cache_memory_bytes": "vLLM's own variable says how much",
    "actor_rollout_ref.actor.ppo_max_token_len_per_gpu": "the preset's",
    "critic.ppo_max_token_len_per_gpu": "",
    f"{ROLLOUT}.agent.agent_loop_manager_class": "verl's agent loop workers",
    "critic.model.use_remove_padding": "",
    "critic.model.enable_gradient_checkpointing": "",
    "critic.fsdp.dtype": "",
}
"""What else ``device/cpu.yaml`` sets for speed or precision and a CPU can run as a GPU does."""

SIZES = {
    f"{ROLLOUT}.agent.num_workers": 1,
    "reward.num_workers": 1,
    "data.dataloader_num_workers": 1,
    "transfer_queue.backend.SimpleStorage.num_data_storage_units": 2,
    f"{ROLLOUT}.checkpoint_engine.update_weights_bucket_megabytes": 64,
    "ray_kwargs.ray_init.include_dashboard": False,
}
"""Numbers of processes and sizes of buffers, smaller than on a GPU machine and not 0."""


PACKED_ROWS = {"actor_rollout_ref.model.override_config.attn_implementation": "packed_sdpa"}
"""What ``auto`` is on a GPU without flash-attn; on a CPU it shares prompts."""


def leaves(section: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every option below ``section`` with its value, interpolations unresolved."""
    for key in section:
        value, option = section._get_node(key), f"{name}.{key}" if name else key
        if isinstance(value, DictConfig) and not value._is_none():
            yield from leaves(value, option)
        else:
            yield option, OmegaConf.to_container(value) if OmegaConf.is_config(value) else value._value()


def _is_below(option: str, name: str) -> bool:
    return option == name or option.startswith(f"{name}.")


def cpu_lines() -> dict[str, Any]:
    """The options of ``device/cpu.yaml``, with the variables that it names by their group."""
    lines = OmegaConf.load(CONFIG_DIR / "device" / "cpu.yaml")
    assert isinstance(lines, DictConfig)
    del lines["defaults"]
    return dict(leaves(lines)) | {f"{VARIABLES}.{name}": value for name, value in VLLM_ON_CPU.items()}


def hardware_lines() -> dict[str, Any]:
    """The options that are exchanged, with their values on a CPU."""
    return {option: value for option, value in cpu_lines().items() if any(_is_below(option, name) for name in HARDWARE)}


def _as_written(value: Any) -> str:
    return "'" + value.replace("'", "\\'") + "'" if isinstance(value, str) else str(value)


def options() -> list[str]:
    """Overrides that make ``device=gpu`` run on a CPU, in hydra's syntax; the caller's own come after them."""
    exchanged = hardware_lines() | SIZES | PACKED_ROWS
    return [f"++{option}={_as_written(value)}" for option, value in exchanged.items()]


def table() -> str:
    """The lines of ``HARDWARE`` for a reader: each option on a GPU and on a CPU, and what is not executed."""
    on_gpu = compose_config(["preset=qwen2.5-math-7b", "recipe=ppo"], device="gpu")
    lines = ["| option | on GPUs | exchanged for | so no CPU executes |", "|---|---|---|---|"]
    for name, reason in HARDWARE.items():
        below = {option: value for option, value in hardware_lines().items() if _is_below(option, name)}
        is_section = list(below) != [name]
        value = "-" if is_section else OmegaConf.select(on_gpu, name)
        given = ", ".join(option.rpartition(".")[2] for option in below) if is_section else f"`{below[name]}`"
        lines.append(f"| `{name}` | {'-' if value is None else value} | {given} | {reason} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print("\n".join(options()) if "--options" in sys.argv else table())
