"""vLLM's kernels compute what it otherwise leaves to PyTorch, and its models run by them."""

import subprocess
import sys

import pytest
from omegaconf import OmegaConf

from verl_ext.host.vllm_on_cpu import ENGINE
from verl_ext.training.configuration import compose_config

SCRIPT = """
from verl_ext.cpu.environment import use_cpu_where_there_is_no_accelerator
assert use_cpu_where_there_is_no_accelerator()
import torch
from vllm.config import KernelConfig, VllmConfig, set_current_vllm_config
from vllm.ir import ops
from vllm.model_executor.layers.activation import SiluAndMul
import vllm._custom_ops  # loads the kernels, as vLLM's models do
from verl_ext.host.vllm_on_cpu import ENGINE, KERNELS

generator = torch.Generator().manual_seed(0)
for dtype, size, tolerance in ((torch.float32, 64, 1e-6), (torch.bfloat16, 576, 2e-2)):
    x, residual = (torch.randn(5, size, generator=generator).to(dtype) for _ in range(2))
    weight = torch.randn(size, generator=generator).to(dtype)
    native, native_residual = ops.fused_add_rms_norm.impls["native"].impl_fn(x, residual, weight, 1e-5)
    alone = ops.rms_norm.impls["native"].impl_fn(x, weight, 1e-5)
    for name, operation, arguments in (("one", ops.rms_norm, (x,)), ("two", ops.fused_add_rms_norm, (x, residual))):
        with operation.set_priority([KERNELS, "native"]):
            assert operation.dispatch(*arguments, weight, 1e-5).provider == KERNELS, name
            # What the kernels are not written for goes to PyTorch as before
            assert operation.dispatch(*arguments, None, 1e-5).provider == "native"
            assert operation.dispatch(*arguments, weight.double(), 1e-5).provider == "native"
            assert operation.dispatch(*(a[:, :7].contiguous() for a in arguments), weight[:7], 1e-5).provider == "native"
            assert operation.dispatch(*(a.T.contiguous().T for a in arguments), weight, 1e-5).provider == "native"
    kernels = ops.rms_norm.impls[KERNELS].impl_fn(x, weight, 1e-5)
    torch.testing.assert_close(kernels, alone, atol=tolerance, rtol=tolerance)
    kernels, kernels_residual = ops.fused_add_rms_norm.impls[KERNELS].impl_fn(x.clone(), residual.clone(), weight, 1e-5)
    torch.testing.assert_close(kernels_residual, native_residual)
    torch.testing.assert_close(kernels, native, atol=tolerance, rtol=tolerance)
    with set_current_vllm_config(VllmConfig()):
        layer = SiluAndMul()
    assert type(layer).__name__ == "SiluAndMulByKernel"
    gated = torch.randn(5, 2 * size, generator=generator).to(dtype)
    for part in (gated, gated[:, :14].contiguous()):
        torch.testing.assert_close(layer(part), SiluAndMul.forward_native(part), atol=tolerance, rtol=tolerance)
assert KernelConfig(**ENGINE["kernel_config"]).ir_op_priority.rms_norm == [KERNELS]
print("as PyTorch")
"""


@pytest.mark.slow
def test_they_compute_what_pytorch_does():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "as PyTorch" in done.stdout


def test_training_and_evaluation_have_the_same_engine():
    config = compose_config([], device="cpu")
    of_training = OmegaConf.to_container(config.actor_rollout_ref.rollout.engine_kwargs.vllm, resolve=True)
    assert {name: of_training[name] for name in ENGINE} == ENGINE
