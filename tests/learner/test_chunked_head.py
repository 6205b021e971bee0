"""Log-probs and entropies from hidden states in chunks, against whole logits in float64: values and both gradients."""

import json
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from verl_ext.learner import chunked_head
from verl_ext.learner.chunked_head import equip, is_equipped, label_statistics
from verl_ext.learner.plain_heads import PLAIN_HEADS, reason_for_whole_logits
from verl_ext.learner.token_statistics import entropy_only_reported


def random_case(num_tokens: int, hidden_size: int, num_words: int, seed: int) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(num_tokens, hidden_size, generator=generator, dtype=torch.float64)
    weight = torch.randn(num_words, hidden_size, generator=generator, dtype=torch.float64)
    return hidden, weight, torch.randint(0, num_words, (num_tokens,), generator=generator)


def whole(hidden: torch.Tensor, weight: torch.Tensor, labels: torch.Tensor, temperature: float):
    """What ``label_statistics`` says it is, with whole logits."""
    logits = hidden @ weight.T / temperature
    entropy = torch.distributions.Categorical(logits=logits).entropy()
    return logits.log_softmax(-1).gather(-1, labels[:, None]).squeeze(-1), entropy


def gradients(statistics, hidden, weight, weights: tuple[float, float], seed: int):
    """Of a random sum of log-probs (times the first weight) and entropies (times the second); 0 leaves a kind out."""
    factors = torch.randn(len(hidden), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    terms = [(w * factors.to(values.dtype) * values).sum() for w, values in zip(weights, statistics, strict=True) if w]
    return torch.autograd.grad(sum(terms), (hidden, weight))


@given(
    num_tokens=st.integers(1, 13), hidden_size=st.integers(1, 6), num_words=st.integers(1, 17),
    chunk=st.integers(1, 120), temperature=st.sampled_from([1.0, 0.6, 2.0]), seed=st.integers(0, 999),
    weights=st.sampled_from([(1.0, 0.0), (0.0, 1.0), (1.0, -0.3)]),
    dtype=st.sampled_from([torch.float64, torch.float32]),
)  # fmt: skip
def test_values_and_gradients_are_those_of_whole_logits(
    num_tokens, hidden_size, num_words, chunk, temperature, seed, weights, dtype
):
    hidden, weight, labels = random_case(num_tokens, hidden_size, num_words, seed)
    hidden.requires_grad_()
    weight.requires_grad_()
    expected = whole(hidden, weight, labels, temperature)
    ours = [tensor.detach().to(dtype).requires_grad_() for tensor in (hidden, weight)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunked_head, "CHUNK_NUMBERS_ON_CPU", chunk)
        actual = label_statistics(*ours, labels, temperature=temperature)
        close = {"atol": 1e-10, "rtol": 1e-9} if dtype == torch.float64 else {"atol": 2e-5, "rtol": 1e-4}
        for value, reference in zip(actual, expected, strict=True):
            assert value.dtype == dtype
            torch.testing.assert_close(value.double(), reference, **close)
        of_ours = gradients(actual, *ours, weights, seed)
    for gradient, reference in zip(of_ours, gradients(expected, hidden, weight, weights, seed), strict=True):
        assert gradient.dtype == dtype
        torch.testing.assert_close(gradient.double(), reference, **{**close, "atol": 10 * close["atol"]})


def test_worked_example():
    """Logits 0 and log 3 over temperature 1: probabilities 1/4 and 3/4."""
    hidden = torch.tensor([[1.0]])
    weight = torch.tensor([[0.0], [torch.log(torch.tensor(3.0))]])
    log_probs, entropy = label_statistics(hidden, weight, torch.tensor([1]))
    assert log_probs.item() == pytest.approx(-0.287682)
    assert entropy.item() == pytest.approx(0.562335)


def test_no_tensor_of_all_logits_exists(monkeypatch):
    """Every tensor that the two passes make, by what PyTorch's dispatcher sees."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Largest(TorchDispatchMode):
        size = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            result = func(*args, **(kwargs or {}))
            for tensor in result if isinstance(result, tuple | list) else [result]:
                if isinstance(tensor, torch.Tensor):
                    self.size = max(self.size, tensor.numel())
            return result

    num_tokens, num_words, chunk = 64, 200, 1000
    hidden, weight, labels = random_case(num_tokens, 3, num_words, seed=0)
    monkeypatch.setattr(chunked_head, "CHUNK_NUMBERS_ON_CPU", chunk)
    with Largest() as largest:
        log_probs, entropy = label_statistics(hidden.requires_grad_(), weight.requires_grad_(), labels)
        (log_probs + entropy).sum().backward()
    assert max(chunk, weight.numel()) == chunk
    assert largest.size <= chunk < num_tokens * num_words
    with Largest() as largest:
        whole(hidden, weight, labels, 1.0)
    assert largest.size >= num_tokens * num_words


@pytest.mark.parametrize("is_only_reported", [False, True])
def test_an_entropy_that_is_only_reported_has_no_gradient(is_only_reported):
    hidden, weight, labels = random_case(5, 3, 7, seed=0)
    with entropy_only_reported() if is_only_reported else nullcontext():
        log_probs, entropy = label_statistics(hidden.requires_grad_(), weight, labels)
    assert entropy.requires_grad != is_only_reported
    torch.testing.assert_close(entropy.detach(), whole(hidden.detach(), weight, labels, 1.0)[1])
    assert log_probs.requires_grad


def test_no_entropy_where_none_is_asked_for():
    hidden, weight, labels = random_case(5, 3, 7, seed=0)
    log_probs, entropy = label_statistics(hidden, weight, labels, with_entropy=False)
    assert entropy is None
    torch.testing.assert_close(log_probs, whole(hidden, weight, labels, 1.0)[0])


def test_in_bfloat16_only_the_products_are_rounded():
    """Weights and hidden states in bfloat16, and float32 ones under autocast: statistics are float32, gradients are close."""
    hidden, weight, labels = random_case(40, 16, 50, seed=3)
    hidden, weight = hidden.bfloat16(), (0.3 * weight).bfloat16()
    reference = [tensor.double().requires_grad_() for tensor in (hidden, weight)]
    expected = whole(*reference, labels, 1.0)
    of_expected = gradients(expected, *reference, (1.0, 0.0), 0)
    for dtype, autocast in ((torch.bfloat16, False), (torch.float32, True)):
        ours = [tensor.to(dtype).requires_grad_() for tensor in (hidden, weight)]
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            actual = label_statistics(*ours, labels)
        assert actual[0].dtype == torch.float32
        torch.testing.assert_close(actual[0].double(), expected[0], atol=0.03, rtol=0.02)
        for gradient, one in zip(gradients(actual, *ours, (1.0, 0.0), 0), of_expected, strict=True):
            assert gradient.dtype == dtype
            assert (gradient - one).norm() < 0.02 * one.norm()


# ---------------------------------------------------------------------- inside a model

SIZES = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "intermediate_size": 32, "vocab_size": 61, "max_position_embeddings": 64, "pad_token_id": 0,
    "moe_intermediate_size": 16, "shared_expert_intermediate_size": 16, "num_experts": 4, "num_local_experts": 4,
    "num_experts_per_tok": 2,
}  # fmt: skip


def tiny(family: str, **changes):
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    config = AutoConfig.for_model(family, **SIZES, **changes)
    model = AutoModelForCausalLM.from_config(config).eval()
    torch.nn.init.normal_(model.get_output_embeddings().weight, std=0.3)  # far from uniform
    return model


@pytest.mark.parametrize("is_tied", [False, True])
@pytest.mark.parametrize("family", PLAIN_HEADS)
def test_every_family_says_what_its_logits_say(family, is_tied):
    """The whole list: padded rows, with a part of the tokens read. A family whose head did more would fail here."""
    model = tiny(family, tie_word_embeddings=is_tied)
    assert reason_for_whole_logits(json.loads(model.config.to_json_string(use_diff=False))) is None
    rows = torch.randint(1, 61, (3, 9), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(rows)
    mask[1, 6:] = 0
    is_read = torch.rand(rows.shape, generator=torch.Generator().manual_seed(2)) < 0.5
    is_read &= mask.bool()
    logits = model(input_ids=rows, attention_mask=mask).logits / 0.7
    labels = rows.roll(-1, -1)
    expected = logits.log_softmax(-1).gather(-1, labels[..., None]).squeeze(-1)
    model.zero_grad()
    expected[is_read].sum().backward()
    gradients_of_logits = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    assert not is_equipped(model)
    equip(model)
    assert is_equipped(model)
    model.zero_grad()
    output = model(input_ids=rows, attention_mask=mask, is_read=is_read, temperature=0.7, use_cache=False)
    torch.testing.assert_close(output.log_probs[is_read], expected[is_read], atol=2e-5, rtol=1e-4)
    assert not output.log_probs[~is_read].any()
    entropy = torch.distributions.Categorical(logits=logits).entropy()
    torch.testing.assert_close(output.entropy[is_read], entropy[is_read], atol=2e-5, rtol=1e-4)
    output.log_probs.sum().backward()
    assert gradients_of_logits
    for name, parameter in model.named_parameters():
        if name in gradients_of_logits:
            torch.testing.assert_close(parameter.grad, gradients_of_logits[name], atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"model_type": "gemma2", "final_logit_softcapping": 30.0}, "gemma2 caps its logits"),
        ({"model_type": "granite", "logits_scaling": 8.0}, "granite divides its logits"),
        ({"model_type": "cohere", "logit_scale": 0.0625}, "cohere multiplies its logits"),
        ({"model_type": "llama", "final_logit_softcapping": 30.0}, "llama caps its logits"),
        ({"model_type": "phi"}, "phi is not a family"),
        ({"model_type": "llama", "auto_map": {"AutoModelForCausalLM": "m.M"}}, "code of its own"),
        ({}, "None is not a family"),
    ],
)
def test_what_is_done_to_logits_is_not_left_out(config, reason):
    assert reason in reason_for_whole_logits(config)


@pytest.mark.parametrize("config", [{"model_type": "llama"}, {"model_type": "qwen2", "logit_scale": 1}])
def test_a_plain_head_has_no_reason(config):
    assert reason_for_whole_logits(config) is None


def test_a_head_with_a_bias_is_refused():
    """phi's; a configuration does not show it."""
    model = tiny("phi")
    with pytest.raises(RuntimeError, match="use_fused_kernels=False"):
        equip(model)


def jagged(*rows: list[int]) -> torch.Tensor:
    return torch.nested.as_nested_tensor([torch.tensor(row) for row in rows], layout=torch.jagged)


def test_the_tokens_that_are_read_stand_before_a_response_s():
    batch = {"input_ids": jagged([1, 2, 3, 4, 5], [6, 7, 8]), "responses": jagged([4, 5], [7, 8])}
    padded = chunked_head._tokens_before_responses(batch, torch.Size([2, 5]))
    assert padded.int().tolist() == [[0, 0, 1, 1, 0], [1, 1, 0, 0, 0]]
    packed = chunked_head._tokens_before_responses(batch, torch.Size([1, 10]))
    assert packed.int().tolist() == [[0, 0, 1, 1, 0, 1, 1, 0, 0, 0]]
    alone = {"input_ids": jagged([1, 2, 3]), "responses": jagged([3])}
    assert chunked_head._tokens_before_responses(alone, torch.Size([1, 3])).int().tolist() == [[0, 1, 0]]
    assert chunked_head._tokens_before_responses({"input_ids": jagged([1, 2])}, torch.Size([1, 2])) is None


@given(
    lengths=st.lists(st.tuples(st.integers(1, 5), st.integers(1, 6)), min_size=2, max_size=5), extra=st.integers(0, 3)
)
def test_padded_and_packed_rows_read_the_same_tokens(lengths, extra):
    """verl slices the same: the response's length, one token earlier."""
    from verl.workers.utils.padding import response_from_nested

    tokens = jagged(*([1] * (prompt + response) for prompt, response in lengths))
    responses = jagged(*([1] * response for _, response in lengths))
    batch = {"input_ids": tokens, "responses": responses}
    longest = max(prompt + response for prompt, response in lengths)
    padded = chunked_head._tokens_before_responses(batch, torch.Size([len(lengths), longest]))
    of_rows = [row[: prompt + response] for row, (prompt, response) in zip(padded, lengths, strict=True)]
    packed = chunked_head._tokens_before_responses(batch, torch.Size([1, len(tokens.values()) + extra]))
    assert torch.equal(torch.cat([*of_rows, torch.zeros(extra, dtype=torch.bool)]), packed[0])
    read = response_from_nested(torch.nested.as_nested_tensor(of_rows, layout=torch.jagged), responses)
    assert all(row.all() for row in read.unbind())
    assert int(packed.sum()) == len(responses.values())


def test_a_batch_says_whether_its_entropy_is_asked_for():
    from tensordict import TensorDict
    from verl.utils import tensordict_utils as tu

    data = TensorDict({"input_ids": jagged([1, 2]), "responses": jagged([2])}, batch_size=1)
    inputs = {"input_ids": SimpleNamespace(shape=torch.Size([1, 2]))}
    assert chunked_head.asked_of(data, inputs, is_split=True) == {"with_entropy": False, "is_read": None}
    tu.assign_non_tensor(data, calculate_entropy=True)
    asked = chunked_head.asked_of(data, inputs, is_split=False)
    assert asked["with_entropy"]
    assert asked["is_read"].tolist() == [[True, False]]


@pytest.mark.gpu
def test_on_a_gpu_as_on_a_cpu():
    hidden, weight, labels = random_case(300, 32, 500, seed=2)
    for dtype in (torch.float32, torch.bfloat16):
        results = []
        for device in ("cpu", "cuda"):
            ours = [(0.3 * tensor).to(device, dtype).requires_grad_() for tensor in (hidden, weight)]
            values = label_statistics(*ours, labels.to(device))
            (values[0] + values[1]).sum().backward()
            results.append([*(value.cpu() for value in values), *(one.grad.cpu() for one in ours)])
        for here, there in zip(*results, strict=True):
            torch.testing.assert_close(there, here, atol=1e-4 if dtype == torch.float32 else 0.1, rtol=1e-2)
