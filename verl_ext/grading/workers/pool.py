"""Worker processes that compare formulas, which end and are replaced when they overrun.

What counts is a worker's own processor time (``budget``), so that a verdict does not depend on what else the machine
does; a wall clock far behind it is for a worker that stands still. What overran is compared once more, alone, when
nothing else waits: only then is it a time-out.

Usable from threads, from asyncio and from plain code: ``submit`` returns a ``concurrent.futures.Future`` at once. One
thread per worker waits for it, so the caller never blocks and never parses LaTeX. Workers start with the first task (or
``start``), and end with the process that owns them, however that ends.
"""

import atexit
import os
import threading
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass

from verl_ext.grading.answers.conventions import DEFAULTS, Conventions
from verl_ext.grading.verdict import Decision
from verl_ext.grading.workers.process import Comparison, TimedOutError, Worker, WorkerError
from verl_ext.grading.workers.settings import DEFAULT_TIMEOUT_SECONDS


@dataclass
class _Task:
    comparison: Comparison
    reference: str
    answer: str
    conventions: Conventions
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
        """The next task, once there is one; None when closed. Call ``done`` when it has been attempted."""
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
        self.workers: list[Worker] = []
        """Empty until ``start``."""
        self._tasks = _Tasks()
        self._lock = threading.Lock()
        self._is_closed = False

    def start(self, *, wait: bool = False) -> "GraderPool":
        """Make the workers, which start with their first task; with ``wait``, start them and wait until they are warm."""
        with self._lock:
            if self._is_closed:
                raise RuntimeError("This GraderPool is closed.")
            if not self.workers:
                atexit.register(self.close)
                self.workers = [Worker() for _ in range(self.num_workers)]
                for index, worker in enumerate(self.workers):
                    threading.Thread(target=self._serve, args=[worker], name=f"grader-{index}", daemon=True).start()
        if wait:
            for future in self.warm_up():
                future.result()
        return self

    def warm_up(self) -> list["Future[Decision]"]:
        """Give each worker something to compare, so that the first answer does not wait for the imports."""
        return [self.submit(r"\sqrt{8}", r"2\sqrt{2}") for _ in range(self.num_workers)]

    def submit(
        self,
        reference: str,
        answer: str,
        comparison: Comparison = Comparison.SYMBOLIC,
        conventions: Conventions = DEFAULTS,
    ) -> "Future[Decision]":
        """Compare in a worker. The future raises TimedOutError or WorkerError where there is no decision."""
        self.start()
        future: Future[Decision] = Future()
        self._tasks.put(_Task(comparison, reference, answer, conventions, future))
        return future

    def close(self) -> None:
        """Kill the workers and end the threads; comparisons that wait are cancelled."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
        self._tasks.close()
        for worker in self.workers:
            worker.close()
        atexit.unregister(self.close)

    def __enter__(self) -> "GraderPool":
        return self.start()

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def _serve(self, worker: Worker) -> None:
        while (task := self._tasks.take()) is not None:
            try:
                self._attempt(task, worker)
            finally:
                self._tasks.done()
        worker.release()

    def _attempt(self, task: _Task, worker: Worker) -> None:
        if not task.has_overrun and not task.future.set_running_or_notify_cancel():
            return
        try:
            worker.start()
            decision = worker.compare(
                task.comparison,
                task.reference,
                task.answer,
                timeout_seconds=self.timeout_seconds,
                conventions=task.conventions,
            )
            task.future.set_result(decision)
        except TimedOutError as error:
            if task.has_overrun:
                task.future.set_exception(error)
            else:
                task.has_overrun = True
                self._tasks.put(task)
        except Exception as error:  # noqa: BLE001  the future carries it to whoever asked
            task.future.set_exception(error)
