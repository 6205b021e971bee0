import pytest
import torch

from verl_ext.small_model.architecture import random_weights
from verl_ext.small_model.build import TINY
from verl_ext.small_model.sampling import sample_responses
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


def test_ends(model, tokenizer):
    """A model that can only say the end of the message says it at once; one that never does is cut."""
    hidden = TINY.hidden_size
    ending, endless = (random_weights(TINY, tokenizer, seed=0).eval() for _ in range(2))
    for changed, sign in (ending, 1.0), (endless, -1.0):
        changed.lm_head.weight = torch.nn.Parameter(changed.lm_head.weight.detach().clone())
        changed.model.norm = torch.nn.Module()
        changed.model.norm.forward = lambda states: torch.ones_like(states)
        with torch.no_grad():
            changed.lm_head.weight[tokenizer.eos_token_id] = sign * 100.0 / hidden
    [group] = sample_responses(ending, tokenizer, ["ab"], num_samples=4, max_new_tokens=5, seed=0)
    assert group == [("", False)] * 4
    [group] = sample_responses(endless, tokenizer, ["ab"], num_samples=4, max_new_tokens=5, seed=0)
    assert all(response.is_truncated for response in group)


def test_seeds(model, tokenizer):
    first, again, other = (
        sample_responses(model, tokenizer, PROMPTS, num_samples=4, max_new_tokens=5, seed=seed) for seed in (0, 0, 1)
    )
    assert first == again != other
    assert [len(group) for group in first] == [4, 4, 4]
