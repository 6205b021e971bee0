"""Worker processes for the symbolic tier, which end and are replaced when they overrun.

What counts is a worker's own processor time (``budget``), so that a verdict does not depend on what else the machine
does; a wall clock far behind it is for a worker that stands still. What overran is compared once more, alone, when
nothing else waits: only then is it a time-out.

Usable from threads, from asyncio and from plain code: ``submit`` returns a ``concurrent.futures.Future`` at once. One
thread per worker waits for it, so the caller never blocks and never parses LaTeX. Workers start with the first task (or
``start``), and end with the process that owns them, however that ends.
"""

import atexit
import json
import os
import select
import subprocess
import sys
import threading
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from verl_ext.grading.verdict import Decision, Tier
from verl_ext.grading.workers.budget import OVERRUN
from verl_ext.grading.workers.settings import DEFAULT_TIMEOUT_SECONDS
from verl_ext.host.threads import ONE_THREAD

WALL_SECONDS = 600.0
"""For one comparison, and for a worker's start: reached by what stands still, on the busiest machine by nothing else."""
WORKER = "verl_ext.grading.workers.worker"


class Comparison(StrEnum):
    """What a worker can be asked."""

    SYMBOLIC = "symbolic"
    """The last tier of the default grader."""
    MATH_VERIFY = "math_verify"
    """Math-Verify alone, for a second opinion."""
    PAPER = "paper"
    """The paper's rules, in a child without rights."""


class TimedOutError(Exception):
    """The comparison needed more than the pool allows."""


class WorkerError(RuntimeError):
    """The comparison failed in the worker. This says nothing about the answer."""


@dataclass
class _Task:
    comparison: Comparison
    reference: str
    answer: str
    future: "Future[Decision]"
    has_overrun: bool = False

    def give_up(self) -> None:
        """For a pool that was closed: whoever waits hears of it."""
        if not self.future.cancel():
            self.future.set_exception(WorkerError("the pool of graders was closed"))


class _Tasks:
    """What waits: new tasks in their order, then, one at a time with no other under way, those that have overrun."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._new: deque[_Task] = deque()
        self._overrun: deque[_Task] = deque()
        self._num_under_way = 0
        self._is_alone = False
        self._is_closed = False

    def put(self, task: _Task) -> None:
        with self._changed:
            if self._is_closed:
                task.give_up()
                return
            (self._overrun if task.has_overrun else self._new).append(task)
            self._changed.notify_all()

    def take(self) -> _Task | None:
        """The next task, once there is one; None when closed. To be followed by ``done``."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or self._has_next())
            if self._is_closed:
                return None
            self._is_alone = not self._new
            self._num_under_way += 1
            return (self._new or self._overrun).popleft()

    def _has_next(self) -> bool:
        if self._is_alone:
            return False
        return bool(self._new) or (bool(self._overrun) and not self._num_under_way)

    def done(self) -> None:
        with self._changed:
            self._num_under_way -= 1
            self._is_alone = False
            self._changed.notify_all()

    def close(self) -> None:
        """End every ``take`` and give up what waits."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
            left = [*self._new, *self._overrun]
        for task in left:
            task.give_up()


class GraderPool:
    """A few processes that compare formulas.

    Args:
        num_workers: Processes; by default one per core, at most 4.
        timeout_seconds: Processor time of one comparison, after which its worker ends. Seconds of a fast processor: a
            slower one gets more of them.
    """

    def __init__(self, num_workers: int | None = None, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS) -> None:
        self.num_workers = num_workers or min(4, os.cpu_count() or 1)
        self.timeout_seconds = timeout_seconds
        self._tasks = _Tasks()
        self._threads: list[threading.Thread] = []
        self._workers: set[_Worker] = set()
        self._lock = threading.Lock()
        self._is_closed = False

    def start(self, *, wait: bool = False) -> "GraderPool":
        """Start the workers now, so that the first comparison does not wait for their imports."""
        with self._lock:
            if self._is_closed:
                raise RuntimeError("This GraderPool is closed.")
            if not self._threads:
                atexit.register(self.close)
                self._threads = [
                    threading.Thread(target=self._serve, name=f"grader-{index}", daemon=True)
                    for index in range(self.num_workers)
                ]
                for thread in self._threads:
                    thread.start()
        if wait:
            warm_up = [self.submit(r"\sqrt{8}", r"2\sqrt{2}") for _ in range(self.num_workers)]
            for future in warm_up:
                future.result()
        return self

    def submit(self, reference: str, answer: str, comparison: Comparison = Comparison.SYMBOLIC) -> "Future[Decision]":
        """Compare in a worker. The future raises TimedOutError or WorkerError where there is no decision."""
        self.start()
        future: Future[Decision] = Future()
        self._tasks.put(_Task(comparison, reference, answer, future))
        return future

    def close(self) -> None:
        """Kill the workers and end the threads; comparisons that wait are cancelled."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            workers = list(self._workers)
        self._tasks.close()
        for worker in workers:
            worker.end()
        atexit.unregister(self.close)

    def __enter__(self) -> "GraderPool":
        return self.start()

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def _serve(self) -> None:
        worker: _Worker | None = None
        while (task := self._tasks.take()) is not None:
            try:
                worker = self._attempt(task, worker)
            finally:
                self._tasks.done()
        if worker is not None:
            self._forget(worker)

    def _attempt(self, task: _Task, worker: "_Worker | None") -> "_Worker | None":
        """Compare once, and return the worker of the next comparison."""
        if worker is not None and not worker.is_alive:  # somebody killed it while it had nothing to do
            self._forget(worker)
            worker = None
        if not task.has_overrun and not task.future.set_running_or_notify_cancel():
            return worker
        try:
            if worker is None:
                worker = self._new_worker()
            task.future.set_result(worker.ask(task, self.timeout_seconds, WALL_SECONDS))
        except TimedOutError as error:
            if task.has_overrun:
                task.future.set_exception(error)
            else:
                task.has_overrun = True
                self._tasks.put(task)
        except Exception as error:  # noqa: BLE001  the future carries it to whoever asked
            task.future.set_exception(error)
        if worker is None or worker.is_alive:
            return worker
        self._forget(worker)
        return self._respawned()

    def _respawned(self) -> "_Worker | None":
        """A worker in place of a killed one, warm before the next comparison needs it."""
        if self._is_closed:
            return None
        try:
            return self._new_worker()
        except WorkerError:
            return None  # the next comparison tries again, and says what is wrong

    def _new_worker(self) -> "_Worker":
        worker = _Worker()
        with self._lock:
            self._workers.add(worker)
        try:
            worker.wait_until_ready()
        except WorkerError:
            self._forget(worker)
            raise
        return worker

    def _forget(self, worker: "_Worker") -> None:
        worker.kill()
        with self._lock:
            self._workers.discard(worker)


class _Worker:
    """One process and the pipes to it. Used by one thread."""

    def __init__(self) -> None:
        # Neither CUDA nor many threads: the work is small and single-threaded. OpenBLAS sets aside memory for each thread
        # when numpy is imported, which on a machine of many cores is more than a worker may have.
        environment = os.environ | ONE_THREAD | {"CUDA_VISIBLE_DEVICES": ""}
        root = str(Path(__file__).resolve().parents[3])
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        self._process = subprocess.Popen(
            [sys.executable, "-m", WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )
        self._buffer = b""
        self._num_tasks = 0

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def wait_until_ready(self) -> None:
        try:
            message = self._read(WALL_SECONDS, f"a worker of the grader did not start within {WALL_SECONDS:g} s")
        except TimedOutError as error:
            raise WorkerError(str(error)) from None
        if message.get("self_test_failures"):
            raise WorkerError(
                "The libraries of the symbolic tier give other verdicts than they should on "
                f"{message['self_test_failures']}: check sympy, mpmath, math-verify and antlr4-python3-runtime."
            )

    def ask(self, task: _Task, timeout_seconds: float, wall_seconds: float) -> Decision:
        self._num_tasks += 1
        message = {
            "id": self._num_tasks,
            "comparison": task.comparison,
            "reference": task.reference,
            "answer": task.answer,
            "seconds": timeout_seconds,
        }
        stdin = self._process.stdin
        assert stdin is not None
        try:
            stdin.write(json.dumps(message).encode() + b"\n")
            stdin.flush()
        except BrokenPipeError:
            raise WorkerError("a worker of the grader has died") from None
        reply = self._read(wall_seconds, f"no decision within {timeout_seconds:g} s of processor time")
        if "overran" in reply:
            raise TimedOutError(reply["overran"])
        if "error" in reply:
            raise WorkerError(reply["error"])
        return Decision(reply["is_same"], Tier(reply["tier"]), reply["detail"])

    def _read(self, wall_seconds: float, what_overran: str) -> dict[str, Any]:
        """One message, or TimedOutError with the process gone."""
        stdout = self._process.stdout
        assert stdout is not None
        deadline = time.monotonic() + wall_seconds
        # poll, not select: a process of Ray may hold more than 1,024 files.
        readable = select.poll()
        readable.register(stdout, select.POLLIN)
        while b"\n" not in self._buffer:
            remaining = deadline - time.monotonic()
            if remaining <= 0 or not readable.poll(remaining * 1000):
                self.kill()
                raise TimedOutError(what_overran)
            piece = os.read(stdout.fileno(), 65536)
            if not piece:
                code = self._process.wait()
                if -code in OVERRUN:
                    raise TimedOutError(what_overran)
                raise WorkerError(f"a worker of the grader ended with exit code {code}")
            self._buffer += piece
        line, _, self._buffer = self._buffer.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message

    def end(self) -> None:
        """End the process. Its pipes stay open for the thread that may be reading them."""
        self._process.kill()
        self._process.wait()

    def kill(self) -> None:
        self.end()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue
