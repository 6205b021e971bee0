"""How many cores this process may use."""

import os

import pytest

from verl_ext.host import cores


@pytest.mark.parametrize(
    ("quota", "expected"),
    [(None, 6), ("max 100000\n", 6), ("200000 100000\n", 2), ("50000 100000\n", 1), ("900000 100000\n", 6)],
)
def test_affinity_and_the_quota_of_a_container(tmp_path, monkeypatch, quota, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(6)))
    monkeypatch.setattr(cores, "QUOTA", tmp_path / "cpu.max")
    if quota is not None:
        (tmp_path / "cpu.max").write_text(quota)
    assert cores.usable_cores() == expected
