"""Log-probs and entropies against float64, values and gradients, whatever the type and the chunks."""

from contextlib import nullcontext

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from verl_ext.learner import token_statistics
from verl_ext.learner.token_statistics import entropy_only_reported, token_entropy, token_log_probs


def reference_log_probs(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return logits.double().log_softmax(-1).gather(-1, labels[..., None]).squeeze(-1)


def reference_entropy(logits: torch.Tensor) -> torch.Tensor:
    return torch.distributions.Categorical(logits=logits.double()).entropy()


def random_case(shape: tuple[int, ...], num_words: int, seed: int, scale: float = 5.0) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(*shape, num_words, generator=generator)
    return logits, torch.randint(0, num_words, shape, generator=generator)


def test_worked_example():
    """Probabilities 1/4 and 3/4."""
    logits = torch.tensor([[0.0, torch.log(torch.tensor(3.0))]])
    assert token_log_probs(logits, torch.tensor([1])).item() == pytest.approx(-0.287682)
    assert token_entropy(logits).item() == pytest.approx(0.562335)


@given(
    shape=st.sampled_from([(1,), (7,), (3, 4)]), num_words=st.integers(1, 40), seed=st.integers(0, 999),
    chunk=st.integers(1, 200), dtype=st.sampled_from([torch.float64, torch.float32, torch.bfloat16]),
)  # fmt: skip
def test_values_and_gradients_are_those_of_float64(shape, num_words, seed, chunk, dtype):
    """The gradient is rounded once, to the logits' own type."""
    logits, labels = random_case(shape, num_words, seed)
    logits = logits.to(dtype)
    weights = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    before, token_statistics.CHUNK_NUMBERS = token_statistics.CHUNK_NUMBERS, chunk
    try:
        for actual_of, expected_of in (
            (lambda z: token_log_probs(z, labels), lambda z: reference_log_probs(z, labels)),
            (token_entropy, reference_entropy),
        ):
            ours, theirs = logits.clone().requires_grad_(), logits.to(torch.float64, copy=True).requires_grad_()
            actual, expected = actual_of(ours), expected_of(theirs)
            assert actual.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
            torch.testing.assert_close(actual.double(), expected, atol=2e-5, rtol=1e-5)
            (actual * weights).sum().backward()
            (expected * weights).sum().backward()
            assert ours.grad.dtype == dtype
            precision = 1e-2 if dtype == torch.bfloat16 else 1e-4
            torch.testing.assert_close(ours.grad.double(), theirs.grad, atol=precision, rtol=precision)
    finally:
        token_statistics.CHUNK_NUMBERS = before


def test_bfloat16_logits_lose_nothing_more():
    """What verl computes instead loses more: the test of why this module is there."""
    from verl.utils.torch_functional import logprobs_from_logits_v2

    logits, labels = random_case((64,), 2000, seed=0, scale=3.0)
    logits = logits.bfloat16()
    expected = reference_log_probs(logits, labels)
    assert (token_log_probs(logits, labels) - expected).abs().max() < 1e-5
    assert (logprobs_from_logits_v2(logits, labels) - expected).abs().mean() > 1e-3


def test_the_gradient_may_take_the_place_of_the_logits():
    logits, labels = random_case((6,), 9, seed=1)
    kept = logits.clone().requires_grad_()
    token_log_probs(kept, labels).sum().backward()
    source = logits.clone().requires_grad_()
    buffer = source * 1.0
    token_log_probs(buffer, labels, inplace_backward=True).sum().backward()
    torch.testing.assert_close(source.grad, kept.grad)
    torch.testing.assert_close(buffer.detach(), kept.grad)


def test_a_word_that_is_excluded():
    """Logits of -inf, as from top-k sampling: probability 0, and no NaN in the gradient."""
    logits = torch.tensor([[1.0, -torch.inf, 2.0]], requires_grad=True)
    (token_log_probs(logits, torch.tensor([2])) + token_entropy(logits)).sum().backward()
    pair = torch.tensor([[1.0, 2.0]], requires_grad=True)
    (token_log_probs(pair, torch.tensor([1])) + token_entropy(pair)).sum().backward()
    torch.testing.assert_close(logits.grad[:, [0, 2]], pair.grad)
    assert logits.grad[0, 1] == 0


@pytest.mark.gpu
def test_on_a_gpu_as_on_a_cpu():
    logits, labels = random_case((50,), 1000, seed=2)
    for dtype in (torch.float32, torch.bfloat16):
        here = logits.to(dtype, copy=True).requires_grad_()
        there = logits.to(dtype).cuda().requires_grad_()
        values = [token_log_probs(here, labels) + token_entropy(here)]
        values.append(token_log_probs(there, labels.cuda()) + token_entropy(there))
        torch.testing.assert_close(values[1].cpu(), values[0], atol=1e-4, rtol=1e-5)
        for value in values:
            value.sum().backward()
        torch.testing.assert_close(
            there.grad.cpu(), here.grad, atol=1e-2 if dtype == torch.bfloat16 else 1e-5, rtol=1e-2
        )


def test_an_entropy_that_is_only_reported_leaves_the_logits_to_be_overwritten():
    """The gradient is the same; without it, verl's engine would keep the logits and make another tensor of their size."""
    gradients = []
    for is_only_reported in (False, True):
        logits, labels = random_case((7,), 40, seed=0)
        leaf = logits.clone().requires_grad_()
        used = leaf * 1.0  # a tensor that backward may overwrite
        before = used.detach().clone()
        with entropy_only_reported() if is_only_reported else nullcontext():
            entropy = token_entropy(used)
            log_probs = token_log_probs(used, labels, inplace_backward=False)
        assert entropy.requires_grad != is_only_reported
        torch.testing.assert_close(entropy.double(), reference_entropy(logits), atol=2e-5, rtol=1e-5)
        log_probs.sum().backward()
        assert torch.equal(used.detach(), before) != is_only_reported
        gradients.append(leaf.grad)
    assert torch.equal(*gradients)
    assert token_entropy(leaf).requires_grad
