"""The sizes of a run's model that its memory follows from, as its ``config.json`` names them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from verl_ext.training.model_file import model_config
from verl_ext.training.model_size import num_parameters

HIDDEN = ("hidden_size", "n_embd", "d_model")
HEADS = ("num_attention_heads", "n_head", "n_heads", "num_heads")
LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
INTERMEDIATE = ("intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size")
VOCABULARY = ("vocab_size",)
EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts")
"""A size's names, that of most models first (``attribute_map`` of transformers' configurations)."""


@dataclass(frozen=True)
class Shape:
    """Sizes of a decoder, as its config.json names them."""

    num_parameters: int
    hidden: int
    num_layers: int
    intermediate: int
    query: int
    """Numbers of a token's queries in one layer, all heads together."""
    key_value: int
    """Those of its keys, and again those of its values."""
    vocabulary: int

    @property
    def saved_of_a_token(self) -> int:
        """Numbers that the backward pass needs of a token in one layer: norms, attention, the gated feed-forward part.

        SmolLM2-135M's took 8,700 where this says 9,600.
        """
        return 5 * self.hidden + 3 * self.query + 2 * self.key_value + 3 * self.intermediate


def shape_of(path: Any) -> Shape | None:
    """Of the model at ``path``; None where its config.json is out of reach or does not name the sizes, as that of a mixture of
    experts does not whose weights are not here.

    Of a model that reads more than text, its text model's; the parameters are those of all its files.
    """
    config = model_config(path) or {}
    of_text = config.get("text_config")
    config |= of_text if isinstance(of_text, dict) else {}
    like_gpt2 = "n_embd" in config
    sizes = [_size(config, names) for names in (HIDDEN, HEADS, LAYERS, VOCABULARY)]
    intermediate = _size(config, INTERMEDIATE)
    if like_gpt2 and intermediate is None and sizes[0] is not None:
        intermediate = 4 * sizes[0]  # what n_inner means where it is null or missing
    if intermediate is None or None in sizes:
        return None
    hidden, heads, layers, vocabulary = (size for size in sizes if size is not None)
    of_head = _size(config, ("head_dim",)) or hidden // heads
    query, key_value = of_head * heads, of_head * (_size(config, ("num_key_value_heads",)) or heads)
    embeddings = vocabulary * hidden * (1 if config.get("tie_word_embeddings", like_gpt2) else 2)
    feed_forward = (2 if like_gpt2 else 3) * hidden * intermediate
    counted = num_parameters(path)
    if not counted and _size(config, EXPERTS) is not None:
        return None  # how many of its layers have experts, and of what size, each family writes in its own way
    counted = counted or embeddings + layers * (2 * hidden * (query + key_value) + feed_forward)
    return Shape(counted, hidden, layers, intermediate, query, key_value, vocabulary)


def _size(config: Mapping[str, Any], names: Sequence[str]) -> int | None:
    """What a configuration has under the first of ``names`` that it has a number for."""
    found = (config.get(name) for name in names)
    return next((size for size in found if isinstance(size, int) and size > 0), None)
