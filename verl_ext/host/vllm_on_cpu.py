"""Environment variables of the processes that run verl and vLLM on a CPU."""

CPU_PLATFORM = {
    # Selects the platform of verl_ext.cpu, and vLLM's
    "VERL_PLATFORM": "cpu",
    "VLLM_TARGET_DEVICE": "cpu",
    # Processes share the cores: bound to them, the threads of all would wait for the same one
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
}
"""Without these nothing runs."""

KV_CACHE_VARIABLE = "VLLM_CPU_KVCACHE_SPACE"
"""GiB of host memory for the keys and values of one engine."""
VLLM_ON_CPU = CPU_PLATFORM | {
    KV_CACHE_VARIABLE: "1",
    # Without this vLLM's CPU platform puts the worker in a process of its own, to bind its threads
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    # vLLM compiles its sampler at the first token, which a small vocabulary never pays back
    "TORCHDYNAMO_DISABLE": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
"""Also what suits small models: of training (``device=cpu``) and of evaluation."""

BLOCK_SIZE = 32
"""Tokens that vLLM's cache hands out at one time; by default 128 on a CPU. A prompt is computed once for its samples in whole
blocks alone, and vLLM's CPU kernels want a multiple of 32."""
KERNELS = "cpu_kernels"
"""The name of the implementations of ``verl_ext.cpu.vllm_kernels``."""
ENGINE = {
    "block_size": BLOCK_SIZE,
    "kernel_config": {"ir_op_priority": {"rms_norm": [KERNELS], "fused_add_rms_norm": [KERNELS]}},
}
"""vLLM's options that suit a CPU, of training (``device/cpu.yaml`` spells them out) and of evaluation."""

TOKEN_DRAW = "one number a token"
"""How vLLM makes a sample of a seed here (``verl_ext.cpu.token_draw``): what an evaluation's side file remembers."""


def register_variables() -> None:
    """Let a configuration name these variables as hydra's ``variables: vllm_on_cpu``, as ``device/cpu.yaml`` does."""
    from hydra.core.config_store import ConfigStore

    ConfigStore.instance().store(group="variables", name="vllm_on_cpu", node=dict(VLLM_ON_CPU))
