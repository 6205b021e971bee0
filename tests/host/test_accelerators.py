"""How many accelerators are visible: drivers' files under a folder of the test, variables it gives."""

import pytest

from verl_ext.host.accelerators import num_accelerators, visible_accelerators


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


def test_kinds_are_told_apart(machine):
    assert visible_accelerators({}, machine(ascend=8)) == {"npu": 8}
    assert visible_accelerators({}, machine(amd=4)) == {"cuda": 4}


def test_a_machine_without_devices(machine):
    assert num_accelerators({"CUDA_VISIBLE_DEVICES": "0,1"}, machine()) == 0
