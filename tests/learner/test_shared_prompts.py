"""A prompt computed once for its samples gives what separate rows give; no sample sees another."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.learner.test_packed_attention import FAMILIES, build
from verl_ext.learner import chunked_head, shared_prompts
from verl_ext.learner.shared_prompts import ARGUMENT, NAME, SharedPrompts, can_share, separate

shared_prompts.register()

SAMPLES = [([3, 4, 5, 6], [7, 8, 9]), ([1], [2]), ([3, 4, 5, 6], [7]), ([1], [2, 5, 2, 6, 7]), ([3, 4, 5, 6], [9, 9])]
"""Prompt and response of each: two prompts whose samples alternate, and responses of one token."""


def batch_of(samples):
    """The fields of a batch of verl's that say which tokens are there."""
    rows = [torch.tensor(prompt + response) for prompt, response in samples]
    columns = {
        "input_ids": rows,
        "position_ids": [torch.arange(len(row)) for row in rows],
        "responses": [torch.tensor(response) for _prompt, response in samples],
    }
    return {name: torch.nested.as_nested_tensor(values, layout=torch.jagged) for name, values in columns.items()}


def together(model, samples, *, layout=None):
    """Log-probs of each response's tokens from one row."""
    batch = batch_of(samples)
    layout = SharedPrompts(batch) if layout is None else layout
    chunked_head.equip(model)
    output = model(
        input_ids=layout.tokens_T[None],
        position_ids=layout.positions_T[None],
        read_R=layout.read_R,
        labels_R=layout.labels_R,
        temperature=0.7,
        use_cache=False,
        **{ARGUMENT: layout},
    )
    rows = separate(output.log_probs, layout, batch["input_ids"].offsets()).unbind()
    lengths = [len(response) for _prompt, response in samples]
    return [row[len(row) - length - 1 : -1] for row, length in zip(rows, lengths, strict=True)]


def apart(model, samples):
    found = []
    for prompt, response in samples:
        logits = model(torch.tensor([prompt + response]), use_cache=False).logits[0, len(prompt) - 1 : -1]
        log_probs = torch.log_softmax(logits / 0.7, dim=-1)
        found.append(log_probs.gather(-1, torch.tensor(response)[:, None])[:, 0])
    return found


def assert_equal(family, samples):
    model, reference = build(family, NAME).double(), build(family, "eager").double()
    here, there = (torch.cat(of(m, samples)) for of, m in ((together, model), (apart, reference)))
    torch.testing.assert_close(here, there, atol=1e-6, rtol=1e-6)  # eager attention's softmax is in float32
    weights = torch.randn(len(here), generator=torch.Generator().manual_seed(1)).double()
    (here * weights).sum().backward()
    (there * weights).sum().backward()
    for (name, actual), expected in zip(model.named_parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(actual.grad, expected.grad, atol=1e-6, rtol=1e-5, msg=name)


@pytest.mark.parametrize("family", FAMILIES)
def test_log_probs_and_gradients_are_those_of_separate_rows(family):
    assert_equal(family, SAMPLES)


TOKENS = st.lists(st.integers(0, 3), min_size=1, max_size=5)


@settings(max_examples=25, deadline=None)
@given(samples=st.lists(st.tuples(TOKENS, TOKENS), min_size=1, max_size=6), family=st.sampled_from(sorted(FAMILIES)))
def test_whatever_the_samples_are(samples, family):
    assert_equal(family, samples)


def test_each_prompt_is_computed_once_and_no_last_token_is():
    layout = SharedPrompts(batch_of(SAMPLES))
    assert layout.tokens_T.tolist() == [3, 4, 5, 6, 1, 7, 8, 2, 5, 2, 6, 9]
    assert layout.positions_T.tolist() == [0, 1, 2, 3, 0, 4, 5, 1, 2, 3, 4, 4]


def test_checkpointed_layers_give_the_same():
    gradients = []
    for checkpointing in (False, True):
        model = build("llama", NAME).train()
        if checkpointing:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        torch.cat(together(model, SAMPLES)).sum().backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


def test_attention_that_does_not_know_the_layout_is_found_out():
    model = build("llama", "sdpa")
    layout = SharedPrompts(batch_of(SAMPLES))
    together(model, SAMPLES, layout=layout)
    with pytest.raises(RuntimeError, match="0 of the 2 layers of llama .*attn_implementation=packed_sdpa"):
        shared_prompts.check_attended(layout, model.config)
    model = build("llama", NAME)
    together(model, SAMPLES, layout=layout)
    shared_prompts.check_attended(layout, model.config)


def test_without_a_layout_it_is_packed_attention():
    one, other = build("llama", NAME), build("llama", "packed_sdpa")
    inputs = {"input_ids": torch.tensor([[1, 2, 3, 4, 5]]), "position_ids": torch.tensor([[0, 1, 0, 1, 2]])}
    torch.testing.assert_close(one(**inputs, use_cache=False).logits, other(**inputs, use_cache=False).logits)


def test_images_and_batches_without_responses_are_left_alone():
    batch = batch_of(SAMPLES)
    assert can_share(batch)
    assert not can_share({name: batch[name] for name in ("input_ids", "position_ids")})
    assert not can_share(batch | {"responses": torch.zeros(5, 2)})
    of_images = torch.nested.as_nested_tensor([torch.zeros(4, len(p + r)) for p, r in SAMPLES], layout=torch.jagged)
    assert not can_share(batch | {"position_ids": of_images})
    assert not can_share(batch_of([([], [1, 2])]))
