"""LoRA by one product is what vLLM computes with a copy of the adapter for each token, and vLLM calls it."""

import importlib.util
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from verl_ext.cpu.one_adapter import operations
from verl_ext.patches import multiply_by_one_adapter


def lora_ops():
    """vLLM's module, by itself: its package imports what a test of a few products does not need."""
    folder = Path(importlib.util.find_spec("vllm").submodule_search_locations[0])
    spec = importlib.util.spec_from_file_location("lora_ops_of_vllm", folder / "lora/ops/torch_ops/lora_ops.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


OF_VLLM, OURS = lora_ops(), lora_ops()
multiply_by_one_adapter(OURS, operations(OURS))


@given(
    adapters=st.lists(st.integers(0, 2), max_size=5) | st.integers(1, 5).map(lambda size: [1] * size),
    has_unit=st.booleans(),
    add=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
    seed=st.integers(0, 99),
)
def test_it_is_what_vllm_computes(adapters, has_unit, add, dtype, seed):
    generator = torch.Generator().manual_seed(seed)
    random = lambda *shape: torch.randn(*shape, generator=generator).to(dtype)  # noqa: E731
    tokens, adapter_T = len(adapters), torch.tensor(adapters, dtype=torch.long)
    a, b = (random(3, 1, *shape) if has_unit else random(3, *shape) for shape in ((2, 6), (7, 2)))
    inputs, outputs, buffer = random(tokens, 6), random(tokens, 10), torch.zeros(tokens, 4)
    found = []
    for module in (OF_VLLM, OURS):
        shrunk, whole, part = buffer.clone(), outputs.clone(), outputs.clone()
        module.bgmv_shrink(inputs, a, shrunk, adapter_T, 0.5)
        module.bgmv_expand(shrunk[:, :2], b, whole, adapter_T, add)
        module.bgmv_expand_slice(shrunk[:, :2], b, part, adapter_T, 3, 7, add)
        found.append((shrunk, whole, part))
    for of_vllm, ours in zip(*found, strict=True):
        torch.testing.assert_close(ours, of_vllm)


def test_vllm_still_copies_the_adapter_for_each_token():
    """multiply_by_one_adapter"""
    source = Path(OF_VLLM.__file__).read_text()
    assert source.count("selected_loras = lora_b_weights[lora_indices_tensor]") == 3
    assert "bgmv_shrink(inputs, lora_a_weights, output_tensor, exploded_indices, scaling)" in source


def test_one_adapter_is_not_copied(monkeypatch):
    monkeypatch.setattr(torch, "einsum", lambda *_arguments: pytest.fail("a product for each token"))
    OURS.bgmv_shrink(torch.ones(3, 6), torch.ones(2, 1, 4, 6), torch.zeros(3, 4), torch.tensor([1, 1, 1]), 1.0)
