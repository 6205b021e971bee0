"""Tokens drawn by one number a row: the distribution is the softmax's, and top-k and top-p keep what vLLM's keep."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from verl_ext.cpu.token_draw import BLOCK, draw_tokens, forward_cpu, uniform_numbers

SIZES = st.sampled_from([1, 2, 7, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 5 * BLOCK + 17])


def random_logits(num_rows: int, num_tokens: int, seed: int) -> torch.Tensor:
    return 3 * torch.randn(num_rows, num_tokens, generator=torch.Generator().manual_seed(seed))


def counts_of(logits_V: torch.Tensor, num_draws: int, **limits: float) -> torch.Tensor:
    """How often each token comes for numbers spread evenly over [0, 1)."""
    uniform_B = (torch.arange(num_draws, dtype=torch.float64) + 0.5) / num_draws
    rows = {name: torch.full((num_draws,), value) for name, value in limits.items()}
    drawn_B = draw_tokens(logits_V.expand(num_draws, -1), uniform_B, **rows)
    return torch.bincount(drawn_B, minlength=len(logits_V))


@given(num_tokens=SIZES, seed=st.integers(0, 1000))
def test_each_token_comes_as_often_as_its_probability(num_tokens, seed):
    """Evenly spread numbers hit an interval of length p n p times, give or take one at each end."""
    (logits_V,) = random_logits(1, num_tokens, seed)
    counts_V = counts_of(logits_V, 2000)
    assert (counts_V - 2000 * logits_V.double().softmax(-1)).abs().max() <= 1.01


@given(num_tokens=SIZES, seed=st.integers(0, 1000), top_p=st.sampled_from([0.1, 0.5, 0.95, 0.999, 1.0]))
def test_top_p_keeps_the_likeliest_that_reach_it(num_tokens, seed, top_p):
    (logits_V,) = random_logits(1, num_tokens, seed)
    probabilities, order = logits_V.double().softmax(-1).sort(descending=True)
    num_kept = int((probabilities.cumsum(-1) - probabilities < top_p).sum())
    expected_V = torch.zeros(num_tokens, dtype=torch.float64)
    expected_V[order[:num_kept]] = 2000 * probabilities[:num_kept] / probabilities[:num_kept].sum()
    # Where the sum comes within rounding of p, one more or one less is right too: its share is the bound then.
    boundary = 2000 * float(probabilities[max(num_kept - 1, 0)]) if top_p < 1 else 0
    assert (counts_of(logits_V, 2000, top_p_B=top_p) - expected_V).abs().max() <= 1.01 + boundary


@given(
    num_tokens=SIZES,
    seed=st.integers(0, 1000),
    limits=st.lists(st.tuples(st.integers(1, 2000), st.sampled_from([0.3, 0.9, 1.0])), min_size=1, max_size=5),
)
def test_what_may_come_is_what_vllm_leaves(num_tokens, seed, limits):
    """Rows of one batch differ in both limits; a k of V or more is none."""
    sampler = pytest.importorskip("vllm.v1.sample.ops.topk_topp_sampler")
    logits_BV = random_logits(len(limits), num_tokens, seed)
    top_k_B = torch.tensor([min(k, num_tokens) for k, _ in limits], dtype=torch.int32)
    top_p_B = torch.tensor([p for _, p in limits])
    left_BV = sampler.apply_top_k_top_p_pytorch(logits_BV.clone(), top_k_B, top_p_B)
    probs_BV = left_BV.softmax(-1)
    for uniform in (0.0, 0.3, 0.7, 1 - 2**-53):
        uniform_B = torch.full((len(limits),), uniform, dtype=torch.float64)
        drawn_B1 = draw_tokens(logits_BV, uniform_B, top_k_B=top_k_B, top_p_B=top_p_B)[:, None]
        is_left_B1 = probs_BV.gather(1, drawn_B1) > 0
        # vLLM adds up in float32, likeliest last: at the edge it may keep one less or one more.
        edge_B = torch.where(left_BV.isinf(), torch.inf, left_BV).amin(-1)
        assert (is_left_B1.squeeze(1) | (logits_BV.gather(1, drawn_B1).squeeze(1) >= edge_B - 0.05)).all()


@pytest.mark.parametrize("top_p", [None, 0.9])
@given(num_tokens=SIZES, num_rows=st.integers(1, 40), seed=st.integers(0, 1000))
def test_a_row_is_drawn_alike_alone_and_beside_others(top_p, num_tokens, num_rows, seed):
    """So a sample does not depend on what else is in flight."""
    logits_BV = random_logits(num_rows, num_tokens, seed)
    uniform_B = torch.rand(num_rows, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    top_p_B = None if top_p is None else torch.full((num_rows,), top_p)
    together = draw_tokens(logits_BV, uniform_B, top_p_B=top_p_B).tolist()
    alone = [
        draw_tokens(
            logits_BV[row : row + 1], uniform_B[row : row + 1], top_p_B=None if top_p_B is None else top_p_B[:1]
        ).item()
        for row in range(num_rows)
    ]
    assert together == alone


def test_a_token_that_must_not_come_never_does():
    logits_BV = torch.full((3, 2 * BLOCK), -torch.inf)
    logits_BV[:, BLOCK + 5] = 0.0
    uniform_B = torch.tensor([0.0, 0.5, 1 - 2**-53], dtype=torch.float64)
    expected = [BLOCK + 5] * 3
    assert draw_tokens(logits_BV, uniform_B).tolist() == expected
    assert draw_tokens(logits_BV, uniform_B, top_p_B=torch.full((3,), 0.9)).tolist() == expected
    assert draw_tokens(logits_BV, uniform_B, top_k_B=torch.full((3,), 7)).tolist() == expected


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize("limits", [{}, {"top_p_B": torch.tensor([1.0, 0.9])}, {"top_k_B": torch.tensor([2, 2])}])
def test_logits_that_are_no_numbers_are_said(value, limits):
    logits_BV = torch.zeros(2, 10)
    logits_BV[1, 3] = value
    with pytest.raises(FloatingPointError, match="NaN or infinity"):
        draw_tokens(logits_BV, torch.zeros(2, dtype=torch.float64), **limits)


def test_a_row_with_a_generator_draws_from_it_alone():
    def draw(rows):
        generators = {row: torch.Generator().manual_seed(seed) for row, seed in rows.items()}
        return uniform_numbers(max(rows) + 1, generators)[list(rows)].tolist()

    alone, beside = draw({0: 7}), draw({2: 7, 0: 8})
    assert alone[0] == beside[0] != beside[1]


def test_vllm_draws_by_it(monkeypatch):
    """draw_tokens_with_one_number: vLLM's class still has the method, and still spends a number on each token."""
    import inspect

    module = pytest.importorskip("vllm.v1.sample.ops.topk_topp_sampler")
    from verl_ext.patches import draw_tokens_with_one_number

    original = module.TopKTopPSampler.__dict__["forward_cpu"]
    if original is not forward_cpu:  # the plugin has not replaced it in this process
        assert ".exponential_(generator=generator)" in inspect.getsource(original)
        monkeypatch.setattr(module.TopKTopPSampler, "forward_cpu", original)
    draw_tokens_with_one_number(module, forward_cpu)
    assert list(inspect.signature(original).parameters) == list(inspect.signature(forward_cpu).parameters)
    for mode, expected in {
        "raw_logprobs": None,
        "processed_logits": lambda logits: logits,
        "processed_logprobs": lambda logits: logits.log_softmax(-1),
    }.items():
        sampler = module.TopKTopPSampler(mode)
        sampler.forward = sampler.forward_cpu  # what it chooses on a CPU platform
        logits = random_logits(3, 300, 0)
        generators = {row: torch.Generator().manual_seed(row) for row in range(3)}
        tokens, returned = sampler.forward(logits.clone(), generators, None, None)
        numbers = uniform_numbers(3, {row: torch.Generator().manual_seed(row) for row in range(3)})
        assert tokens.tolist() == draw_tokens(logits, numbers).tolist()
        if expected is None:
            assert returned is None
        else:
            torch.testing.assert_close(returned, expected(logits))


def test_limits_in_log_probs_are_vllms():
    """Log-probs of what top-p left have to be computed for every token: then vLLM's own way draws too."""
    module = pytest.importorskip("vllm.v1.sample.ops.topk_topp_sampler")
    sampler = module.TopKTopPSampler("processed_logprobs")
    logits = random_logits(2, 50, 0)
    tokens, returned = forward_cpu(sampler, logits, {}, None, torch.tensor([0.5, 0.9]))
    assert np.isneginf(returned.numpy()).any()
    assert torch.isfinite(returned.gather(1, tokens[:, None])).all()
