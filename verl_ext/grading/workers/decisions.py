"""What the workers have decided: each distinct pair is compared once, also while its comparison is in flight."""

import asyncio
import logging
import os
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from verl_ext.grading.answers.conventions import DEFAULTS, Conventions
from verl_ext.grading.answers.spelling import normalize
from verl_ext.grading.verdict import Decision, Tier
from verl_ext.grading.workers.pool import GraderPool
from verl_ext.grading.workers.process import Comparison, WorkerError
from verl_ext.grading.workers.settings import CACHE, read_settings

GRADER_VERSION = "3"
"""Part of the key of every decision in a file: a grader that decides differently starts with an empty cache."""
MAX_ENTRIES = 200_000
FILE_TIMEOUT_SECONDS = 30.0
"""How long a decision waits for a file that other processes read and write, each for milliseconds."""

logger = logging.getLogger(__name__)


class Key(NamedTuple):
    """Pairs with the same key have the same decision."""

    kind: str
    """The comparison, and the conventions of it that are no defaults."""
    reference: str
    answer: str

    @classmethod
    def of(cls, reference: str, answer: str, comparison: Comparison, conventions: Conventions = DEFAULTS) -> "Key":
        """``1/2`` and `` 1 / 2 `` are one entry, except where every character is read."""
        if comparison in (Comparison.PAPER, Comparison.REASONING_GYM):
            return cls(comparison, reference, answer)
        kind = " ".join(filter(None, (comparison, str(conventions))))
        return cls(kind, normalize(reference), normalize(answer))


class DecisionCache:
    """Decisions of the workers, in memory and, where there is a file, beyond the life of the process.

    Time-outs and faults are not kept: the next attempt may end differently.

    Args:
        pool: Compares what is not known yet.
        path: An SQLite file that other processes may share.
        max_entries: Kept in memory; beyond it, the least recently used are dropped.
    """

    def __init__(self, pool: GraderPool, path: str | Path | None = None, max_entries: int = MAX_ENTRIES) -> None:
        self.pool = pool
        self._file = None if path is None else _DecisionFile(Path(path))
        self._max_entries = max_entries
        self._lock = threading.Lock()
        self._entries: OrderedDict[Key, Decision] = OrderedDict()
        self._in_flight: dict[Key, Future[Decision]] = {}

    def submit(
        self,
        reference: str,
        answer: str,
        comparison: Comparison = Comparison.SYMBOLIC,
        conventions: Conventions = DEFAULTS,
    ) -> "Future[Decision]":
        """The decision, known or to come. Never waits, because an event loop calls it; nobody may cancel it.

        The future raises TimedOutError or WorkerError where the workers do.
        """
        key = Key.of(reference, answer, comparison, conventions)
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
                return _done(self._entries[key])
            if key in self._in_flight:
                return self._in_flight[key]
            promised = self._in_flight[key] = Future[Decision]()
        promised.set_running_or_notify_cancel()  # others wait for it, so no caller can cancel it

        def compare(known: Decision | None) -> None:
            if known is not None:
                self._keep(key, known)
            else:
                self._then(key, self.pool.submit(reference, answer, comparison, conventions), partial(self._write, key))

        self._then(key, self._file.read(key) if self._file else _done(None), compare)
        return promised

    def _write(self, key: Key, decision: Decision) -> None:
        written = self._file.write(key, decision) if self._file else _done(None)
        self._then(key, written, lambda _written: self._keep(key, decision))

    def _keep(self, key: Key, decision: Decision) -> None:
        with self._lock:
            self._entries[key] = decision
            if len(self._entries) > self._max_entries:
                self._entries.popitem(last=False)
            promised = self._in_flight.pop(key)
        promised.set_result(decision)

    def _then(self, key: Key, future: "Future[Any]", action: Callable[[Any], None]) -> None:
        """Call ``action`` with the result of ``future``. A failure of either is what the waiting callers get."""

        def finished(future: "Future[Any]") -> None:
            try:
                action(future.result())
            except CancelledError:
                self._fail(key, WorkerError("the grader was closed before it had compared"))
            except Exception as error:  # noqa: BLE001  raised here, in another thread, nobody would see it
                self._fail(key, error)

        future.add_done_callback(finished)

    def _fail(self, key: Key, error: Exception) -> None:
        with self._lock:
            promised = self._in_flight.pop(key)
        promised.set_exception(error)


def _done(value: Any) -> "Future[Any]":
    future: Future[Any] = Future()
    future.set_result(value)
    return future


class _DecisionFile:
    """Decisions in SQLite, read and written in a thread of its own: another process may lock the file for seconds."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="grader-cache")
        self._connection: sqlite3.Connection | None = None

    def read(self, key: Key) -> "Future[Decision | None]":
        return self._thread.submit(self._read, key)

    def write(self, key: Key, decision: Decision) -> "Future[None]":
        return self._thread.submit(self._write, key, decision)

    def _database(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = sqlite3.connect(self._path, isolation_level=None, timeout=FILE_TIMEOUT_SECONDS)
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS decisions (version TEXT, kind TEXT, reference TEXT, answer TEXT, is_same INTEGER,"
                " tier TEXT, detail TEXT, PRIMARY KEY (version, kind, reference, answer)) WITHOUT ROWID"
            )
        return self._connection

    def _read(self, key: Key) -> Decision | None:
        query = "SELECT is_same, tier, detail FROM decisions WHERE version = ? AND kind = ? AND reference = ? AND answer = ?"
        row = self._database().execute(query, (GRADER_VERSION, *key)).fetchone()
        return None if row is None else Decision(None if row[0] is None else bool(row[0]), Tier(row[1]), row[2])

    def _write(self, key: Key, decision: Decision) -> None:
        try:
            self._database().execute(
                "INSERT OR REPLACE INTO decisions VALUES (?, ?, ?, ?, ?, ?, ?)", (GRADER_VERSION, *key, *decision)
            )
        except sqlite3.Error:  # the decision holds; it is made again where it could not be written
            logger.exception("%s=%s: a decision could not be written.", CACHE, self._path)


_lock = threading.Lock()
_own: DecisionCache | None = None
_owner_pid = 0


def shared_decisions() -> DecisionCache:
    """The cache and the pool that all graders of this process share, made at the first use as the environment says.

    A forked child makes its own.
    """
    global _own, _owner_pid
    with _lock:
        if _own is None or _owner_pid != os.getpid():
            settings = read_settings()
            _own = DecisionCache(GraderPool(settings.num_workers, settings.timeout_seconds), settings.cache)
            _owner_pid = os.getpid()
        return _own


async def settled(future: "Future[Decision]") -> None:
    """Wait on an event loop until ``future`` has a result or an exception.

    Unlike ``asyncio.wrap_future``, a cancelled caller does not cancel what others wait for.
    """
    done = asyncio.Event()
    loop = asyncio.get_running_loop()

    def wake(_finished: "Future[Decision]") -> None:
        if not loop.is_closed():  # the caller was cancelled, and its loop ended before the comparison
            loop.call_soon_threadsafe(done.set)

    future.add_done_callback(wake)
    await done.wait()
