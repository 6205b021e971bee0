"""Draw one token of each row of logits, for vLLM's CPU backend.

vLLM 0.28 draws on a CPU by an exponential race: a random number for every token of the vocabulary in every row, twice
where requests have seeds, and for top-p it sorts the vocabulary. With 49,152 tokens that takes longer than a small
model's forward pass. Here one random number a row picks its token by inversion of the distribution function, and only
tokens that top-k and top-p may keep are sorted. The distribution is the same; which sample a seed stands for is not.

Shapes: B = rows, V = tokens of the vocabulary, N = blocks of tokens, C = tokens of a block.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

BLOCK = 256
"""Weights that are summed up before they are searched: a row is read once, and searched in two short pieces."""


def draw_tokens(
    logits_BV: torch.Tensor,
    uniform_B: torch.Tensor,
    *,
    top_k_B: torch.Tensor | None = None,
    top_p_B: torch.Tensor | None = None,
) -> torch.Tensor:
    """One token of each row, drawn from the softmax of what top-k and then top-p keep of it.

    Args:
        logits_BV: (B, V) float32, already divided by the temperature; -inf where a token must not come.
        uniform_B: (B,) float64 in [0, 1): the row's random number.
        top_k_B: (B,) how many tokens may come, V for all; equals of the last one may too. None for all in every row.
        top_p_B: (B,) in (0, 1]: only the likeliest tokens that reach this probability may come.

    Returns:
        (B,) int64 tokens.

    Raises:
        FloatingPointError: A row has NaN, +inf, or nothing but -inf.
    """
    probs_BV = logits_BV.softmax(dim=-1)
    if top_k_B is None and top_p_B is None:
        return _draw_from_blocks(probs_BV, uniform_B)
    return _draw_from_likeliest(probs_BV, uniform_B, top_k_B, top_p_B)


def _check(total_B: torch.Tensor) -> None:
    if not (torch.isfinite(total_B) & (total_B > 0)).all():
        raise FloatingPointError("The model's logits hold NaN or infinity: no token can be drawn.")


def _search(cumulative_BN: torch.Tensor, uniform_B: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Where the row's number falls among cumulative weights, and how far beyond the ones before it."""
    total_B = cumulative_BN[:, -1]
    _check(total_B)
    # Rounded up to the total, a number would fall behind the last token; a weight of 0 is never the first beyond it.
    target_B = torch.minimum(uniform_B * total_B, torch.nextafter(total_B, torch.zeros_like(total_B)))
    index_B1 = torch.searchsorted(cumulative_BN, target_B[:, None], right=True)
    before_B1 = cumulative_BN.gather(1, (index_B1 - 1).clamp(min=0)).where(index_B1 > 0, 0.0)
    return index_B1.squeeze(1), target_B - before_B1.squeeze(1)


def _draw_from_blocks(probs_BV: torch.Tensor, uniform_B: torch.Tensor) -> torch.Tensor:
    num_tokens = probs_BV.shape[1]
    whole = num_tokens - num_tokens % BLOCK
    sums_BN = probs_BV[:, :whole].unflatten(1, (-1, BLOCK)).sum(-1)
    if whole < num_tokens:
        sums_BN = torch.cat([sums_BN, probs_BV[:, whole:].sum(-1, keepdim=True)], dim=1)
    block_B, rest_B = _search(sums_BN.cumsum(-1, dtype=torch.float64), uniform_B)
    tokens_BC = block_B[:, None] * BLOCK + torch.arange(BLOCK)
    inside_BC = probs_BV.gather(1, tokens_BC.clamp(max=num_tokens - 1)).where(tokens_BC < num_tokens, 0.0)
    cumulative_BC = inside_BC.cumsum(-1, dtype=torch.float64)
    # The sum of a block was rounded, so what is left may be a little more than it holds.
    within_B, _ = _search(cumulative_BC, (rest_B / cumulative_BC[:, -1]).clamp(max=1.0))
    return block_B * BLOCK + within_B


def _draw_from_likeliest(
    probs_BV: torch.Tensor, uniform_B: torch.Tensor, top_k_B: torch.Tensor | None, top_p_B: torch.Tensor | None
) -> torch.Tensor:
    """numpy and a row at a time: its search and sort are several times faster, and rows differ much in candidates."""
    num_rows, num_tokens = probs_BV.shape
    _check(probs_BV.sum(-1))
    lowest_B = _lowest_candidate(probs_BV, top_k_B, top_p_B)
    candidates = np.flatnonzero((probs_BV >= lowest_B[:, None]).numpy())
    bounds = np.searchsorted(candidates, np.arange(num_rows + 1) * num_tokens)
    probs = probs_BV.numpy().reshape(-1)[candidates]
    drawn = []
    for row, uniform in enumerate(uniform_B.tolist()):
        first, end = bounds[row], bounds[row + 1]
        order = np.argsort(-probs[first:end])
        cumulative = np.cumsum(probs[first:end][order], dtype=np.float64)
        is_limited = top_k_B is not None and int(top_k_B[row]) < num_tokens
        # Top-p is a share of what top-k has left, or of all tokens, not of the candidates.
        share = (1.0 if top_p_B is None else float(top_p_B[row])) * (cumulative[-1] if is_limited else 1.0)
        num_kept = min(int(np.searchsorted(cumulative, share)) + 1, end - first)
        kept = cumulative[:num_kept]
        place = np.searchsorted(kept, min(uniform * kept[-1], np.nextafter(kept[-1], 0)), side="right")
        drawn.append(candidates[first + order[place]] % num_tokens)
    return torch.from_numpy(np.array(drawn))


def _lowest_candidate(
    probs_BV: torch.Tensor, top_k_B: torch.Tensor | None, top_p_B: torch.Tensor | None
) -> torch.Tensor:
    """(B,) a weight below which no token of the row may come."""
    num_tokens = probs_BV.shape[1]
    lowest_B = probs_BV.new_zeros(len(probs_BV))
    if top_p_B is not None:
        # All V tokens together, each less likely than this, stay below half of 1 - p: top-p keeps none of them.
        lowest_B = (1 - top_p_B) / (2 * num_tokens)
    if top_k_B is not None:
        is_limited_B = top_k_B < num_tokens
        largest = int(top_k_B.where(is_limited_B, 1).max())
        place_B1 = (top_k_B.where(is_limited_B, 1) - 1).long()[:, None]
        kth_B = probs_BV.topk(largest, dim=-1).values.gather(1, place_B1).squeeze(1)
        lowest_B = kth_B.where(is_limited_B, lowest_B)
    return lowest_B


def uniform_numbers(num_rows: int, generators: Mapping[int, torch.Generator]) -> torch.Tensor:
    """(num_rows,) float64 in [0, 1): of a row's own generator where it has one."""
    uniform_B = torch.rand(num_rows, dtype=torch.float64)
    for row, generator in generators.items():
        torch.rand((), dtype=torch.float64, generator=generator, out=uniform_B[row])
    return uniform_B


def forward_cpu(
    self: Any,
    logits: torch.Tensor,
    generators: Mapping[int, torch.Generator],
    k: torch.Tensor | None,
    p: torch.Tensor | None,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """In place of ``TopKTopPSampler.forward_cpu`` of vLLM: tokens, and what the sampler is asked to give as log-probs."""
    to_return = None
    if self.logprobs_mode.startswith("processed"):
        if k is not None or p is not None:
            # What is asked for has to be computed for the whole vocabulary anyway.
            drawn: tuple[torch.Tensor, torch.Tensor | None] = self.forward_native(logits, generators, k, p)
            return drawn
        to_return = logits if self.logprobs_mode == "processed_logits" else logits.log_softmax(-1, dtype=torch.float32)
    uniform_B = uniform_numbers(len(logits), generators)
    return draw_tokens(logits, uniform_B, top_k_B=k, top_p_B=p), to_return
