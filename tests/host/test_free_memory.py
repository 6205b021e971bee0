"""What may still be taken: the machine's, a control group's of either version, and a process limit's."""

import subprocess
import sys
from types import SimpleNamespace

import psutil
import pytest

from verl_ext.host.free_memory import GIB, NO_LIMIT, read_memory


def write(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in files.items():
        (
            folder / name.replace("_in_bytes", "-in-bytes").replace("_", ".").replace("-in-bytes", "_in_bytes")
        ).write_text(f"{value}\n")


@pytest.fixture
def own(tmp_path):
    def named(text: str):
        (tmp_path / "own").write_text(text)
        return tmp_path / "cgroup", tmp_path / "own"

    return named


def test_without_a_limit_it_is_what_the_machine_has_free(own):
    memory = read_memory(*own("0::/\n"))
    assert (memory.bound, memory.total_bound) == ("free on this machine", "all of this machine's")
    assert 0 < memory.available <= memory.total == psutil.virtual_memory().total


@pytest.mark.parametrize("place", ["run", "run/inner", ""])
def test_a_group_of_version_2_and_those_around_it(own, place):
    cgroups, file = own("0::/run/inner\n")
    write(cgroups / "run" / "inner", memory_max="max", memory_current=0)
    write(cgroups / place, memory_max=GIB, memory_current=GIB // 2, memory_stat=f"anon 1\ninactive_file {GIB // 4}")
    memory = read_memory(cgroups, file)
    assert memory == (GIB - GIB // 4, GIB, "left of the control group's 1.0 GiB", "all of the control group's limit")


def test_a_group_of_version_1(own):
    cgroups, file = own("5:cpu:/other\n4:memory:/run/inner\n0::/\n")
    write(cgroups / "memory/run", memory_limit_in_bytes=NO_LIMIT * 8 - 4096, memory_usage_in_bytes=5)
    write(
        cgroups / "memory/run/inner", memory_limit_in_bytes=2 * GIB, memory_usage_in_bytes=GIB,
        memory_stat=f"inactive_file 7\ntotal_inactive_file {GIB // 2}",
    )  # fmt: skip
    assert read_memory(cgroups, file).available == 2 * GIB - GIB // 2


def test_a_container_whose_group_is_the_mounted_one(own):
    cgroups, file = own("4:memory:/docker/0123\n")
    write(cgroups / "memory", memory_limit_in_bytes=GIB, memory_usage_in_bytes=0)
    assert read_memory(cgroups, file).available == GIB


def test_each_of_the_two_numbers_has_its_own_bound(own, monkeypatch):
    """3 GiB are free on the machine, and a group of 8 has 6 left."""
    cgroups, file = own("0::/\n")
    write(cgroups, memory_max=8 * GIB, memory_current=2 * GIB)
    machine = SimpleNamespace(available=3 * GIB, total=16 * GIB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: machine)
    memory = read_memory(cgroups, file)
    assert memory == (3 * GIB, 8 * GIB, "free on this machine", "all of the control group's limit")


def test_a_full_group_leaves_nothing(own):
    cgroups, file = own("0::/\n")
    write(cgroups, memory_max=GIB, memory_current=2 * GIB)
    assert read_memory(cgroups, file).available == 0


def test_a_limit_of_the_process():
    """A real one, set in a process of its own."""
    code = (
        "import resource; from verl_ext.host.free_memory import read_memory;"
        f"resource.setrlimit(resource.RLIMIT_AS, ({2 * GIB}, {2 * GIB}));"
        "print(read_memory())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "left of ulimit -v, 2.0 GiB" in done.stdout
