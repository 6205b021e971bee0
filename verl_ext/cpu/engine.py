"""verl's FSDP2 engines, registered for the CPU.

The engines themselves are verl's; all that a CPU needs is not to pin the memory of an offloaded (forward-only) model.
"""

from typing import Any

from verl.workers.engine.base import EngineRegistry
from verl.workers.engine.fsdp import transformer_impl

from verl_ext.patches import unpinned_offload


class _OnCPU:
    def _build_fsdp_module(self, module: Any) -> Any:
        with unpinned_offload(transformer_impl):
            return super()._build_fsdp_module(module)  # type: ignore[misc]


@EngineRegistry.register(model_type="language_model", backend="fsdp2", device="cpu")
class CPULanguageModelEngine(_OnCPU, transformer_impl.FSDPEngineWithLMHead):
    """Policy or reference model on a CPU."""


@EngineRegistry.register(model_type="value_model", backend="fsdp2", device="cpu")
class CPUValueModelEngine(_OnCPU, transformer_impl.FSDPEngineWithValueHead):
    """Critic on a CPU."""
