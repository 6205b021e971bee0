"""How many cores this process may use."""

import os

import pytest

from verl_ext.host.cores import usable_cores


def allowed(monkeypatch, folder, own: str, **files: str) -> int:
    """Of six cores, in the group that ``own`` names; ``cpu__max`` is a file of the mounted folder."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(6)))
    (folder / "own").write_text(own)
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("DOT", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return usable_cores(folder, folder / "own")


@pytest.mark.parametrize(
    ("quota", "expected"),
    [("max 100000\n", 6), ("200000 100000\n", 2), ("50000 100000\n", 1), ("900000 100000\n", 6)],
)
@pytest.mark.parametrize("group", ["", "job__step__"])
def test_affinity_and_the_quota_of_a_group_or_of_one_around_it(tmp_path, monkeypatch, quota, expected, group):
    assert allowed(monkeypatch, tmp_path, "0::/job/step\n", **{f"{group}cpuDOTmax": quota}) == expected


@pytest.mark.parametrize(("quota", "expected"), [("-1\n", 6), ("300000\n", 3)])
@pytest.mark.parametrize("mounted", ["cpu", "cpu,cpuacct"])
def test_version_1(tmp_path, monkeypatch, quota, expected, mounted):
    files = {f"{mounted}__job__cpuDOTcfs_quota_us": quota, f"{mounted}__job__cpuDOTcfs_period_us": "100000\n"}
    assert allowed(monkeypatch, tmp_path, "4:cpu,cpuacct:/job\n2:memory:/job\n", **files) == expected


def test_no_groups(tmp_path, monkeypatch):
    assert allowed(monkeypatch, tmp_path, "") == 6
