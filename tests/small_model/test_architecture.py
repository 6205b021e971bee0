import pytest
import torch
from transformers import AutoModelForCausalLM

from verl_ext.small_model.architecture import Architecture, random_weights
from verl_ext.small_model.build import TINY, random_model
from verl_ext.small_model.tokenizer import build_tokenizer


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer(max_length=2048)


def test_number_of_parameters(tokenizer):
    """Embeddings 262*96; a layer: attention 2*96*96 + 2*96*32, its biases 96 + 2*32, MLP 3*96*256, two norms of 96."""
    layer = 2 * 96 * 96 + 2 * 96 * 32 + 160 + 3 * 96 * 256 + 2 * 96
    model = random_weights(Architecture(), tokenizer, seed=0)
    assert model.num_parameters() == 262 * 96 + 3 * layer + 96 == 321_216
    untied = random_weights(Architecture(is_tied=False), tokenizer, seed=0)
    assert untied.num_parameters() == 321_216 + 262 * 96 <= 4_000_000


def test_tied_weights_are_one_matrix_after_loading(tmp_path):
    model = AutoModelForCausalLM.from_pretrained(random_model(tmp_path / "tied", is_tied=True))
    with torch.no_grad():
        model.model.embed_tokens.weight[3, 5] = 7.0
    assert model.lm_head.weight[3, 5] == 7.0


def test_untied_weights_are_two_matrices_after_loading(tmp_path):
    folder = random_model(tmp_path / "untied", is_tied=False)
    model = AutoModelForCausalLM.from_pretrained(folder)
    original = random_weights(Architecture(**{**vars(TINY), "is_tied": False}), build_tokenizer(max_length=64), seed=0)
    assert torch.equal(model.lm_head.weight, original.lm_head.weight)
    assert torch.equal(model.model.embed_tokens.weight, original.model.embed_tokens.weight)
    with torch.no_grad():
        model.model.embed_tokens.weight[3, 5] = 7.0
    assert model.lm_head.weight[3, 5] != 7.0


def test_same_seed_same_weights_and_torch_keeps_its_own(tokenizer):
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    first, again, other = (random_weights(TINY, tokenizer, seed=seed).state_dict() for seed in (0, 0, 1))
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["model.embed_tokens.weight"], other["model.embed_tokens.weight"])


def test_random_model_loads_in_float32(tmp_path):
    model = AutoModelForCausalLM.from_pretrained(random_model(tmp_path / "model"))
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert model.generation_config.eos_token_id == 258


def test_refused_sizes():
    with pytest.raises(ValueError, match=r"must be one of 32, 64, .* got 96 / 6\."):
        Architecture(hidden_size=96, num_heads=6)
    with pytest.raises(ValueError, match="multiple of num_key_value_heads, got 3 and 2"):
        Architecture(num_key_value_heads=2)
