r"""Mathematical answers: extraction, limits, and the cascade of comparisons from strings to worker processes.

``start`` does everything that needs no worker and no waiting; it returns a verdict, or a ``Pending`` that the symbolic
tier has to decide. ``grade_math`` waits for that; ``grade_math_async`` awaits it.
"""

import asyncio
import logging
import os
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from verl_ext.grading.answers.brackets import braces, is_balanced
from verl_ext.grading.answers.compare import compare
from verl_ext.grading.answers.extract import CutBox, extract_answer, reference_boxes
from verl_ext.grading.answers.limits import MAX_ANSWER_CHARS, breach
from verl_ext.grading.answers.number_text import number_text
from verl_ext.grading.answers.spelling import key, normalize
from verl_ext.grading.verdict import Decision, Reason, Tier, Verdict
from verl_ext.grading.workers.pool import DEFAULT_TIMEOUT_SECONDS, GraderPool, TimedOutError, WorkerError

GRADER_VERSION = "1"
"""Part of every cached decision's key: a grader that decides otherwise starts afresh."""
MATH_FALLBACKS = ("phrase", "bold", "math", "bare", "brackets")
GSM8K_FALLBACKS = ("hashes", "phrase", "last_number")
MAX_CACHED = 200_000
FILE_TIMEOUT_SECONDS = 30.0
"""How long a decision waits for a file that other processes read and write, each for milliseconds."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pending:
    """An answer that the tiers of this process cannot decide."""

    reference: str
    answer: str
    rule: str


def parse_reference(reference: object) -> str:
    r"""The answer a reference holds: itself, or the content of its boxes where it is a whole solution.

    Raises:
        ValueError: It is no text, empty, beyond the limits of an answer, or its brackets say that it was cut.
    """
    if isinstance(reference, dict) and "target" in reference:
        reference = reference["target"]
    if isinstance(reference, int | float) and not isinstance(reference, bool):
        reference = _number_of(reference)
    if not isinstance(reference, str):
        raise ValueError(f"The ground truth of a math row must be a text, got {reference!r:.200}.")
    return _parsed_reference(reference)


def _number_of(reference: int | float) -> str:
    try:
        return number_text(reference)
    except ValueError as error:
        raise ValueError(f"The ground truth {error}") from None


@lru_cache(maxsize=65536)
def _parsed_reference(reference: str) -> str:
    boxes = reference_boxes(reference)
    answer = ", ".join(boxes) if boxes else reference.strip()
    if "####" in answer:
        answer = answer.rsplit("####", 1)[1].strip()
    if not key(answer):
        raise ValueError(f"The ground truth {reference!r:.200} is empty: every answer would be wrong.")
    why = breach(answer)
    if why:
        raise ValueError(f"The ground truth {reference!r:.200} cannot be compared with: {why}.")
    if not is_balanced(braces(answer)):
        raise ValueError(f"The ground truth {reference!r:.200} is cut: its braces do not match.")
    return answer


def start(response: str, reference: str, *, is_truncated: bool, fallbacks: Sequence[str]) -> Verdict | Pending:
    """Grade as far as this process can: extraction, limits, strings, exact numbers, types."""
    # A response that was cut has no last sentence to fall back on, so only a box counts.
    found = extract_answer(response, () if is_truncated else fallbacks)
    if isinstance(found, CutBox):
        if is_truncated:
            return Verdict(Reason.TRUNCATED, None, rule="", tier=Tier.EXTRACTION, detail="cut inside its last box")
        found = found.before
    if found is None:
        if is_truncated:
            return Verdict(Reason.TRUNCATED, None, rule="", tier=Tier.EXTRACTION, detail="cut before an answer")
        return Verdict(Reason.NO_ANSWER, None, rule="", tier=Tier.EXTRACTION, detail="no box and no other mark")
    text, rule = found
    answer = text[:MAX_ANSWER_CHARS]
    if not text.strip():
        return Verdict(Reason.NO_ANSWER, None, rule, tier=Tier.EXTRACTION, detail="the answer is empty")
    why = breach(text)
    if why:
        return Verdict(Reason.UNPARSABLE, answer, rule, tier=Tier.LIMITS, detail=why)
    try:
        decision = compare(reference, text)
    except RecursionError:
        return Verdict(Reason.UNPARSABLE, answer, rule, tier=Tier.LIMITS, detail="too many parts within parts")
    if decision.is_same is None:
        return Pending(reference, text, rule)
    return verdict_of(decision, answer, rule)


def verdict_of(decision: Decision, answer: str, rule: str) -> Verdict:
    if decision.is_same is None:
        return Verdict(Reason.UNPARSABLE, answer, rule, tier=decision.tier, detail=decision.detail)
    reason = Reason.CORRECT if decision.is_same else Reason.INCORRECT
    return Verdict(reason, answer, rule, tier=decision.tier, detail=decision.detail)


class DecisionCache:
    """Decisions of the symbolic tier: each distinct (reference, answer) is compared once, also while one is under way.

    Args:
        path: An SQLite file that outlives the process, and that other processes may share; without one, decisions live in
            memory only.
        max_entries: Kept in memory, the least recently used are dropped.
    """

    def __init__(self, path: str | Path | None = None, max_entries: int = MAX_CACHED) -> None:
        self._entries: OrderedDict[tuple[str, str, str], Decision] = OrderedDict()
        self._in_flight: dict[tuple[str, str, str], Future[Decision]] = {}
        self._max_entries = max_entries
        self._lock = threading.Lock()
        self._file = None if path is None else _DecisionFile(path)

    def submit(self, pool: GraderPool, reference: str, answer: str, kind: str = "symbolic") -> "Future[Decision]":
        """The decision, known or to come. Time-outs and faults are not kept: another try may end otherwise.

        Never waits, for an event loop calls it.
        """
        # Spelling is settled before, so that "1/2" and " 1 / 2 " are one entry.
        entry = kind, normalize(reference), normalize(answer)
        promised: Future[Decision] = Future()
        with self._lock:
            decision = self._entries.get(entry)
            if decision is not None:
                self._entries.move_to_end(entry)
                promised.set_result(decision)
                return promised
            future = self._in_flight.get(entry)
            if future is not None:
                return future
            self._in_flight[entry] = promised
        promised.set_running_or_notify_cancel()  # nobody cancels what others wait for

        def compare_in_pool() -> None:
            try:
                pool.submit(reference, answer, kind).add_done_callback(compared)
            except RuntimeError as error:  # it is closed; here, in another thread, nobody would hear of it
                failed: Future[Decision] = Future()
                failed.set_exception(error)
                self._keep(entry, promised, failed)

        def compared(finished: "Future[Decision]") -> None:
            if self._file is None or finished.cancelled() or finished.exception() is not None:
                self._keep(entry, promised, finished)
            else:
                decision = finished.result()
                written = self._file.write(entry, decision)
                written.add_done_callback(lambda _written: self._keep(entry, promised, finished))

        def looked_up(found: "Future[Decision | None]") -> None:
            if found.cancelled() or found.exception() is not None or found.result() is not None:
                self._keep(entry, promised, found)
            else:
                compare_in_pool()

        if self._file is None:
            compare_in_pool()
        else:
            self._file.read(entry).add_done_callback(looked_up)
        return promised

    def _keep(self, entry: tuple[str, str, str], promised: "Future[Decision]", finished: "Future[Any]") -> None:
        """Remember what ``finished`` came to, and pass it on."""
        error = None if finished.cancelled() else finished.exception()
        with self._lock:
            self._in_flight.pop(entry, None)
            if not finished.cancelled() and error is None:
                self._entries[entry] = finished.result()
                while len(self._entries) > self._max_entries:
                    self._entries.popitem(last=False)
        if finished.cancelled():
            promised.set_exception(WorkerError("the grader was closed before it had compared"))
        elif error is not None:
            promised.set_exception(error)
        else:
            promised.set_result(finished.result())


class _DecisionFile:
    """Decisions in SQLite, read and written in a thread of its own: another process may hold the file for seconds."""

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path).expanduser()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="grader-cache")
        self._connection: sqlite3.Connection | None = None

    def read(self, entry: tuple[str, str, str]) -> "Future[Decision | None]":
        return self._thread.submit(self._read, entry)

    def write(self, entry: tuple[str, str, str], decision: Decision) -> "Future[None]":
        return self._thread.submit(self._write, entry, decision)

    def _database(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = sqlite3.connect(self._path, isolation_level=None, timeout=FILE_TIMEOUT_SECONDS)
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS decisions (version TEXT, kind TEXT, reference TEXT, answer TEXT, is_same INTEGER,"
                " tier TEXT, detail TEXT, PRIMARY KEY (version, kind, reference, answer)) WITHOUT ROWID"
            )
        return self._connection

    def _read(self, entry: tuple[str, str, str]) -> Decision | None:
        row = (
            self._database()
            .execute(
                "SELECT is_same, tier, detail FROM decisions WHERE version = ? AND kind = ? AND reference = ? AND answer = ?",
                (GRADER_VERSION, *entry),
            )
            .fetchone()
        )
        return None if row is None else Decision(None if row[0] is None else bool(row[0]), Tier(row[1]), row[2])

    def _write(self, entry: tuple[str, str, str], decision: Decision) -> None:
        try:
            self._database().execute(
                "INSERT OR REPLACE INTO decisions VALUES (?, ?, ?, ?, ?, ?, ?)",
                (GRADER_VERSION, *entry, decision.is_same, decision.tier, decision.detail),
            )
        except sqlite3.Error:  # the decision stands; it will be made again where it could not be written
            logger.exception("VERL_EXT_GRADER_CACHE=%s: a decision could not be written.", self._path)


_lock = threading.Lock()
_pool: GraderPool | None = None
_cache: DecisionCache | None = None
_owner_pid = 0


def default_pool() -> tuple[GraderPool, DecisionCache]:
    """The process's own pool and cache, made at the first use. A forked child makes its own.

    Settings of the environment, because verl's reward workers take no arguments of ours: VERL_EXT_GRADER_WORKERS and
    VERL_EXT_GRADER_SECONDS (processor time of one comparison) for the pool, VERL_EXT_GRADER_CACHE for a file of decisions
    that lasts.
    """
    global _pool, _cache, _owner_pid
    with _lock:
        if _pool is None or _cache is None or _owner_pid != os.getpid():
            num_workers = os.environ.get("VERL_EXT_GRADER_WORKERS")
            seconds = float(os.environ.get("VERL_EXT_GRADER_SECONDS", DEFAULT_TIMEOUT_SECONDS))
            _pool = GraderPool(int(num_workers) if num_workers else None, timeout_seconds=seconds)
            _cache = DecisionCache(os.environ.get("VERL_EXT_GRADER_CACHE"))
            _owner_pid = os.getpid()
        return _pool, _cache


def submit(pending: Pending) -> "Future[Decision]":
    """Ask the process's own pool, or its cache."""
    pool, cache = default_pool()
    return cache.submit(pool, pending.reference, pending.answer)


def grade_math(
    response: str, reference: str, *, is_truncated: bool, fallbacks: Sequence[str] = MATH_FALLBACKS
) -> Verdict:
    """Grade and wait for the worker where one is needed."""
    begun = start(response, reference, is_truncated=is_truncated, fallbacks=fallbacks)
    if isinstance(begun, Verdict):
        return begun
    return finish(begun, submit(begun))


async def grade_math_async(
    response: str, reference: str, *, is_truncated: bool, fallbacks: Sequence[str] = MATH_FALLBACKS
) -> Verdict:
    """``grade_math`` for an event loop: other responses are graded while a worker is busy."""
    begun = start(response, reference, is_truncated=is_truncated, fallbacks=fallbacks)
    if isinstance(begun, Verdict):
        return begun
    future = submit(begun)
    done = asyncio.Event()
    loop = asyncio.get_running_loop()
    # Not asyncio.wrap_future: cancelling one caller would cancel the future that others wait for.
    future.add_done_callback(lambda _finished: loop.call_soon_threadsafe(done.set))
    await done.wait()
    return finish(begun, future)


def finish(pending: Pending, future: "Future[Decision]") -> Verdict:
    """The verdict of a pending answer once its comparison is done (waits for it)."""
    answer = pending.answer[:MAX_ANSWER_CHARS]
    try:
        decision = future.result()
    except TimedOutError as error:
        return Verdict(Reason.TIMED_OUT, answer, pending.rule, tier=Tier.SYMBOLIC, detail=str(error))
    except WorkerError as error:
        return Verdict(Reason.GRADER_ERROR, answer, pending.rule, tier=Tier.GRADER, detail=str(error))
    return verdict_of(decision, answer, pending.rule)
