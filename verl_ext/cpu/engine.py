"""verl's FSDP2 engines, registered for the CPU.

The engines themselves are verl's. A CPU needs five things more: not to pin the memory of an offloaded (forward-only)
model, merged LoRA weights in the precision that everything else has here, exports that say which precision they have, an
optimizer that goes through memory once, and a prompt computed once for the samples that have it in common.
"""

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from tensordict import TensorDict
from torch.distributed.tensor import DTensor
from verl.utils import tensordict_utils as tu
from verl.workers.engine.base import EngineRegistry
from verl.workers.engine.fsdp import transformer_impl

from verl_ext.cpu.precision import correct_dtype
from verl_ext.learner import chunked_head, shared_prompts
from verl_ext.patches import micro_batches_by_prompt, unpinned_offload


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

    @property
    def _shares_prompts(self) -> bool:
        attention = getattr(self.module.config, "_attn_implementation", None)
        return attention == shared_prompts.NAME and chunked_head.is_equipped(self.module)

    def forward_backward_batch(self, data: TensorDict, *arguments: Any, **options: Any) -> list[TensorDict]:
        """verl's, with micro-batches that keep the samples of a prompt together where they share it."""
        is_dynamic = tu.get_non_tensor_data(data=data, key="use_dynamic_bsz", default=True)
        together = self._shares_prompts and is_dynamic and shared_prompts.can_share(data)
        with micro_batches_by_prompt(transformer_impl) if together else nullcontext():
            batches: list[TensorDict] = super().forward_backward_batch(data, *arguments, **options)
        return batches

    def prepare_model_inputs(self, micro_batch: TensorDict) -> tuple[dict[str, Any], dict[str, Any]]:
        """verl's, or one row in which each prompt stands once."""
        if not (self._shares_prompts and shared_prompts.can_share(micro_batch)):
            inputs: tuple[dict[str, Any], dict[str, Any]] = super().prepare_model_inputs(micro_batch)
            return inputs
        layout = shared_prompts.SharedPrompts(micro_batch)
        model_inputs = {
            "input_ids": layout.tokens_T[None],
            "attention_mask": None,
            "position_ids": layout.positions_T[None],
            "read_R": layout.read_R,
            "labels_R": layout.labels_R,
            "temperature": micro_batch["temperature"],
            "with_entropy": bool(tu.get_non_tensor_data(data=micro_batch, key="calculate_entropy", default=False)),
            shared_prompts.ARGUMENT: layout,
        }
        return model_inputs, {shared_prompts.ARGUMENT: layout}

    def prepare_model_outputs(
        self, output: Any, output_args: dict[str, Any], micro_batch: TensorDict, *arguments: Any, **options: Any
    ) -> dict[str, torch.Tensor]:
        """verl's, or what is said of the responses' tokens under the names and in the rows of verl's."""
        layout = output_args.get(shared_prompts.ARGUMENT)
        if layout is None:
            of_verl: dict[str, torch.Tensor] = super().prepare_model_outputs(
                output, output_args, micro_batch, *arguments, **options
            )
            return of_verl
        shared_prompts.check_attended(layout, self.module.config)
        statistics = {"log_probs": output.log_probs, "entropy": output.entropy}
        offsets = micro_batch["input_ids"].offsets()
        return {
            name: shared_prompts.separate(values_R, layout, offsets)
            for name, values_R in statistics.items()
            if values_R is not None
        }

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
