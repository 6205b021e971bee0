"""Two nodes: namespaces with addresses, Ray and /dev/shm of their own, under Slurm's script with stubs of its commands.

A run whose first steps have to be those of two ranks on one node; then nothing comes any more from the second. On two cores it
takes six minutes and the run on one node five, so only ``TWO_NODES=1 pytest -m slow tests/end_to_end/test_two_nodes.py`` makes it.
"""

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.end_to_end.conftest import DYING_SECONDS, ROOT, environment, small
from tests.end_to_end.stacks import TWO_RANKS_PAPER
from verl_ext.training.run_digest import RunDigest, digest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(os.environ.get("TWO_NODES") != "1", reason="takes minutes on two cores: TWO_NODES=1 runs it"),
]
OF_NAMESPACES = Path("/etc/netns")
"""Whose files ``ip netns exec`` puts in the place of those in /etc."""
STUBS = Path(__file__).with_name("two_nodes")
RECIPE = """
python -m verl_ext.training.main device=cpu trainer.nnodes="$NNODES" trainer.n_gpus_per_node="$N_GPUS" "$@"
code=$?
touch "$FOLDER/ended"
until [[ -e $FOLDER/seen ]]; do sleep 0.1; done # which of its processes are left
exit "$code"
"""
OF_A_RUN = (
    "verl_ext.training",
    "WorkerDict",
    "HeldServer",
    "EngineCore",
    "SimpleStorageUnit",
    "TransferQueueController",
)
"""Words of the command lines of a run's processes, which a Ray that goes on does not have."""


def may_make_namespaces() -> str | None:
    """Why not, where not."""
    if shutil.which("ip") is None or shutil.which("unshare") is None:
        return "there is no ip and unshare here"
    tried = subprocess.run(
        ["unshare", "--net", "--mount", "--pid", "--fork", "mount", "-t", "tmpfs", "tmpfs", "/dev/shm"],
        capture_output=True,
        text=True,
        check=False,
    )
    return None if tried.returncode == 0 else f"namespaces are not to be had: {tried.stderr.strip()}"


def ip(words: str) -> None:
    subprocess.run(["ip", *words.split()], check=True, capture_output=True)


@pytest.fixture(scope="module")
def nodes() -> Iterator[list[str]]:
    """Names of two network namespaces that reach each other."""
    refused = may_make_namespaces()
    if refused:
        pytest.skip(refused)
    names = [f"vx{os.getpid()}{end}" for end in "ab"]
    for name in names:
        ip(f"netns add {name}")
    try:
        ip(f"link add {names[0]} netns {names[0]} type veth peer name {names[1]} netns {names[1]}")
        hosts = "127.0.0.1 localhost\n" + "".join(f"10.77.0.{n} {name}\n" for n, name in enumerate(names, start=1))
        for number, name in enumerate(names, start=1):
            (OF_NAMESPACES / name).mkdir(parents=True)
            (OF_NAMESPACES / name / "hosts").write_text(hosts)
            ip(f"-n {name} address add 10.77.0.{number}/24 dev {name}")
            ip(f"-n {name} link set {name} up")
            ip(f"-n {name} link set lo up")
            # By which every program finds the node's own address
            ip(f"-n {name} route add default via 10.77.0.{3 - number}")
        yield names
    finally:
        for name in names:
            ip(f"netns del {name}")
            shutil.rmtree(OF_NAMESPACES / name, ignore_errors=True)
            shutil.rmtree(Path("/tmp") / name, ignore_errors=True)


def processes_on(node: str) -> list[psutil.Process]:
    """Those in a network namespace."""
    wanted = (Path("/run/netns") / node).stat().st_ino
    found = []
    for process in psutil.process_iter():
        with suppress(OSError):
            if Path(f"/proc/{process.pid}/ns/net").stat().st_ino == wanted:
                found.append(process)
    return found


def left_of_a_run(node: str) -> list[str]:
    """Command lines of a run's processes that have not ended when they had the time."""
    of_a_run = []
    for process in processes_on(node):
        with suppress(psutil.Error):
            if any(word in " ".join(process.cmdline()) for word in OF_A_RUN):
                of_a_run.append(process)
    _gone, left = psutil.wait_procs(of_a_run, timeout=DYING_SECONDS)
    return [" ".join(process.cmdline()) for process in left]


@dataclass(frozen=True)
class Ended:
    """A job, and what was there of it."""

    code: int
    shown: str
    first_steps: RunDigest
    """Of the first two."""
    left_of_run: list[str]
    """Processes on the first node, before Ray has ended there."""
    left_of_job: list[psutil.Process]


@pytest.fixture(scope="module")
def job(nodes, models, data, tmp_path_factory) -> Ended:
    """Slurm's script on both nodes, with the launcher for a recipe, and nothing more from the second node after the fifth step."""
    folder = tmp_path_factory.mktemp("two_nodes")
    recipe = folder / "recipe.sh"
    recipe.write_text(RECIPE)
    variables = {
        "PATH": f"{STUBS}:{os.environ['PATH']}",
        "TEST_NODES": " ".join(nodes),
        "FOLDER": str(folder),
        "SLURM_SUBMIT_DIR": str(ROOT),
        "SLURM_JOB_NODELIST": "nodes[1-2]",
        "SLURM_JOB_NUM_NODES": "2",
        "N_GPUS": "1",
        "RAY_START_OPTIONS": "--num-gpus=1 --num-cpus=8 --object-store-memory=200000000",
        "RAY_worker_niceness": "0",
    }
    options = [*small(data, models["untied"]), *TWO_RANKS_PAPER]
    options += ["trainer.total_training_steps=240", f"trainer.output_dir={folder / 'run'}"]
    log = folder / "shown"
    with log.open("w") as shown:
        process = subprocess.Popen(
            ["bash", str(ROOT / "launch/slurm.sbatch"), str(recipe), *options],
            stdout=shown,
            stderr=subprocess.STDOUT,
            env=environment() | variables,
            cwd=folder,
            start_new_session=True,
        )

    def until(happened: Callable[[], bool]) -> None:
        while not happened():
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)

    has_ended = (folder / "ended").exists
    try:
        until(lambda: "step   5/240 | " in log.read_text() or has_ended())
        assert not has_ended(), log.read_text()
        ip(f"-n {nodes[1]} link set {nodes[1]} down")
        until(has_ended)
        left_of_run = left_of_a_run(nodes[0])
        all_processes = [*processes_on(nodes[0]), *processes_on(nodes[1])]
        (folder / "seen").touch()
        process.wait()
        _gone, left_of_job = psutil.wait_procs(all_processes, timeout=DYING_SECONDS)
        whole = digest(folder / "run", 2)
        first_steps = whole._replace(metrics=whole.metrics[:2])
        return Ended(process.returncode, log.read_text(), first_steps, left_of_run, left_of_job)
    finally:
        for end in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, end)
            with suppress(subprocess.TimeoutExpired):
                process.wait(DYING_SECONDS)
        for one in [*processes_on(nodes[0]), *processes_on(nodes[1])]:
            with suppress(psutil.NoSuchProcess):
                one.kill()


def test_a_rank_on_each_of_two_nodes_is_two_ranks_on_one(job, run_of):
    """Samples, metrics and weights to the bit; each node's engine has sampled with the weights that were pushed to it."""
    assert "Ray at 10.77.0.1:6379 over 2 nodes with 1 devices each" in job.shown
    one_node = run_of("two ranks", "paper")
    assert one_node.code == 0, one_node.shown
    assert list(job.first_steps.differences(digest(one_node.folder, 2))) == []


def test_a_node_that_falls_silent_ends_the_run(job, nodes):
    assert job.code == 1, job.shown
    (said,) = (line for line in job.shown.splitlines() if line.startswith("error"))
    assert f"node {nodes[1]} (10.77.0.2) is gone: " in said
    goes_on = r"Once Ray has 2 nodes again, this goes on from step [46]: python -m verl_ext\.training\.main device=cpu "
    assert re.search(goes_on, said)


def test_no_process_is_left(job):
    """Of the run on the node that was left, and of the job."""
    assert (job.left_of_run, job.left_of_job) == ([], [])
