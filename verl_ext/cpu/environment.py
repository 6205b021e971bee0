"""Environment variables of a process that uses vLLM on a CPU, for programs that do not go through the launcher."""

import os

from verl_ext.host.accelerators import num_accelerators

VLLM_ON_CPU = {
    "VERL_PLATFORM": "cpu",
    "VLLM_TARGET_DEVICE": "cpu",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "TOKENIZERS_PARALLELISM": "false",
    # vLLM compiles its sampler at the first token, which a small vocabulary never pays back.
    "TORCHDYNAMO_DISABLE": "1",
}


def use_cpu_where_there_is_no_accelerator() -> bool:
    """Set what vLLM needs before it is imported, and return whether this is a CPU run. The caller's values stay."""
    if num_accelerators():
        return False
    for name, value in VLLM_ON_CPU.items():
        os.environ.setdefault(name, value)
    os.environ.setdefault("OMP_NUM_THREADS", str(os.cpu_count() or 1))
    from verl_ext.patches import answer_for_the_vllm_distribution

    answer_for_the_vllm_distribution()
    return True
