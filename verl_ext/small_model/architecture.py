"""The shape of the small model: Qwen2, or another family of the same parts, a few layers of it."""

from dataclasses import dataclass

import torch
import transformers
from transformers import PreTrainedModel, PreTrainedTokenizerFast

HEAD_DIMS = (32, 64, 80, 96, 112, 128, 160, 192, 224, 256, 512)
"""Head sizes that vLLM's CPU attention has a kernel for."""


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """Sizes of a Qwen2 model, a field for each one that is not implied by the others."""

    hidden_size: int = 96
    num_layers: int = 3
    num_heads: int = 3
    num_key_value_heads: int = 1
    intermediate_size: int = 256
    max_length: int = 2048
    """Context in tokens. Rotary positions have no weights, so a long context costs nothing until it is used."""
    is_tied: bool = True
    """One matrix embeds the tokens and scores them, as in Qwen2.5 up to 3B; the larger ones have two."""

    def __post_init__(self) -> None:
        if self.hidden_size % self.num_heads or self.hidden_size // self.num_heads not in HEAD_DIMS:
            raise ValueError(
                f"hidden_size / num_heads must be one of {', '.join(map(str, HEAD_DIMS))}, which vLLM's CPU attention "
                f"supports, got {self.hidden_size} / {self.num_heads}."
            )
        if self.num_heads % self.num_key_value_heads:
            raise ValueError(
                f"num_heads must be a multiple of num_key_value_heads, got {self.num_heads} and "
                f"{self.num_key_value_heads}."
            )


TINY = Architecture(hidden_size=64, num_layers=2, num_heads=2, num_key_value_heads=1, intermediate_size=128)
"""Enough to look at the machinery and not at the answers."""


FAMILIES = {"qwen2": "Qwen2", "qwen3": "Qwen3", "llama": "Llama"}
"""transformers' ``model_type`` of those that have these sizes -> how its classes' names begin."""


def random_weights(
    architecture: Architecture, tokenizer: PreTrainedTokenizerFast, *, seed: int, family: str = "qwen2"
) -> PreTrainedModel:
    """Build the model with random float32 weights, the same ones for the same seed; torch's own seed is left alone.

    Args:
        architecture: Its sizes.
        tokenizer: Its vocabulary.
        seed: Of the weights.
        family: One of ``FAMILIES``.
    """
    # Of itself only Qwen3 has heads that do not follow from the other sizes.
    heads = {"head_dim": architecture.hidden_size // architecture.num_heads} if family == "qwen3" else {}
    config = getattr(transformers, f"{FAMILIES[family]}Config")(
        vocab_size=len(tokenizer),
        hidden_size=architecture.hidden_size,
        num_hidden_layers=architecture.num_layers,
        num_attention_heads=architecture.num_heads,
        num_key_value_heads=architecture.num_key_value_heads,
        intermediate_size=architecture.intermediate_size,
        max_position_embeddings=architecture.max_length,
        tie_word_embeddings=architecture.is_tied,
        initializer_range=architecture.hidden_size**-0.5 / 2,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        attn_implementation="sdpa",
        **heads,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: PreTrainedModel = getattr(transformers, f"{FAMILIES[family]}ForCausalLM")(config).float()
    return model
