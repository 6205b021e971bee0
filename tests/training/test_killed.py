"""A run whose worker was killed for memory says so, with the phase, what its processes had, and what to set."""

import errno
import json
import queue
import subprocess
import sys

import pytest

from tests.training.conftest import config_of, overrides_of
from verl_ext.training import memory, run_processes
from verl_ext.training.killed import MemoryWatch, explanation, kills_of_the_kernel, phase_of

ACTOR = """
import json, os, signal, sys, time
from pathlib import Path

import psutil
import ray

from verl_ext.training import memory
from verl_ext.training.configuration import compose_config
from verl_ext.training.killed import MemoryWatch, explanation
from verl_ext.training.stall import pending_in_ray

folder, by = Path(sys.argv[1]), sys.argv[2]
vmstat = folder / "vmstat"
vmstat.write_text("pgfault 1\\noom_kill 4\\n")
if by == "ray":
    machine = psutil.virtual_memory()
    used = 1 - machine.available / machine.total
    os.environ["RAY_memory_usage_threshold"] = str(used + 2**29 / machine.total)
    os.environ["RAY_memory_monitor_refresh_ms"] = "50"


@ray.remote
class WorkerDict:
    def learn(self, by):
        if by != "ray":
            os.kill(os.getpid(), signal.SIGKILL)
        blocks = []
        for _ in range(200):
            blocks.append(b"1" * 2**26)
        return len(blocks)


class Trainer:
    def fit(self):
        self._update_actor()

    def _update_actor(self):
        ray.get(WorkerDict.remote().learn.remote(by))


ray.init(num_cpus=1, include_dashboard=False, object_store_memory=2**27, log_to_driver=False)
too_large = WorkerDict.options(num_cpus=5).remote()
while "pending creation" not in " ".join(waits := pending_in_ray()):
    time.sleep(0.05)
print("pending:", waits, flush=True)
ray.kill(too_large)
config = compose_config(json.loads(sys.argv[3]), device="cpu")
memory.settle(config)
with MemoryWatch(vmstat) as watch:
    try:
        Trainer().fit()
    except BaseException as error:
        if by == "kernel":
            vmstat.write_text("pgfault 9\\noom_kill 5\\n")
        # not printed: Ray prints of the dead worker at the same time, from a thread of its own
        (folder / "explained").write_text(str(explanation(error, config, watch)))
ray.shutdown()
"""


@pytest.mark.slow
@pytest.mark.parametrize("by", ["ray", "kernel", "somebody"])
def test_a_worker_that_is_really_killed(folder, by):
    """By Ray's own monitor; and by SIGKILL, with the kernel's counter as after its own kill, and as it was.

    Before that an actor asks for more than Ray has: what a run would wait for is named, without Ray's dashboard.
    """
    done = subprocess.run(
        [sys.executable, "-c", ACTOR, str(folder), by, json.dumps(overrides_of(folder))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (
        "pending: [\"waiting for Ray's actors WorkerDict (pending creation)\", 'Ray has 1 of 1 CPU free']"
        in done.stdout
    )
    assert done.returncode == 0, done.stderr
    told = (folder / "explained").read_text()
    print(told)
    if by == "somebody":
        assert told == "None"
        return
    assert "a worker was killed for memory during the update. At most its processes had " in told
    assert "trainer 0." in told
    assert f"set {memory.BUDGET}=8192 (now 16384)" in told
    assert memory.CACHE in told


def died(text: str):
    """What Ray raises when an actor's process has ended."""
    from ray.core.generated.common_pb2 import ActorDiedErrorContext
    from ray.exceptions import ActorDiedError

    return ActorDiedError(ActorDiedErrorContext(class_name="WorkerDict", actor_id=b"1" * 16, error_message=text))


BY_RAY = "1 worker(s) were killed due to the node running low on memory."
BY_ANYTHING = "some common causes include: (1) the process was killed by the OOM killer due to high memory usage"


@pytest.mark.parametrize(
    ("text", "num_kills", "is_explained"), [(BY_RAY, 0, True), (BY_ANYTHING, 0, False), (BY_ANYTHING, 1, True)]
)
@pytest.mark.parametrize("is_wrapped", [False, True])
def test_what_ray_says_of_a_dead_worker(folder, tmp_path, text, num_kills, is_explained, is_wrapped):
    """Its text names the kernel among what may have been; whether the kernel did it, its counter says."""
    vmstat = tmp_path / "vmstat"
    vmstat.write_text("oom_kill 2\n")
    with MemoryWatch(vmstat) as watch:
        pass
    vmstat.write_text(f"oom_kill {2 + num_kills}\n")
    failure = died(text)
    if is_wrapped:
        failure = RuntimeError("the step failed")
        failure.__cause__ = died(text)
    config = config_of(folder)
    memory.settle(config)
    told = explanation(failure, config, watch)
    assert (told is not None) == is_explained
    if told is not None:
        assert told.startswith("a worker was killed for memory during the start. At most its processes had ")
        assert "To need less, train an adapter" in told


def test_a_task_that_ray_has_ended(folder):
    from ray.exceptions import OutOfMemoryError

    with MemoryWatch() as watch:
        pass
    config = config_of(folder)
    memory.settle(config)
    assert "killed for memory" in explanation(OutOfMemoryError("low"), config, watch)


NOT_ALLOCATED = (
    "[enforce fail] . DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes. Error code 12"
)
REFUSALS = {
    "torch": RuntimeError(NOT_ALLOCATED),
    "numpy": MemoryError("Unable to allocate 9. GiB"),
    "a fork": OSError(errno.ENOMEM, "Cannot allocate memory"),
    "a child's": RuntimeError("the engine ended: OSError: [Errno 12] Cannot allocate memory"),
}


@pytest.mark.parametrize("by", REFUSALS)
@pytest.mark.parametrize("is_wrapped", [False, True])
def test_memory_that_was_refused(folder, by, is_wrapped):
    """As under ulimit -v, where nothing is killed."""

    def _update_actor():
        if is_wrapped:
            raise ValueError("the step failed") from REFUSALS[by]
        raise REFUSALS[by]

    config = config_of(folder)
    memory.settle(config)
    with MemoryWatch() as watch, pytest.raises((ValueError, RuntimeError, MemoryError, OSError)) as failure:
        _update_actor()
    told = explanation(failure.value, config, watch)
    assert told.startswith(f"memory was refused during the update ({REFUSALS[by]}). At most its processes had ")
    assert f"{memory.BUDGET}=" in told


def test_a_full_accelerator_is_not_the_hosts_memory(folder):
    with MemoryWatch() as watch:
        pass
    error = RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
    assert explanation(error, config_of(folder), watch) is None


@pytest.fixture
def process_without_a_learner(monkeypatch):
    monkeypatch.setattr(run_processes, "LOCAL_LEARNER", "none")


def test_another_failure_is_not_explained(folder, process_without_a_learner):
    with MemoryWatch() as watch:
        pass
    error = RuntimeError("no memory of it")
    error.__cause__ = ValueError("something else")
    assert explanation(error, config_of(folder), watch) is None
    assert watch.last["trainer"] > 2**20


class Trainer:
    def init(self):
        raise RuntimeError

    def fit(self):
        self._step_once()

    def _step_once(self):
        self._compute_ref_log_prob()

    def _compute_ref_log_prob(self):
        self.nothing_of_ours()

    def nothing_of_ours(self):
        raise RuntimeError


@pytest.mark.parametrize(
    ("function", "phase"),
    [("init", "loading"), ("fit", "reference's log-probs"), ("nothing_of_ours", "start")],
)
def test_the_phase_is_that_of_the_innermost_function(function, phase):
    with pytest.raises(RuntimeError) as raised:
        getattr(Trainer(), function)()
    assert phase_of(raised.tb) == phase


def test_the_kernels_count(tmp_path):
    (tmp_path / "vmstat").write_text("oom_kill_disable 7\noom_kill 3\n")
    assert kills_of_the_kernel(tmp_path / "vmstat") == 3
    assert kills_of_the_kernel(tmp_path / "none") == 0


def test_a_watch_tells_what_the_trainer_is_doing(tmp_path, process_without_a_learner):
    told = queue.Queue()

    def _update_actor():
        while (seen := told.get()).phase != "update":
            pass
        return seen

    with MemoryWatch(tmp_path / "none", report=told.put):
        seen = _update_actor()
    assert seen.phase == "update"
    assert seen.memory["trainer"] > 2**20
