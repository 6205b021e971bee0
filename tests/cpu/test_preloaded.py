"""What a process that forks vLLM's engine is started with."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from verl_ext.cpu import preloaded
from verl_ext.cpu.preloaded import ld_preload, preload_for_this_process_only


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """A vLLM and a Ray with a malloc of their own beside a PyTorch with an OpenMP of its own."""
    for name, file in (
        ("vllm", "libs/libtcmalloc_minimal.so.4"),
        ("ray", "core/libjemalloc.so"),
        ("torch", "lib/libgomp-a34b3233.so.1"),
    ):
        (tmp_path / name / file).parent.mkdir(parents=True)
        (tmp_path / name / file).touch()
    monkeypatch.delenv("LD_PRELOAD", raising=False)
    monkeypatch.setattr(preloaded, "find_spec", lambda name: _spec(tmp_path / name))
    return tmp_path


def _spec(folder: Path):
    return type("Spec", (), {"submodule_search_locations": [str(folder)]}) if folder.is_dir() else None


def test_both_libraries_stand_in_front_of_what_was_given(packages, monkeypatch):
    monkeypatch.setenv("LD_PRELOAD", "/lib/mine.so")
    ours = [f"{packages}/vllm/libs/libtcmalloc_minimal.so.4", f"{packages}/torch/lib/libgomp-a34b3233.so.1"]
    assert ld_preload().split(":") == [*ours, "/lib/mine.so"]


@pytest.mark.parametrize("given", ["/usr/lib/libgomp.so.1", "/x/libgomp-1.so:/y/libtcmalloc_minimal.so.4"])
def test_none_is_loaded_twice(packages, monkeypatch, given):
    monkeypatch.setenv("LD_PRELOAD", given)
    assert ld_preload().count("libgomp") == 1
    assert ld_preload().count("libtcmalloc") == 1


def test_a_malloc_that_was_given_is_the_only_one(packages, monkeypatch):
    monkeypatch.setenv("LD_PRELOAD", "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2")
    assert ["malloc" in Path(file).name for file in ld_preload().split(":")] == [False, True]


def test_where_vllm_brings_no_malloc_it_is_that_of_ray(packages, monkeypatch):
    (packages / "vllm").rename(packages / "no-vllm")
    assert ld_preload().split(":")[0] == f"{packages}/ray/core/libjemalloc.so"


def test_what_is_not_there_is_left_out(packages, monkeypatch):
    for folder in ("vllm", "ray", "torch"):
        (packages / folder).rename(packages / f"no-{folder}")
    assert ld_preload() == ""


@pytest.mark.parametrize("given", ["", "/lib/mine.so"])
def test_what_the_process_starts_has_what_was_given(packages, monkeypatch, given):
    monkeypatch.setenv("LD_PRELOAD", given)
    monkeypatch.setenv("LD_PRELOAD", ld_preload())
    assert "libgomp" in os.environ["LD_PRELOAD"]
    preload_for_this_process_only()
    assert os.environ.get("LD_PRELOAD", "") == given


def test_a_malloc_is_installed():
    """With the locked packages there is one, and a process that is started with it allocates by it."""
    file = ld_preload().split(":")[0]
    code = "import ctypes; print(hasattr(ctypes.CDLL(None), 'mallctl') or hasattr(ctypes.CDLL(None), 'tc_malloc'))"
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"LD_PRELOAD": file}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "True"
    assert done.stderr == ""


def test_it_is_the_openmp_that_torch_brings():
    import torch

    libraries = [Path(name).parent.parent for name in ld_preload().split(":") if "libgomp" in name]
    assert libraries == [Path(torch.__file__).resolve().parent]
