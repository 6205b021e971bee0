"""What the workers of a run are told, and by whom."""

import json
import os
import subprocess
import sys

import pytest

from tests.training.conftest import config_of
from verl_ext.training import launch
from verl_ext.training.configuration import compose_config, resolved
from verl_ext.training.run_record import write_run_record

GRADER = {"VERL_EXT_GRADER": "paper", "VERL_EXT_GRADER_SECONDS": "3"}


@pytest.fixture
def grader_of_the_paper(monkeypatch):
    for name in [name for name in os.environ if name.startswith("VERL_EXT_GRADER")]:
        monkeypatch.delenv(name)
    for name, value in GRADER.items():
        monkeypatch.setenv(name, value)


def test_the_graders_settings_go_to_every_worker(grader_of_the_paper, monkeypatch):
    import ray

    started = {}
    monkeypatch.setattr(ray, "init", lambda **options: started.update(options))
    monkeypatch.setenv("VERL_USE_EXTERNAL_MODULES", "verl_ext.plugin")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    off = "ray_kwargs.ray_init.runtime_env.env_vars.OMP_WAIT_POLICY=null"
    launch._start_ray(compose_config([off], device="cpu"))
    told = started["runtime_env"]["env_vars"]
    assert {name: value for name, value in told.items() if name.startswith("VERL_EXT_GRADER")} == GRADER
    assert "OMP_WAIT_POLICY" not in told, "Ray takes texts only"
    assert None not in told.values()


@pytest.mark.parametrize(("given", "expected"), [(None, "0"), ("5", "5")])
def test_rays_workers_are_no_less_than_other_processes(monkeypatch, given, expected):
    monkeypatch.setattr(os, "environ", {launch.NICENESS: given} if given else {})
    launch.prepare_environment(compose_config([], device="cpu"))
    assert os.environ[launch.NICENESS] == expected
    assert "None" not in os.environ.values(), "what is null is not set"


@pytest.mark.parametrize(("address", "expected"), [(None, "30"), ("10.0.0.1:6379", None)])
def test_a_ray_of_our_own_whose_control_service_is_gone_is_given_up_soon(monkeypatch, address, expected):
    """A cluster's may be started again by whoever runs it."""
    monkeypatch.setattr(os, "environ", {"RAY_ADDRESS": address} if address else {})
    launch.prepare_environment(compose_config([], device="cpu"))
    assert os.environ.get(launch.RECONNECT_TIMEOUT) == expected


def test_the_places_of_a_runs_results_are_those_of_no_other_run(monkeypatch, tmp_path):
    """Of several runs in one process, each has its own; what the user has set stays."""
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.delenv("TENSORBOARD_DIR", raising=False)
    monkeypatch.setenv("VERL_FILE_LOGGER_PATH", "mine.jsonl")
    for name in ("a", "b"):
        with launch.environment_of(compose_config([f"trainer.output_dir={tmp_path}/{name}"], device="cpu")):
            assert os.environ["TENSORBOARD_DIR"] == f"{tmp_path}/{name}/tensorboard"
            assert os.environ["VERL_FILE_LOGGER_PATH"] == "mine.jsonl"
    assert "TENSORBOARD_DIR" not in os.environ
    assert os.environ["VERL_FILE_LOGGER_PATH"] == "mine.jsonl"


def test_the_graders_settings_stand_in_the_record(grader_of_the_paper, tmp_path):
    write_run_record(tmp_path / "run.json", argv=["train"], config=resolved(compose_config([], device="cpu")))
    assert json.loads((tmp_path / "run.json").read_text())["grader"] == GRADER


@pytest.mark.slow
def test_workers_of_a_running_cluster_have_the_environment_of_the_run_not_of_the_cluster():
    """What the first test builds on: Ray gives env_vars of a job to the actors of a cluster started without them."""
    cluster = """
import os, ray, sys
os.environ.pop("VERL_EXT_GRADER", None)
context = ray.init(num_cpus=2, include_dashboard=False)
print("address", context.address_info["address"], flush=True)
sys.stdin.read()
"""
    job = """
import os, ray, sys
ray.init(address=sys.argv[1], runtime_env={"env_vars": {"VERL_EXT_GRADER": "paper"}})
@ray.remote
class Worker:
    def grader(self):
        return os.environ.get("VERL_EXT_GRADER")
print("grader", ray.get(Worker.remote().grader.remote()))
"""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VERL_EXT_GRADER")}
    environment["RAY_AUTH_MODE"] = "disabled"  # else a driver that is given an address needs the cluster's token
    options = {"stdout": subprocess.PIPE, "text": True, "env": environment}
    with subprocess.Popen([sys.executable, "-c", cluster], stdin=subprocess.PIPE, **options) as running:
        try:
            address = next(line.split()[1] for line in running.stdout if line.startswith("address"))
            done = subprocess.run([sys.executable, "-c", job, address], check=True, **options)
        finally:
            running.communicate("")
    assert "grader paper" in done.stdout


def test_the_device_is_the_machines(monkeypatch, tmp_path):
    """verl's trainer.device is cuda wherever it runs; verl's own main puts it right for an NPU, and so does the launcher."""
    import ray
    import verl.utils.device

    class StoppedError(Exception): ...

    def stop(_config):
        raise StoppedError

    class Ascend:
        device_name = "npu"

    assert not ray.is_initialized()
    monkeypatch.setattr(verl.utils.device, "get_platform", Ascend)
    monkeypatch.setattr(launch, "_start_services", lambda *_: None)
    monkeypatch.setattr(launch, "_check_registered", stop)
    config = config_of(tmp_path)
    config.trainer.device = "cuda"
    with pytest.raises(StoppedError):
        launch.Stack().train(config)
    assert config.trainer.device == "npu"


def test_the_process_of_a_run_on_a_cpu_starts_with_its_allocator_and_threads(monkeypatch):
    """glibc and OpenMP read them once; learner and vLLM are in that process, or forked from it."""
    monkeypatch.setenv("LD_PRELOAD", "/lib/mine.so")
    variables = launch.environment_at_start(compose_config(["precision=float32"], device="cpu"))
    assert variables["OMP_WAIT_POLICY"] == "PASSIVE"
    assert variables["MALLOC_MMAP_MAX_"] == "0"
    assert variables["LD_PRELOAD"].endswith(":/lib/mine.so")
    assert "VLLM_CPU_KVCACHE_SPACE" not in variables, "it is null"
    assert launch.environment_at_start(compose_config([], device="gpu")) == {}
