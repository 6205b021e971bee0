"""How much arithmetic a step of training needs at least: multiplications and additions of its matrices.

Counted for a decoder of the Llama and Qwen2 families: four projections of attention, a gated MLP of three matrices, and a
head over the vocabulary. Norms, activations, softmax and the optimizer are left out; they are no matrices. Attention
counts the pairs that the causal mask leaves, and only answer tokens are scored.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """The sizes of a model that its matrices follow from."""

    hidden: int
    layers: int
    heads: int
    key_value_heads: int
    head_dim: int
    intermediate: int
    vocabulary: int

    @classmethod
    def read(cls, folder: Path) -> "Sizes":
        """Those in the ``config.json`` of a model's folder."""
        config: dict[str, Any] = json.loads((folder / "config.json").read_text())
        heads = config["num_attention_heads"]
        return cls(
            hidden=config["hidden_size"],
            layers=config["num_hidden_layers"],
            heads=heads,
            key_value_heads=config.get("num_key_value_heads") or heads,
            head_dim=config.get("head_dim") or config["hidden_size"] // heads,
            intermediate=config["intermediate_size"],
            vocabulary=config["vocab_size"],
        )


@dataclass(frozen=True, kw_only=True)
class StepShape:
    """The lengths of a step."""

    prompts: int
    samples: int
    """Of each prompt."""
    prompt_tokens: float
    """Of a prompt, on average."""
    answer_tokens: int
    """Of every answer."""

    @property
    def num_sequences(self) -> int:
        return self.prompts * self.samples


def forward_flops(sizes: Sizes, *, tokens: float, pairs: float, scored: float) -> float:
    """A forward pass over ``tokens``, of which ``scored`` go through the head.

    ``pairs`` counts each token with each token that it attends to, itself included.
    """
    attention = sizes.hidden * sizes.head_dim * (2 * sizes.heads + 2 * sizes.key_value_heads)
    weights = sizes.layers * (attention + 3 * sizes.hidden * sizes.intermediate)
    scores = sizes.layers * sizes.heads * sizes.head_dim * 2  # query x key, and weight x value
    return 2 * (weights * tokens + scores * pairs + sizes.hidden * sizes.vocabulary * scored)


def rollout_flops(sizes: Sizes, shape: StepShape) -> float:
    """Sampling with a cache: every prompt read once, and every token of an answer but its last one."""
    reading = forward_flops(sizes, tokens=shape.prompt_tokens, pairs=causal_pairs(shape.prompt_tokens), scored=1)
    fed = shape.answer_tokens - 1
    pairs = causal_pairs(shape.prompt_tokens + fed) - causal_pairs(shape.prompt_tokens)
    return shape.prompts * reading + shape.num_sequences * forward_flops(sizes, tokens=fed, pairs=pairs, scored=fed)


def update_flops(sizes: Sizes, shape: StepShape) -> float:
    """Forward and backward over all samples: a backward pass has two products for each of the forward pass."""
    fed = shape.prompt_tokens + shape.answer_tokens - 1
    one = forward_flops(sizes, tokens=fed, pairs=causal_pairs(fed), scored=shape.answer_tokens)
    return 3 * shape.num_sequences * one


def causal_pairs(tokens: float) -> float:
    """Pairs of a token with itself and those before it."""
    return tokens * (tokens + 1) / 2
