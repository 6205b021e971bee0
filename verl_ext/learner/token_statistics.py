"""Log-probability and entropy of each token from the model's logits: float32 whatever the logits are, in little memory.

A model in bfloat16 gives logits in bfloat16. verl 0.9.1 computes from them as they are, and without flash-attn's kernel row
by row, in a type whose numbers around -10 lie 0.06 apart. Here a few rows at a time are taken to float32, and the
backward pass computes the softmax again instead of keeping it, so that the only large tensors are the logits and their
gradient.

Letters in shapes: T tokens (any leading shape), V words of the vocabulary.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

CHUNK_NUMBERS = 2**27
"""Logits that are float32 at one time: half a GiB each for what is computed from them."""


def _chunks(logits_TV: torch.Tensor) -> Iterator[slice]:
    size = max(1, CHUNK_NUMBERS // logits_TV.shape[-1])
    for start in range(0, len(logits_TV), size):
        yield slice(start, start + size)


def _at_least_float32(logits: torch.Tensor) -> torch.Tensor:
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


class _LogProbs(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits_TV: torch.Tensor, labels_T: torch.Tensor, overwrites_logits: bool) -> torch.Tensor:
        dtype = torch.promote_types(logits_TV.dtype, torch.float32)
        log_probs_T = logits_TV.new_empty(len(logits_TV), dtype=dtype)
        normalizers_T = torch.empty_like(log_probs_T)
        for rows in _chunks(logits_TV):
            chunk = _at_least_float32(logits_TV[rows])
            normalizers_T[rows] = torch.logsumexp(chunk, dim=-1)
            log_probs_T[rows] = chunk.gather(-1, labels_T[rows, None]).squeeze(-1) - normalizers_T[rows]
        ctx.save_for_backward(logits_TV, labels_T, normalizers_T)
        ctx.overwrites_logits = overwrites_logits
        return log_probs_T

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        """d log p(y) / d z = [v = y] - p(v)."""
        (gradient_T,) = gradients
        logits_TV, labels_T, normalizers_T = ctx.saved_tensors
        result_TV = logits_TV if ctx.overwrites_logits else torch.empty_like(logits_TV)
        for rows in _chunks(logits_TV):
            chunk = (_at_least_float32(logits_TV[rows]) - normalizers_T[rows, None]).exp_()
            chunk.mul_(-gradient_T[rows, None])
            chunk.scatter_add_(-1, labels_T[rows, None], gradient_T[rows, None].to(chunk.dtype))
            result_TV[rows] = chunk.to(result_TV.dtype)
        return result_TV, None, None


class _Entropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits_TV: torch.Tensor) -> torch.Tensor:
        dtype = torch.promote_types(logits_TV.dtype, torch.float32)
        entropy_T = logits_TV.new_empty(len(logits_TV), dtype=dtype)
        normalizers_T = torch.empty_like(entropy_T)
        for rows in _chunks(logits_TV):
            chunk = _at_least_float32(logits_TV[rows])
            normalizers_T[rows] = torch.logsumexp(chunk, dim=-1)
            log_probs = chunk - normalizers_T[rows, None]
            entropy_T[rows] = -(log_probs.exp() * log_probs.clamp(min=torch.finfo(dtype).min)).sum(dim=-1)
        ctx.save_for_backward(logits_TV, normalizers_T, entropy_T)
        return entropy_T

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        """d H / d z = -p(v) (log p(v) + H)."""
        (gradient_T,) = gradients
        logits_TV, normalizers_T, entropy_T = ctx.saved_tensors
        result_TV = torch.empty_like(logits_TV)
        for rows in _chunks(logits_TV):
            log_probs = _at_least_float32(logits_TV[rows]) - normalizers_T[rows, None]
            log_probs.clamp_(min=torch.finfo(log_probs.dtype).min)
            chunk = log_probs.exp().mul_(log_probs + entropy_T[rows, None]).mul_(-gradient_T[rows, None])
            result_TV[rows] = chunk.to(result_TV.dtype)
        return result_TV


_is_entropy_only_reported = False


@contextmanager
def entropy_only_reported() -> Iterator[None]:
    """Inside, no gradient goes through ``token_entropy``, and so it keeps no logits from being overwritten.

    verl's engine computes the entropy with a gradient whenever it computes it, and then asks for log-probs whose backward
    pass spares the logits: one tensor of their size more.
    """
    global _is_entropy_only_reported
    before, _is_entropy_only_reported = _is_entropy_only_reported, True
    try:
        yield
    finally:
        _is_entropy_only_reported = before


def is_entropy_only_reported() -> bool:
    """Whether the caller stands inside ``entropy_only_reported``."""
    return _is_entropy_only_reported


def token_log_probs(logits: torch.Tensor, labels: torch.Tensor, inplace_backward: bool = False) -> torch.Tensor:
    """The log-probability of each label.

    Args:
        logits: (..., V), any floating type. A logit may be -inf (a word that is excluded), unless it is a label's.
        labels: (...) int64, each in [0, V).
        inplace_backward: The backward pass writes the gradient over ``logits``, so nothing else may need them then.

    Returns:
        (...) float32 (float64 for logits in float64).
    """
    flat = logits.reshape(-1, logits.shape[-1])
    overwrites = inplace_backward or _is_entropy_only_reported
    result: torch.Tensor = _LogProbs.apply(flat, labels.reshape(-1), overwrites)  # type: ignore[no-untyped-call]
    return result.view(labels.shape)


@torch.compiler.disable
def token_entropy(logits: torch.Tensor) -> torch.Tensor:
    """The entropy in nats of each row of ``logits`` (..., V): (...) float32, or float64 for logits in float64.

    Not for ``torch.compile``, which verl would put around it: it would unroll the chunks anew for each number of tokens.
    """
    with torch.set_grad_enabled(torch.is_grad_enabled() and not _is_entropy_only_reported):
        result: torch.Tensor = _Entropy.apply(logits.reshape(-1, logits.shape[-1]))  # type: ignore[no-untyped-call]
    return result.view(logits.shape[:-1])
