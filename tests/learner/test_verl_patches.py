"""Each change to verl's learner is still needed, and is in force once verl's engine is imported."""

from importlib.util import find_spec
from pathlib import Path

import torch


def source(module: str) -> str:
    (folder,) = find_spec("verl").submodule_search_locations
    return (Path(folder) / f"{module}.py").read_text()


def test_verl_still_loads_a_value_model_with_flash_attention():
    """load_value_model_as_configured"""
    assert 'attn_implementation="flash_attention_2"' in source("utils/model")


def test_verl_still_takes_log_probs_in_the_type_of_the_logits():
    """compute_token_statistics_in_float32; its size is in test_token_statistics"""
    from verl.utils.torch_functional import logprobs_from_logits_v2

    logits = torch.randn(4, 50, generator=torch.Generator().manual_seed(0)).bfloat16()
    assert logprobs_from_logits_v2(logits, torch.tensor([0, 1, 2, 3])).dtype == torch.bfloat16


def test_the_engine_uses_ours():
    import verl.utils.model
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
    from verl.workers.engine.fsdp import transformer_impl

    from verl_ext.learner.packed_attention import NAME
    from verl_ext.learner.token_statistics import token_entropy, token_log_probs

    assert transformer_impl.verl_F.entropy_from_logits is token_entropy
    assert transformer_impl.logprobs_from_logits is token_log_probs
    assert NAME in ALL_ATTENTION_FUNCTIONS.valid_keys()
    assert verl.utils.model.load_valuehead_model.__module__ == "verl_ext.learner.verl_patches"


def test_a_critic_has_the_attention_that_is_configured(tmp_path):
    import verl.utils.model
    import verl.workers.engine.fsdp
    from transformers import Qwen2Config, Qwen2ForCausalLM

    config = Qwen2Config(
        vocab_size=11,
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        num_labels=1,
        attn_implementation="packed_sdpa",
    )
    Qwen2ForCausalLM(config).save_pretrained(tmp_path)
    critic = verl.utils.model.load_valuehead_model(str(tmp_path), torch.float32, config, False)
    assert critic.config._attn_implementation == "packed_sdpa"
    assert critic(torch.tensor([[1, 2, 3]])).logits.shape == (1, 3, 1)
