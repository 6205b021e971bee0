from dataclasses import replace

import pytest
import torch

from verl_ext.small_model.architecture import random_weights
from verl_ext.small_model.build import TINY
from verl_ext.small_model.sampling import Response, sample_responses
from verl_ext.small_model.tokenizer import build_tokenizer

PROMPTS = ["abcd", "xyz", "1234"]


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer(max_length=64)


@pytest.fixture(scope="module")
def model(tokenizer):
    return random_weights(TINY, tokenizer, seed=0).eval()


def test_first_tokens_follow_the_models_distribution(model, tokenizer):
    with torch.no_grad():
        expected_V = model(torch.tensor([tokenizer.encode("xyz")])).logits[0, -1].softmax(-1)
    [group] = sample_responses(model, tokenizer, ["xyz"], num_samples=20_000, max_new_tokens=1, seed=0)
    for text in "3", "a", "?":
        share = sum(response.text == text for response in group) / len(group)
        assert share == pytest.approx(expected_V[tokenizer.encode(text)[0]].item(), abs=0.003)


def test_nearly_greedy_sampling_is_greedy_decoding(tokenizer):
    """With logits a thousand times larger there is one likely response: the one that transformers decodes."""
    model = random_weights(TINY, tokenizer, seed=3).eval()
    with torch.no_grad():
        model.model.norm.weight.mul_(1000)
    groups = sample_responses(model, tokenizer, PROMPTS, num_samples=3, max_new_tokens=12, seed=0)
    for prompt, group in zip(PROMPTS, groups, strict=True):
        ids = torch.tensor([tokenizer.encode(prompt)])
        greedy = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=12)
        text = tokenizer.decode(greedy[0, ids.shape[1] :], skip_special_tokens=True)
        assert [response.text for response in group] == [text] * 3


def model_that_says(tokenizer, text):
    """A model whose next token is any of those of ``text``, all equally likely, whatever came before."""
    model = random_weights(replace(TINY, is_tied=False), tokenizer, seed=0).eval()
    with torch.no_grad():
        model.model.norm.weight.zero_()
        model.lm_head.weight.zero_()
        model.lm_head.bias = torch.nn.Parameter(torch.full((len(tokenizer),), -100.0))
        model.lm_head.bias[tokenizer.encode(text)] = 0.0
    return model


def test_nothing_follows_the_end(tokenizer):
    """Half the tokens are an end, so half the responses are empty, a quarter is "a", an eighth "aa"."""
    model = model_that_says(tokenizer, "a<|im_end|>")
    [group] = sample_responses(model, tokenizer, ["?"], num_samples=4000, max_new_tokens=20, seed=0)
    for text, share in ("", 1 / 2), ("a", 1 / 4), ("aa", 1 / 8):
        assert group.count(Response(text, False)) / 4000 == pytest.approx(share, abs=0.04)


def test_a_response_without_an_end_is_truncated(tokenizer):
    [group] = sample_responses(
        model_that_says(tokenizer, "a"), tokenizer, ["?"], num_samples=2, max_new_tokens=5, seed=0
    )
    assert group == [Response("aaaaa", True)] * 2


def test_seeds(model, tokenizer):
    first, again, other = (
        sample_responses(model, tokenizer, PROMPTS, num_samples=4, max_new_tokens=5, seed=seed) for seed in (0, 0, 1)
    )
    assert first == again != other
    assert [len(group) for group in first] == [4, 4, 4]
