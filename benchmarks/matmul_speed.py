"""How fast this processor multiplies matrices of a model, in float32 and bfloat16, with one thread and with all."""

from time import perf_counter

import torch

from verl_ext.host.cores import usable_cores

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
ROWS = 2048
"""Tokens of a product, as in a micro-batch."""
Speeds = dict[str, dict[int, float]]
"""FLOP/s by precision and number of threads."""


def measure_speeds(hidden: int, intermediate: int, *, seconds: float = 1.0) -> Speeds:
    """The fastest of the products of ``ROWS`` tokens with a matrix of the model's MLP, repeated for ``seconds`` each."""
    before = torch.get_num_threads()
    try:
        return {
            name: {threads: _speed(dtype, threads, hidden, intermediate, seconds) for threads in thread_counts()}
            for name, dtype in PRECISIONS.items()
        }
    finally:
        torch.set_num_threads(before)


def thread_counts() -> list[int]:
    """One, and as many as this process may use at once."""
    return sorted({1, usable_cores()})


def _speed(dtype: torch.dtype, threads: int, hidden: int, intermediate: int, seconds: float) -> float:
    torch.set_num_threads(threads)
    tokens, weights = torch.randn(ROWS, hidden).to(dtype), torch.randn(hidden, intermediate).to(dtype)
    fastest, ends = float("inf"), perf_counter() + seconds
    while perf_counter() < ends or fastest == float("inf"):
        began = perf_counter()
        tokens @ weights
        fastest = min(fastest, perf_counter() - began)
    return 2 * ROWS * hidden * intermediate / fastest
