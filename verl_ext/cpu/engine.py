"""verl's FSDP2 engines, registered for the CPU.

The engines themselves are verl's. A CPU needs four things more: not to pin the memory of an offloaded (forward-only)
model, merged LoRA weights in the precision that everything else has here, exports that say which precision they have, and
an optimizer that goes through memory once.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch.distributed.tensor import DTensor
from verl.workers.engine.base import EngineRegistry
from verl.workers.engine.fsdp import transformer_impl

from verl_ext.cpu.precision import correct_dtype
from verl_ext.patches import unpinned_offload


class _OnCPU:
    def save_checkpoint(self, local_path: str, *arguments: Any, **options: Any) -> None:
        """verl's, after which an exported model (``hf_model``) is loaded in the precision that it has."""
        super().save_checkpoint(local_path, *arguments, **options)  # type: ignore[misc]
        if torch.distributed.get_rank() == 0:
            correct_dtype(Path(local_path) / "huggingface")

    def _build_optimizer(self, module: Any) -> Any:
        """verl's, in torch's fused form where that exists and the caller has not chosen: a step reads each tensor once.

        The other form makes a tensor as large as the model for each of its operations. Only Adam's: torch has SGD's and
        Adagrad's for plain tensors alone, and FSDP2's are sharded ("does not have a sharding strategy registered").
        """
        optimizer = super()._build_optimizer(module)  # type: ignore[misc]
        for group in optimizer.param_groups if isinstance(optimizer, torch.optim.Adam) else ():  # AdamW is one
            if "fused" in group and group["fused"] is None and group.get("foreach") is None:
                group["fused"] = True
        return optimizer

    def _build_fsdp_module(self, module: Any) -> Any:
        with unpinned_offload(transformer_impl):
            return super()._build_fsdp_module(module)  # type: ignore[misc]


@EngineRegistry.register(model_type="language_model", backend="fsdp2", device="cpu")
class CPULanguageModelEngine(_OnCPU, transformer_impl.FSDPEngineWithLMHead):
    """Policy or reference model on a CPU."""

    def _merged_lora_per_tensor_param(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Base and LoRA merged, under the base's names, for the rollout.

        verl 0.9.1's own rounds to bfloat16 on the way, whatever precision the actor and the rollout have.
        """
        with transformer_impl.merged_lora_context(self.module, backup_adapters=True):
            merged = transformer_impl.normalize_peft_param_name(self.module.state_dict())
            for name, weight in transformer_impl.convert_weight_keys(merged, self.module).items():
                whole = weight.full_tensor() if isinstance(weight, DTensor) else weight
                # Cloned: it may be the model's own memory, and the merge is undone at the end.
                yield name, whole.detach().clone()


@EngineRegistry.register(model_type="value_model", backend="fsdp2", device="cpu")
class CPUValueModelEngine(_OnCPU, transformer_impl.FSDPEngineWithValueHead):
    """Critic on a CPU."""
