"""An update with log-probs from hidden states is the one with whole logits, on the real FSDP2 engine."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from tests.learner.same_updates import assert_same
from tests.learner.test_packed_update import PACKED
from tests.training.learner import Case, updates
from tests.training.test_filtered_update import MIXED, rows_with
from verl_ext.small_model.architecture import Architecture, random_weights
from verl_ext.small_model.tokenizer import build_tokenizer

pytestmark = pytest.mark.slow

CHUNKED = {"use_fused_kernels": True, "fused_kernel_options": {"impl_backend": "torch"}}
LORA = {"lora_rank": 4, "lora_alpha": 8, "target_modules": "all-linear"}
NOTHING = [{"prompt": [11, 12], "response": [30], "advantage": 0.0, "old_shift": 0.0}]
CASES = [
    Case(rows_with(MIXED), {}),
    Case(rows_with(MIXED), {"entropy_coeff": 0.01}, {"temperature": 0.7}),
    Case(rows_with(MIXED), {}, {"own_log_probs": True, "temperature": 0.7}),
]
"""The entropy is not asked for, has a gradient, and is only reported."""


def llama(tokenizer):
    """As SmolLM2 and Llama 3 are, with a matrix for the embedding and one for the head."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1}
    config = LlamaConfig(
        **sizes, intermediate_size=64, vocab_size=len(tokenizer), max_position_embeddings=128, tie_word_embeddings=False,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, initializer_range=0.1,
    )  # fmt: skip
    return LlamaForCausalLM(config)


def qwen2(tokenizer):
    sizes = {"hidden_size": 64, "num_layers": 1, "num_heads": 2, "num_key_value_heads": 1, "intermediate_size": 64}
    return random_weights(Architecture(**sizes), tokenizer, seed=0)


@pytest.mark.parametrize(
    ("build", "num_ranks", "layout"),
    [(llama, 1, {}), (qwen2, 2, PACKED), (llama, 1, PACKED | LORA)],
    ids=["padded, untied", "packed on two ranks, tied", "packed, an adapter"],
)
def test_the_update_is_that_of_whole_logits(tmp_path, build, num_ranks, layout):
    tokenizer = build_tokenizer(max_length=128)
    build(tokenizer).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    cases = [*CASES, Case(NOTHING, {})]
    whole = updates(tmp_path, cases, num_ranks=num_ranks, model_options=layout, max_tokens=130)
    chunked = updates(tmp_path, cases, num_ranks=num_ranks, model_options=layout | CHUNKED, max_tokens=130)
    start = whole.pop().weights
    chunked.pop()
    num_moved = assert_same(chunked, whole, start)
    for here, there in zip(chunked, whole, strict=True):
        assert here.metrics.keys() == there.metrics.keys()
        assert here.own.keys() == there.own.keys()
        for name, rows in here.own.items():
            for one, other in zip(rows, there.own[name], strict=True):
                torch.testing.assert_close(one, other, atol=2e-5, rtol=1e-4)
    assert num_moved >= len(CASES) * (2 if "lora_rank" in layout else len(start) - 1)
