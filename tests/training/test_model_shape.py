"""A model's sizes are read under any of the names that transformers has for them."""

import json

import pytest

from verl_ext.training.model_shape import Shape, shape_of

GPT2 = {"model_type": "gpt2", "n_embd": 768, "n_head": 12, "n_layer": 12, "n_positions": 1024, "vocab_size": 50257}
OF_TEXT = {
    "hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 32, "num_hidden_layers": 3,
    "intermediate_size": 128, "vocab_size": 1000, "tie_word_embeddings": True,
}  # fmt: skip
VISION = {"hidden_size": 1152, "num_attention_heads": 16, "num_hidden_layers": 27, "intermediate_size": 4304}


@pytest.fixture
def shape(tmp_path):
    def read(config):
        (tmp_path / "config.json").write_text(json.dumps(config))
        return shape_of(tmp_path)

    return read


def test_gpt2s_names(shape):
    """Its 124 million parameters, but for positions and biases: two matrices in the feed-forward part, one embedding."""
    found = shape(GPT2)
    assert found.num_parameters == 50257 * 768 + 12 * (4 * 768**2 + 2 * 768 * 3072)
    assert (found.hidden, found.num_layers, found.intermediate) == (768, 12, 3072)
    assert (found.query, found.key_value, found.vocabulary) == (768, 768, 50257)
    assert shape(GPT2 | {"n_inner": None}) == found
    assert shape(GPT2 | {"n_inner": 1000}).intermediate == 1000


def test_sizes_of_the_text_model_within_another(shape):
    expected = Shape(1000 * 64 + 3 * (2 * 64 * (128 + 64) + 3 * 64 * 128), 64, 3, 128, 128, 64, 1000)
    assert shape(OF_TEXT) == expected
    assert shape({"model_type": "gemma3", "text_config": OF_TEXT, "vision_config": VISION}) == expected


@pytest.mark.parametrize("missing", ["hidden_size", "num_attention_heads", "num_hidden_layers", "intermediate_size"])
def test_a_size_that_is_not_named_is_not_guessed(shape, missing):
    left = {name: size for name, size in OF_TEXT.items() if name != missing}
    assert shape(left) is None
    assert shape({"text_config": left, "vision_config": VISION}) is None


@pytest.mark.parametrize("name", ["num_experts", "num_local_experts", "n_routed_experts"])
def test_experts_are_not_counted_as_one(shape, name):
    """Their weights are not here, and a layer has many of the feed-forward part."""
    assert shape(OF_TEXT | {name: 60}) is None
    assert shape({"text_config": OF_TEXT | {name: 60}}) is None
    assert shape(OF_TEXT | {name: None}) is not None


@pytest.mark.parametrize("odd", [[1, 2], "many", None, 0])
def test_nor_is_what_is_no_number(shape, odd):
    assert shape(OF_TEXT | {"intermediate_size": odd}) is None
    assert shape({"text_config": "none"}) is None
