"""How a CPU is shared out to engines, and how many answers an engine has in flight."""

import pytest

from verl_ext.evaluation import cpu_share
from verl_ext.evaluation.cpu_share import GIB, CpuShare, answers_in_flight, available_cores, share_of

SMOLLM2 = {"num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3, "hidden_size": 576}


@pytest.fixture(autouse=True)
def one_gib_of_cache(monkeypatch):
    monkeypatch.delenv(cpu_share.KV_CACHE_VARIABLE, raising=False)


@pytest.mark.parametrize(
    ("num_cores", "weight_gib", "memory_gib", "wanted", "expected"),
    [
        (2, 0.25, 20, None, CpuShare(2, 1)),
        (1, 0.25, 20, None, CpuShare(1, 1)),
        (16, 0.25, 64, None, CpuShare(4, 4)),
        (8, 14, 64, None, CpuShare(2, 4)),  # 2 x 14 + 1 + 1.5 GiB each
        (8, 14, 8, None, CpuShare(1, 8)),  # of less memory than one needs: check_engine
        (2, 0.25, 20, 1, CpuShare(1, 2)),
        (2, 0.25, 20, 3, CpuShare(3, 1)),
    ],
)
def test_engines_by_cores_and_memory(num_cores, weight_gib, memory_gib, wanted, expected):
    shared = share_of(num_cores, weight_bytes=int(weight_gib * GIB), memory=memory_gib * GIB, wanted=wanted)
    assert shared == expected


@pytest.mark.parametrize(("value", "expected"), [("1", 1), ("6,2", 6), ("0", 2), ("", 2), ("all", 2)])
def test_the_threads_asked_for_are_the_cores(monkeypatch, value, expected):
    monkeypatch.setattr(cpu_share, "usable_cores", lambda: 2)
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert available_cores() == expected


@pytest.mark.parametrize(
    ("dtype", "max_tokens", "expected"),
    [
        ("bfloat16", 256, GIB // (2 * 30 * 3 * 64 * 2 * 256)),  # 182
        ("float32", 256, 91),
        ("float32", 4096, 64),
        ("bfloat16", 16, 512),
    ],
)
def test_as_many_answers_as_the_cache_holds(dtype, max_tokens, expected):
    assert answers_in_flight(SMOLLM2, dtype, max_tokens, GIB) == expected


def test_a_configuration_that_says_nothing_of_its_layers():
    assert answers_in_flight({"model_type": "other"}, "float32", 4096, GIB) == 512
