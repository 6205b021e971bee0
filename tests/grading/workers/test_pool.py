import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from importlib.util import find_spec

import pytest

from verl_ext.grading import Reason, grade
from verl_ext.grading.mathematics import finish, start
from verl_ext.grading.verdict import Decision, Tier
from verl_ext.grading.workers import budget
from verl_ext.grading.workers.pool import GraderPool
from verl_ext.grading.workers.process import COMMAND, Comparison, TimedOutError, Worker, WorkerError, worker_environment

COSTLY = (r"\sum_{k=1}^{10^{9}} \frac{1}{k^{2}}", "1")
"""A comparison that takes minutes."""


@pytest.fixture(scope="module")
def pool():
    with GraderPool(num_workers=1) as pool:
        pool.start(wait=True)
        yield pool


def children_of(process_id):
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(process_id)], capture_output=True, text=True, check=False
    )
    return {int(line) for line in listed.stdout.split()}


def worker_ids(pool):
    return {worker.process_id for worker in pool.workers if worker.process_id}


def test_decides(pool):
    assert pool.submit("(x+1)^2", "x^2+2x+1").result().is_same is True
    assert pool.submit("(x+1)^2", "x^2+2x+2").result().is_same is False


def test_a_comparison_that_overruns_ends_its_worker_and_the_next_one_is_decided():
    with GraderPool(num_workers=1, timeout_seconds=0.2) as pool:
        pool.start(wait=True)
        before = worker_ids(pool)
        with pytest.raises(TimedOutError, match=r"no decision within 0.2 s of processor time"):
            pool.submit(*COSTLY).result()
        assert pool.submit("2x", "x+x").result().is_same is True
        assert not before & worker_ids(pool)
        assert not before & children_of(os.getpid())


def test_processor_time_counts_and_time_that_passes_does_not():
    """A worker that is stopped for longer than its budget, as one is on a busy machine, still decides."""
    worker = Worker()
    worker.start()
    os.kill(worker.process_id, signal.SIGSTOP)
    threading.Timer(1.0, os.kill, (worker.process_id, signal.SIGCONT)).start()
    assert worker.compare(Comparison.SYMBOLIC, "2x", "x+x", timeout_seconds=0.5).is_same is True
    worker.release()


def test_a_worker_that_stands_still_is_killed():
    worker = Worker()
    worker.start()
    os.kill(worker.process_id, signal.SIGSTOP)  # stuck as in C code: it hears no signal of Python's
    with pytest.raises(TimedOutError):
        worker.compare(Comparison.SYMBOLIC, "2x", "x+x", timeout_seconds=2.0, wall_seconds=0.1)
    assert worker.process_id is None
    worker.release()


def test_an_overrun_is_tried_once_more_alone_and_after_what_waits(monkeypatch):
    """Two workers, two comparisons that overrun the first time: each runs again with no other beside it."""
    under_way, begun = set(), []

    def compare(self, comparison, reference, answer, timeout_seconds, conventions):
        under_way.add(answer)
        has_overrun = answer in [earlier for earlier, *_ in begun]
        begun.append((answer, has_overrun, set(under_way)))
        try:
            if answer == "never" or (answer == "late" and not has_overrun):
                raise TimedOutError("as planned")
            return Decision(True, Tier.SYMBOLIC, "")
        finally:
            under_way.discard(answer)

    monkeypatch.setattr(Worker, "compare", compare)
    with GraderPool(num_workers=2) as pool:
        futures = {answer: pool.submit("x", answer) for answer in ["late", "never", *"abcdefgh"]}
        assert futures["late"].result().is_same is True
        with pytest.raises(TimedOutError, match="as planned"):
            futures["never"].result()
    assert sorted(answer for answer, has_overrun, _ in begun if not has_overrun) == sorted(futures)
    assert sorted(answer for answer, has_overrun, _ in begun[-2:] if has_overrun) == ["late", "never"]
    assert all(beside == {answer} for answer, has_overrun, beside in begun if has_overrun)


def test_a_pool_that_closes_leaves_nobody_waiting():
    pool = GraderPool(num_workers=1, timeout_seconds=600.0).start(wait=True)
    _, at_work = busy_worker(pool)
    waiting = [pool.submit("2x", "x+x") for _ in range(2)]
    pool.close()
    with pytest.raises(WorkerError):
        at_work.result()
    assert all(future.cancelled() for future in waiting)
    with pytest.raises(RuntimeError, match="is closed"):
        pool.submit("x", "y")


def test_a_slower_processor_gets_more_seconds(monkeypatch):
    monkeypatch.setattr(budget, "_work", lambda: None)
    assert budget.slowness.__wrapped__() == 1.0, "a faster one keeps its budget"
    ticks = iter([0.0, 0.036, 1.0, 1.024, 2.0, 2.060])
    monkeypatch.setattr(budget.time, "process_time", lambda: next(ticks))
    assert budget.slowness.__wrapped__() == pytest.approx(2.0), "the best of three tries, twice the reference's"


def busy_worker(pool):
    """The one worker of a pool, at work on something that takes minutes, and the future of that."""
    (worker,) = worker_ids(pool)
    future = pool.submit(*COSTLY)
    while not future.running():
        time.sleep(0.01)
    return worker, future


def test_a_worker_that_dies_is_an_error_of_the_grader_and_is_replaced():
    with GraderPool(num_workers=1, timeout_seconds=600.0) as pool:
        pool.start(wait=True)
        victim, future = busy_worker(pool)
        os.kill(victim, signal.SIGKILL)
        with pytest.raises(WorkerError):
            future.result()
        assert pool.submit("2x", "x+x").result().is_same is True
        (victim,) = worker_ids(pool)
        os.kill(victim, signal.SIGKILL)  # with nothing to do: nobody is told
        os.waitid(os.P_PID, victim, os.WEXITED | os.WNOWAIT)
        assert pool.submit("2x", "x+x").result().is_same is True
        assert victim not in worker_ids(pool)


def test_reasons_of_time_out_and_fault():
    pending = start(r"\boxed{x+y}", "y+x", is_truncated=False, fallbacks=())
    died = Future()
    died.set_exception(WorkerError("a worker of the grader has died"))
    assert finish(pending, died).reason is Reason.GRADER_ERROR
    overran = Future()
    overran.set_exception(TimedOutError("no decision within 2 s of processor time"))
    verdict = finish(pending, overran)
    assert (verdict.reason, verdict.answer) == (Reason.TIMED_OUT, "x+y")


def test_a_worker_loads_neither_torch_nor_verl():
    program = (
        "import sys, verl_ext.grading.workers.worker, verl_ext.grading.formulas.symbolic, math_verify;"
        "sys.exit(str({'torch', 'verl', 'ray', 'vllm'} & set(sys.modules) or '') or None)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_worker_has_one_thread_and_is_silent_whatever_its_parent_has():
    """More threads of OpenBLAS than its memory allows end a process while it imports numpy, with lines on the terminal."""
    tasks = [
        {"comparison": comparison, "reference": "(x+1)^2", "answer": "x^2+2x+1", "seconds": 60.0}
        for comparison in Comparison
        if comparison is not Comparison.REASONING_GYM
    ]
    if find_spec("reasoning_gym"):
        entry = {"question": "4 + 3 =", "answer": "7", "metadata": {}}
        reference = json.dumps({"task": "chain_sum", "options": {}, "entry": entry, "threshold": 1})
        tasks.append({"comparison": "reasoning_gym", "reference": reference, "answer": "7", "seconds": 60.0})
    environment = worker_environment(os.environ | {"OPENBLAS_NUM_THREADS": "64", "OMP_NUM_THREADS": "64"})
    program = (
        "import runpy, sys\n"
        f"runpy.run_module({COMMAND[-1]!r}, run_name='__main__')\n"
        "import numpy\n"
        "print(open('/proc/self/status').read().partition('Threads:')[2].split()[0])"
    )
    done = subprocess.run(
        [*COMMAND[:2], "-c", program],
        input="".join(json.dumps(task) + "\n" for task in tasks),
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    ready, *replies = done.stdout.splitlines()
    assert json.loads(ready) == {"self_test_failures": []}
    assert [json.loads(reply)["is_same"] for reply in replies] == [True] * len(tasks)
    *lines, num_threads = done.stderr.splitlines()  # a worker prints there, too
    assert num_threads == "1"
    assert not [line for line in lines if "OpenBLAS" in line]


def test_a_worker_imports_nothing_from_the_current_folder(tmp_path, monkeypatch):
    (tmp_path / "json.py").write_text("raise SystemExit('shadowed')")
    monkeypatch.chdir(tmp_path)
    worker = Worker()
    worker.start()
    worker.release()


def test_nothing_is_left_when_the_pool_closes_or_its_process_is_killed():
    with GraderPool(num_workers=2) as pool:
        pool.start(wait=True)
        ids = worker_ids(pool)
        assert ids <= children_of(os.getpid())
    assert not ids & children_of(os.getpid())
    program = (
        "import os, sys, time; from verl_ext.grading.workers.pool import GraderPool\n"
        "pool = GraderPool(num_workers=1).start(wait=True)\n"
        "print(pool.workers[0].process_id, flush=True); time.sleep(3600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    worker = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    while os.path.exists(f"/proc/{worker}"):  # until the test's own time is up
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("response", "is_truncated", "reason"),
    [
        (r"\boxed{42}", False, Reason.CORRECT),
        (r"\boxed{42}", True, Reason.CORRECT),
        (r"\boxed{43}", True, Reason.INCORRECT),
        (r"so \boxed{4", True, Reason.TRUNCATED),
        (r"so \boxed{4", False, Reason.NO_ANSWER),
        ("The answer is 42", True, Reason.TRUNCATED),
        ("I give up.", False, Reason.NO_ANSWER),
        (r"\boxed{}", False, Reason.NO_ANSWER),
        (r"\boxed{__import__('os')}", False, Reason.UNPARSABLE),
        (r"\boxed{" + "9" * 400 + "}", False, Reason.UNPARSABLE),
    ],
)
def test_reasons(response, is_truncated, reason):
    assert grade(response, "42", "math", is_truncated=is_truncated).reason is reason


@pytest.mark.parametrize("reference", ["", "  ", r"\text{}", None, 3.5j, r"\frac{1}{2", "9" * 400])
def test_a_reference_nobody_can_match_is_an_error_and_not_a_wrong_answer(reference):
    with pytest.raises(ValueError, match="ground truth"):
        grade(r"\boxed{1}", reference, "math")
