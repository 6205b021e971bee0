"""vLLM's LoRA operations on a CPU, for batches in which every token has the same adapter, as all of a rollout's have.

vLLM 0.28 copies the adapter's matrix for every token and multiplies each copy with one row: with SmolLM2 and rank 32 that
takes a hundred times as long as the model. Here it is one product of two matrices.

Letters in shapes: T tokens, A adapters, R the adapter's rank, I numbers of an input, O numbers of an output.
"""

from collections.abc import Callable
from typing import Any

import torch


def matrix_of_all(weights_A1OI: torch.Tensor, adapter_T: torch.Tensor) -> torch.Tensor | None:
    """(O, I), the one adapter that all tokens have; None where they differ or there are none.

    Args:
        weights_A1OI: (A, 1, O, I) or (A, O, I).
        adapter_T: (T,) which adapter each token has.
    """
    if not len(adapter_T) or not bool((adapter_T == adapter_T[0]).all()):
        return None
    weight = weights_A1OI[int(adapter_T[0])]
    return weight.squeeze(0) if weight.dim() == 3 else weight


def operations(lora_ops: Any) -> dict[str, Callable[..., None]]:
    """In place of three functions of ``vllm.lora.ops.torch_ops.lora_ops``, by their names; the others there call these."""
    shrink, expand, expand_slice = lora_ops.bgmv_shrink, lora_ops.bgmv_expand, lora_ops.bgmv_expand_slice

    def bgmv_shrink(
        inputs: torch.Tensor,
        lora_b_weights: torch.Tensor,
        output_tensor: torch.Tensor,
        lora_indices_tensor: torch.Tensor,
        scaling: float = 1.0,
    ) -> None:
        weight_RI = matrix_of_all(lora_b_weights, lora_indices_tensor)
        if weight_RI is None:
            shrink(inputs, lora_b_weights, output_tensor, lora_indices_tensor, scaling)
            return
        outputs_TR = inputs.to(output_tensor.dtype) @ weight_RI.to(output_tensor.dtype).T
        output_tensor[:, : len(weight_RI)] = outputs_TR * scaling

    def bgmv_expand(
        inputs: torch.Tensor,
        lora_b_weights: torch.Tensor,
        output_tensor: torch.Tensor,
        lora_indices_tensor: torch.Tensor,
        add_inputs: bool = True,
    ) -> None:
        weight_OR = matrix_of_all(lora_b_weights, lora_indices_tensor)
        if weight_OR is None or len(inputs) != len(output_tensor) or len(weight_OR) > output_tensor.shape[1]:
            expand(inputs, lora_b_weights, output_tensor, lora_indices_tensor, add_inputs)
            return
        _write(output_tensor[:, : len(weight_OR)], inputs, weight_OR, add_inputs)

    def bgmv_expand_slice(
        inputs: torch.Tensor,
        lora_b_weights: torch.Tensor,
        output_tensor: torch.Tensor,
        lora_indices_tensor: torch.Tensor,
        slice_offset: int,
        slice_size: int,
        add_inputs: bool = True,
    ) -> None:
        weight_OR = matrix_of_all(lora_b_weights, lora_indices_tensor)
        if weight_OR is None:
            expand_slice(
                inputs, lora_b_weights, output_tensor, lora_indices_tensor, slice_offset, slice_size, add_inputs
            )
            return
        _write(output_tensor[:, slice_offset : slice_offset + slice_size], inputs, weight_OR, add_inputs)

    return {"bgmv_shrink": bgmv_shrink, "bgmv_expand": bgmv_expand, "bgmv_expand_slice": bgmv_expand_slice}


def _write(output_TO: torch.Tensor, inputs_TR: torch.Tensor, weight_OR: torch.Tensor, is_added: bool) -> None:
    outputs_TO = inputs_TR.to(output_TO.dtype) @ weight_OR.to(output_TO.dtype).T
    if is_added:
        output_TO += outputs_TO
    else:
        output_TO.copy_(outputs_TO)
