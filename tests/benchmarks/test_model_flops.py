"""The arithmetic of a step, against torch's own count of a model that runs."""

import sys
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import DynamicCache, LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from model_flops import Sizes, StepShape, causal_pairs, forward_flops, rollout_flops, update_flops

# Eager attention multiplies whole matrices, so torch counts every pair, those that the mask hides too.
SHAPE = {
    "vocab_size": 50,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 40,
    "attn_implementation": "eager",
}
MODELS = {
    "llama, heads of another size": (LlamaForCausalLM, LlamaConfig(**SHAPE, head_dim=10)),
    "llama, one matrix for embedding and head": (LlamaForCausalLM, LlamaConfig(**SHAPE, tie_word_embeddings=True)),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config(**SHAPE)),
}


@pytest.fixture(params=MODELS)
def model(request, tmp_path):
    kind, config = MODELS[request.param]
    config.save_pretrained(tmp_path)
    model = kind(config)
    # torch counts the two small products of rotary positions as well; they hold no weights and no attention.
    return model, Sizes.read(tmp_path)


def counted(run):
    """Torch's count of the products that linear layers and attention make: those of rotary positions are left out."""
    with FlopCounterMode(display=False) as counter:
        run()
    counts = counter.get_flop_counts()
    rotary = sum(sum(by.values()) for name, by in counts.items() if name.endswith("rotary_emb"))
    return counter.get_total_flops() - rotary


def test_forward_and_backward(model):
    model, sizes = model
    tokens = torch.randint(0, 50, (3, 7))
    expected = forward_flops(sizes, tokens=21, pairs=3 * 7 * 7, scored=21)
    assert counted(lambda: model(tokens, use_cache=False)) == expected
    assert counted(lambda: model(tokens, use_cache=False).logits.sum().backward()) == 3 * expected


def test_only_scored_tokens_go_through_the_head(model):
    model, sizes = model
    tokens = torch.randint(0, 50, (3, 7))
    expected = forward_flops(sizes, tokens=21, pairs=3 * 7 * 7, scored=6)
    assert counted(lambda: model(tokens, use_cache=False, logits_to_keep=2)) == expected


def test_sampling_with_a_cache(model):
    """Reading a prompt and then sampling: what torch counts, but for the pairs of the prompt that its mask hides."""
    model, sizes = model
    prompt, answer, samples = 6, 4, 5

    def sample():
        cache = DynamicCache()
        model(torch.randint(0, 50, (1, prompt)), past_key_values=cache, logits_to_keep=1)
        cache.batch_repeat_interleave(samples)
        for _ in range(answer - 1):
            model(torch.randint(0, 50, (samples, 1)), past_key_values=cache)

    hidden = prompt * prompt - causal_pairs(prompt)
    step = StepShape(prompts=1, samples=samples, prompt_tokens=prompt, answer_tokens=answer)
    expected = rollout_flops(sizes, step) + forward_flops(sizes, tokens=0, pairs=hidden, scored=0)
    with torch.no_grad():
        assert counted(sample) == expected


def test_update_counts_every_sample_with_its_prompt(model):
    _, sizes = model
    step = StepShape(prompts=2, samples=3, prompt_tokens=5, answer_tokens=4)
    one = forward_flops(sizes, tokens=8, pairs=36, scored=4)
    assert update_flops(sizes, step) == 3 * 6 * one


def test_sizes_of_an_old_configuration(tmp_path):
    """Without key and value heads of its own, and without the size of a head."""
    (tmp_path / "config.json").write_text(
        '{"hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 8, "vocab_size": 9}'
    )
    sizes = Sizes.read(tmp_path)
    assert (sizes.key_value_heads, sizes.head_dim) == (4, 16)
