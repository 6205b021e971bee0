"""The variables of a process that uses vLLM on a CPU: the same in evaluation as in training."""

import os

import pytest

from verl_ext.cpu import environment
from verl_ext.host.vllm_on_cpu import VLLM_ON_CPU
from verl_ext.training.configuration import compose_config

VARIABLES = "ray_kwargs.ray_init.runtime_env.env_vars"


@pytest.fixture
def variables(monkeypatch):
    found = {"VLLM_CPU_KVCACHE_SPACE": "8", "PATH": os.environ["PATH"]}
    monkeypatch.setattr(os, "environ", found)
    return found


def test_evaluation(variables, monkeypatch):
    monkeypatch.setattr(environment, "num_accelerators", lambda: 0)
    assert environment.use_cpu_where_there_is_no_accelerator()
    assert variables.items() >= (VLLM_ON_CPU | {"VLLM_CPU_KVCACHE_SPACE": "8"}).items()


def test_a_machine_with_an_accelerator_is_left_as_it_is(variables, monkeypatch):
    monkeypatch.setattr(environment, "num_accelerators", lambda: 1)
    before = dict(variables)
    assert not environment.use_cpu_where_there_is_no_accelerator()
    assert variables == before


def test_training():
    config = compose_config([f"{VARIABLES}.VLLM_CPU_KVCACHE_SPACE=8"], device="cpu")
    given = dict(config.ray_kwargs.ray_init.runtime_env.env_vars)
    assert given.items() >= (VLLM_ON_CPU | {"VLLM_CPU_KVCACHE_SPACE": "8", "OMP_WAIT_POLICY": "PASSIVE"}).items()
