"""Packed rows give what each sample gives alone: no sample sees another."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM

from verl_ext.learner import packed_attention
from verl_ext.learner.packed_attention import NAME, find_samples

packed_attention.register()

SIZES = {
    "vocab_size": 31,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}
FAMILIES = {
    "qwen2": (Qwen2ForCausalLM, Qwen2Config, {}),
    "qwen2, window of 3": (
        Qwen2ForCausalLM,
        Qwen2Config,
        {"use_sliding_window": True, "sliding_window": 3, "max_window_layers": 1},
    ),
    "qwen3": (Qwen3ForCausalLM, Qwen3Config, {"head_dim": 8}),
    "llama": (LlamaForCausalLM, LlamaConfig, {}),
}


def build(family: str, attention: str, seed: int = 0) -> torch.nn.Module:
    model_cls, config_cls, extra = FAMILIES[family]
    torch.manual_seed(seed)
    return model_cls(config_cls(**SIZES, **extra, attn_implementation=attention))


def packed(samples: list[torch.Tensor]) -> dict[str, torch.Tensor | None]:
    """What verl gives the model: one row, positions that start again, no mask."""
    return {
        "input_ids": torch.cat(samples)[None],
        "position_ids": torch.cat([torch.arange(len(sample)) for sample in samples])[None],
        "attention_mask": None,
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_a_packed_row_gives_what_each_sample_gives_alone(family):
    model, reference = build(family, NAME), build(family, "eager")
    samples = [torch.randint(0, 31, (length,), generator=torch.Generator().manual_seed(length)) for length in (5, 1, 9)]
    together = model(**packed(samples), use_cache=False).logits[0]
    alone = torch.cat([reference(sample[None], use_cache=False).logits[0] for sample in samples])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)

    weights = torch.randn(together.shape, generator=torch.Generator().manual_seed(1))
    (together * weights).sum().backward()
    (alone * weights).sum().backward()
    for (name, actual), expected in zip(model.named_parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(
            actual.grad, expected.grad, atol=1e-4, rtol=1e-4, msg=lambda text, name=name: name + text
        )


@settings(max_examples=25)
@given(lengths=st.lists(st.integers(1, 7), min_size=1, max_size=5), changed=st.integers(0, 4), seed=st.integers(0, 99))
def test_changing_one_sample_changes_no_other(lengths, changed, seed):
    generator = torch.Generator().manual_seed(seed)
    samples = [torch.randint(0, 31, (length,), generator=generator) for length in lengths]
    changed %= len(samples)
    other = [(sample + 1) % 31 if index == changed else sample for index, sample in enumerate(samples)]
    model = build("qwen2", NAME)
    with torch.no_grad():
        before, after = (model(**packed(rows), use_cache=False).logits[0].split(lengths) for rows in (samples, other))
    for index, (one, two) in enumerate(zip(before, after, strict=True)):
        assert torch.equal(one, two) == (index != changed)


def test_padded_rows_with_a_mask_are_left_to_sdpa():
    mask = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]])
    tokens = torch.tensor([[3, 4, 5, 0], [6, 7, 8, 9]])
    with torch.no_grad():
        ours, theirs = (build("qwen2", name)(tokens, attention_mask=mask).logits for name in (NAME, "sdpa"))
    torch.testing.assert_close(ours[mask.bool()], theirs[mask.bool()])


def test_rows_without_positions_are_one_sample_each():
    tokens = torch.randint(0, 31, (3, 6))
    with torch.no_grad():
        ours, theirs = (build("llama", name)(tokens).logits for name in (NAME, "eager"))
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_generating_with_a_cache():
    tokens = torch.randint(1, 31, (2, 4), generator=torch.Generator().manual_seed(0))
    answers = [build("qwen2", name).generate(tokens, max_new_tokens=5, do_sample=False) for name in (NAME, "eager")]
    assert torch.equal(*answers)


@pytest.mark.parametrize(
    ("positions", "borders"),
    [
        ([[0, 1, 2, 0, 1, 0]], [0, 3, 5, 6]),
        ([[0, 1, 2]], [0, 3]),
        ([[4, 5, 2, 3, 4]], [0, 2, 5]),  # a sample need not start at 0
        ([[0, 1], [2, 3]], [0, 2, 4]),  # a row never continues the one above
    ],
)
def test_samples_begin_where_positions_do_not_count_up(positions, borders):
    found = find_samples(torch.tensor(positions))
    assert found.borders.tolist() == borders
    assert found.borders.dtype == torch.int32
    assert found.longest == max(b - a for a, b in pairwise(borders))


def test_positions_that_change_in_place_are_looked_at_again():
    position_ids = torch.tensor([[0, 1, 2, 3]])
    assert packed_attention._samples_of(position_ids, 1).longest == 4
    position_ids[0, 2:] = torch.tensor([0, 1])
    assert packed_attention._samples_of(position_ids, 1).longest == 2


def test_dropout_is_refused():
    query = torch.randn(1, 2, 3, 4)
    with pytest.raises(ValueError, match="packed_sdpa does not support dropout, and the model's is 0.1"):
        packed_attention.packed_attention(
            torch.nn.Identity(), query, query, query, None, dropout=0.1, position_ids=torch.tensor([[0, 1, 2]])
        )


@pytest.mark.gpu
@pytest.mark.parametrize("window", [None, 5])
@pytest.mark.parametrize("num_key_heads", [8, 2])
def test_the_kernel_gives_what_padding_gives(num_key_heads, window):
    """PyTorch's FlashAttention-2 in bfloat16 against the same samples side by side in float32, and both gradients."""
    generator = torch.Generator("cuda").manual_seed(0)
    lengths = [7, 130, 1, 64]
    position_ids = torch.cat([torch.arange(length) for length in lengths])[None].cuda()

    def heads(number: int) -> torch.Tensor:
        return torch.randn(1, number, sum(lengths), 64, device="cuda", generator=generator).requires_grad_()

    inputs = [heads(8), heads(num_key_heads), heads(num_key_heads)]
    low = [tensor.detach().bfloat16().requires_grad_() for tensor in inputs]
    assert packed_attention._runs_on_kernel(low[0])
    assert not packed_attention._runs_on_kernel(inputs[0])
    outputs = [
        packed_attention.packed_attention(
            torch.nn.Identity(), *tensors, None, position_ids=position_ids, sliding_window=window
        )[0]
        for tensors in (inputs, low)
    ]
    direction = torch.randn(outputs[0].shape, device="cuda", generator=generator)
    for output in outputs:
        (output.float() * direction).sum().backward()
    for expected, actual in zip(
        [outputs[0], *(t.grad for t in inputs)], [outputs[1], *(t.grad for t in low)], strict=True
    ):
        assert (actual.float() - expected).norm() < 1e-2 * expected.norm()
