"""Tied embeddings after a reload of weights on vLLM's CPU backend.

The reload gives ``lm_head`` back the *packed* copy it had before ("ParallelLMHead: Failed to load weights", a warning), so
the model would embed with new weights and predict with old ones: nothing crashes, and the samples are of no policy.
"""

from typing import Any

from vllm.model_executor.layers.utils import dispatch_cpu_unquantized_gemm
from vllm.model_executor.layers.vocab_parallel_embedding import ParallelLMHead
from vllm.platforms import current_platform


def _unwrapped(layer: Any) -> Any:
    """The layer below vLLM's LoRA wrapper, or the layer itself."""
    return getattr(layer, "base_layer", layer)


def retie(model: Any) -> None:
    """Make a tied ``lm_head`` predict with the embedding's current weights."""
    if not model.config.tie_word_embeddings:
        return
    head, embedding = _unwrapped(model.lm_head), _unwrapped(model.model.embed_tokens)
    if isinstance(head, ParallelLMHead):
        head.tie_weights(embedding)
    dispatch_cpu_unquantized_gemm(head, remove_weight=False)


class ReloadExtension:
    """Of vLLM's worker: another checkpoint of the same model, in place of starting an engine for it."""

    def reload_checkpoint(self, path: str) -> None:
        """Load the weights in the folder ``path``."""
        worker: Any = self  # vLLM makes this class a base of its worker
        worker.reload_weights(weights_path=path)
        if current_platform.is_cpu():
            retie(worker.model_runner.model)
