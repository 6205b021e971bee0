"""vLLM's own CPU kernels for what its models leave to PyTorch.

For RMSNorm and the gated SiLU vLLM counts on torch.compile, which fuses what is written in single operations. Without it, as
here (compiling takes longer than a short run), a norm goes through memory seven times. The CPU build has kernels for both.
vLLM takes implementations from outside for its operations, and layers in place of its own; a norm's implementation is used
where ``kernel_config.ir_op_priority`` names it (``verl_ext.host.vllm_on_cpu.ENGINE``).
"""

from types import ModuleType
from typing import Any

import torch

from verl_ext.host.vllm_on_cpu import KERNELS

LANES = 32
"""The kernels take a multiple of as many numbers as are in a vector register; this is one on every processor."""


def _takes(weight: torch.Tensor | None, variance_size: int | None, *inputs: torch.Tensor) -> bool:
    """What the kernels are written for."""
    return (
        variance_size is None
        and weight is not None
        and len(weight) % LANES == 0
        and all(tensor.is_contiguous() and tensor.dtype == weight.dtype for tensor in inputs)
    )


def _takes_one(x: torch.Tensor, weight: torch.Tensor | None, epsilon: float, variance_size: int | None = None) -> bool:
    return _takes(weight, variance_size, x)


def _takes_two(
    x: torch.Tensor,
    x_residual: torch.Tensor,
    weight: torch.Tensor | None,
    epsilon: float,
    variance_size: int | None = None,
) -> bool:
    return _takes(weight, variance_size, x, x_residual)


def _rms_norm(
    x: torch.Tensor, weight: torch.Tensor | None, epsilon: float, variance_size: int | None = None
) -> torch.Tensor:
    normed = torch.empty_like(x)
    torch.ops._C.rms_norm(normed, x, weight, epsilon)
    return normed


def _add_and_rms_norm(
    x: torch.Tensor,
    x_residual: torch.Tensor,
    weight: torch.Tensor | None,
    epsilon: float,
    variance_size: int | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Writes over both, as vLLM's caller allows."""
    torch.ops._C.fused_add_rms_norm(x, x_residual, weight, epsilon)
    return x, x_residual


def offer_norms(layernorm: Any) -> None:
    """Make the kernels known to ``vllm.ir.ops.layernorm`` under the name ``KERNELS``."""
    layernorm.rms_norm.register_impl(KERNELS, supports_args=_takes_one)(_rms_norm)
    layernorm.fused_add_rms_norm.register_impl(KERNELS, supports_args=_takes_two, inplace=True)(_add_and_rms_norm)


def replace_activation(activation: ModuleType) -> None:
    """Let ``vllm.model_executor.layers.activation.SiluAndMul`` run by its kernel."""

    class SiluAndMulByKernel(activation.SiluAndMul):  # type: ignore[name-defined]
        def forward_cpu(self, x: torch.Tensor) -> torch.Tensor:
            is_for_kernel = x.shape[-1] % (2 * LANES) == 0
            # What is called cuda's runs the kernel of the platform.
            gated: torch.Tensor = self.forward_cuda(x) if is_for_kernel else super().forward_cpu(x)
            return gated

    activation.SiluAndMul.register_oot(SiluAndMulByKernel, name="SiluAndMul")
