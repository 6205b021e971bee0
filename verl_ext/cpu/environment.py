"""A process that uses vLLM on a CPU, for programs that do not go through the launcher."""

import os
from types import ModuleType

from wrapt import when_imported

from verl_ext.host.accelerators import num_accelerators
from verl_ext.host.vllm_on_cpu import VLLM_ON_CPU


def use_cpu_where_there_is_no_accelerator() -> bool:
    """Set what vLLM needs before it is imported, and return whether this is a CPU run. The caller's values stay."""
    if num_accelerators():
        return False
    for name, value in VLLM_ON_CPU.items():
        os.environ.setdefault(name, value)
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("OMP_NUM_THREADS", str(os.cpu_count() or 1))
    from verl_ext.patches import answer_for_the_vllm_distribution

    answer_for_the_vllm_distribution()
    draw_tokens_on_cpu()
    use_vllms_kernels()
    return True


def draw_tokens_on_cpu() -> None:
    """Let vLLM, once it is imported, draw tokens as ``verl_ext.cpu.token_draw`` does."""

    @when_imported("vllm.v1.sample.ops.topk_topp_sampler")
    def _draw(topk_topp_sampler: ModuleType) -> None:
        from verl_ext.cpu.token_draw import forward_cpu
        from verl_ext.patches import draw_tokens_with_one_number

        draw_tokens_with_one_number(topk_topp_sampler, forward_cpu)


def use_vllms_kernels() -> None:
    """Offer vLLM, once it is imported, the kernels of ``verl_ext.cpu.vllm_kernels``."""

    @when_imported("vllm.ir.ops.layernorm")
    def _offer(layernorm: ModuleType) -> None:
        from verl_ext.cpu.vllm_kernels import offer_norms

        offer_norms(layernorm)

    @when_imported("vllm.model_executor.layers.activation")
    def _replace(activation: ModuleType) -> None:
        from verl_ext.cpu.vllm_kernels import replace_activation

        replace_activation(activation)
