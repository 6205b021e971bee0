"""What each engine gets of a machine without accelerators: threads, and as many answers in flight as its cache holds."""

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from verl_ext.host.cores import usable_cores
from verl_ext.host.free_memory import GIB, Memory
from verl_ext.host.vllm_on_cpu import KV_CACHE_VARIABLE, VLLM_ON_CPU

PROCESS_BYTES = 3 * GIB // 2
"""Of an engine beside weights and cache: the libraries, and the logits of a step."""
MOST_ENGINES = 4
"""Each has its own weights, in memory and on their way to the processor."""
MOST_ANSWERS = 512
FEWEST_ANSWERS = 64
"""Below this the weights are read too often for what they compute. vLLM makes room where the cache is too small."""
BYTES_OF = {"float32": 4}
"""Of a number; 2 in the other types."""


class CpuShare(NamedTuple):
    """How a CPU is shared out."""

    num_engines: int
    num_threads: int
    """Of each engine."""


def available_cores() -> int:
    """Cores that an evaluation may use: OMP_NUM_THREADS where it is set, else what this process may use."""
    wanted = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(wanted) if wanted.isdigit() and int(wanted) else usable_cores()


def cache_bytes() -> int:
    """Of an engine's keys and values."""
    return int(os.environ.get(KV_CACHE_VARIABLE, VLLM_ON_CPU[KV_CACHE_VARIABLE])) * GIB


def share_of(num_cores: int, *, weight_bytes: int, memory: int, wanted: int | None = None) -> CpuShare:
    """Engines of one thread each, as many as there are cores, up to ``MOST_ENGINES`` and what memory holds.

    The threads of one engine wait for each other after every layer, and for whatever else runs on their core; engines
    wait for nobody, and what vLLM does between two steps in one thread runs beside the other's step.

    Args:
        num_cores: That may be used.
        weight_bytes: Of the model, in the type it is sampled in.
        memory: Bytes that are free.
        wanted: Engines that the caller asks for.
    """
    each = 2 * weight_bytes + cache_bytes() + PROCESS_BYTES  # vLLM packs the weights: two copies for a while
    num_engines = wanted or max(1, min(num_cores, MOST_ENGINES, memory // each))
    return CpuShare(num_engines, max(1, num_cores // num_engines))


def engine_bytes(num_parameters: int, dtype: str) -> int:
    """What one engine has once it samples in ``dtype``; while it loads, it may have more."""
    return num_parameters * BYTES_OF.get(dtype, 2) + cache_bytes() + PROCESS_BYTES


def check_engine(model: str, num_parameters: int, dtype: str, memory: Memory) -> None:
    """One engine fits into what there is when nobody else takes any.

    Raises:
        ValueError: It does not; says what it needs, what there is, and the way out.
    """
    needed = engine_bytes(num_parameters, dtype)
    if needed <= memory.total:
        return
    smaller = engine_bytes(num_parameters, "bfloat16")
    rounded = f"--dtype bfloat16, which needs {smaller / GIB:.1f} GiB, " if smaller <= memory.total else ""
    raise ValueError(
        f"--model_path {model}: an engine needs about {needed / GIB:.1f} GiB (weights in {dtype} "
        f"{num_parameters * BYTES_OF.get(dtype, 2) / GIB:.1f}, cache {cache_bytes() / GIB:.1f}, process "
        f"{PROCESS_BYTES / GIB:.1f}), and there are {memory.total / GIB:.1f} GiB ({memory.total_bound}). Take {rounded}a smaller "
        "model, or a machine or limit with more memory."
    )


def answers_in_flight(config: Mapping[str, Any], dtype: str, max_tokens: int, memory: int) -> int:
    """As many as the cache holds at their full length, between ``FEWEST_ANSWERS`` and ``MOST_ANSWERS``.

    Args:
        config: Of the model; where it does not say how large a token's keys and values are, they are taken to be small.
        dtype: In which it is sampled.
        max_tokens: Of an answer. Its prompt is shared with the problem's other answers.
        memory: Of the cache, in bytes.
    """
    heads = config.get("num_key_value_heads") or config.get("num_attention_heads")
    size = config.get("head_dim") or config.get("hidden_size", 0) // (config.get("num_attention_heads") or 1)
    layers = config.get("num_hidden_layers")
    if not (heads and size and layers):
        return MOST_ANSWERS
    token_bytes = int(2 * layers * heads * size * BYTES_OF.get(dtype, 2))
    return max(FEWEST_ANSWERS, min(MOST_ANSWERS, memory // (token_bytes * max_tokens)))
