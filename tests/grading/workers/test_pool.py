import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Future

import pytest

from verl_ext.grading import Reason
from verl_ext.grading.grade import grade
from verl_ext.grading.mathematics import finish, start
from verl_ext.grading.verdict import Decision, Tier
from verl_ext.grading.workers import budget
from verl_ext.grading.workers.pool import (
    WALL_SECONDS,
    Comparison,
    GraderPool,
    TimedOutError,
    WorkerError,
    _Task,
    _Worker,
)

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
    return {worker._process.pid for worker in pool._workers}


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
    worker = _Worker()
    worker.wait_until_ready()
    os.kill(worker._process.pid, signal.SIGSTOP)
    threading.Timer(1.0, os.kill, (worker._process.pid, signal.SIGCONT)).start()
    task = _Task(Comparison.SYMBOLIC, "2x", "x+x", Future())
    assert worker.ask(task, timeout_seconds=0.5, wall_seconds=WALL_SECONDS).is_same is True
    worker.kill()


def test_a_worker_that_stands_still_is_killed():
    worker = _Worker()
    worker.wait_until_ready()
    os.kill(worker._process.pid, signal.SIGSTOP)  # stuck as in C code: it hears no signal of Python's
    with pytest.raises(TimedOutError):
        worker.ask(_Task(Comparison.SYMBOLIC, "2x", "x+x", Future()), timeout_seconds=2.0, wall_seconds=0.1)
    assert not worker.is_alive


def test_an_overrun_is_tried_once_more_alone_and_after_what_waits(monkeypatch):
    """Two workers, two comparisons that overrun the first time: each runs again with no other beside it."""
    under_way, begun = set(), []

    def ask(self, task, timeout_seconds, wall_seconds):
        under_way.add(task.answer)
        begun.append((task.answer, task.has_overrun, set(under_way)))
        try:
            if task.answer == "never" or (task.answer == "late" and not task.has_overrun):
                raise TimedOutError("as planned")
            return Decision(True, Tier.SYMBOLIC, "")
        finally:
            under_way.discard(task.answer)

    monkeypatch.setattr(_Worker, "ask", ask)
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


def test_nothing_is_left_when_the_pool_closes_or_its_process_is_killed():
    with GraderPool(num_workers=2) as pool:
        pool.start(wait=True)
        ids = worker_ids(pool)
        assert ids <= children_of(os.getpid())
    assert not ids & children_of(os.getpid())
    program = (
        "import os, sys, time; from verl_ext.grading.workers.pool import GraderPool\n"
        "pool = GraderPool(num_workers=1).start(wait=True)\n"
        "print(next(iter(pool._workers))._process.pid, flush=True); time.sleep(3600)"
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
