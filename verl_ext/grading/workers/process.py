"""The parent's side of a worker: a process, the pipes to it, and another process when it has ended."""

import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Any

from verl_ext.grading.answers.conventions import DEFAULTS, Conventions
from verl_ext.grading.verdict import Decision, Tier
from verl_ext.grading.workers.budget import OVERRUN
from verl_ext.host.threads import ONE_THREAD

WALL_SECONDS = 600.0
"""For one comparison, and for the start of a process: only what stands still takes so long, even on a busy machine."""
COMMAND = (sys.executable, "-P", "-m", "verl_ext.grading.workers.worker")
"""-P: what lies in the current folder is not imported."""


class Comparison(StrEnum):
    """What a worker can be asked."""

    SYMBOLIC = "symbolic"
    """The last tier of the default grader."""
    MATH_VERIFY = "math_verify"
    """Math-Verify alone, for a second opinion."""
    PAPER = "paper"
    """The paper's rules, in a child without rights."""
    REASONING_GYM = "reasoning_gym"
    """The score of reasoning-gym, of a problem that the reference holds; in a child without rights, too."""


class TimedOutError(Exception):
    """The comparison needed more time than the pool allows."""


class WorkerError(RuntimeError):
    """The comparison failed in the worker. This says nothing about the answer."""


def worker_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """``environment`` for a worker, without CUDA and with one thread in each library.

    OpenBLAS sets aside memory for each thread when numpy is imported. On a machine with many cores that is more than a
    worker may have, and OpenBLAS then ends the process; so it does in the paper's child, which can start no threads.
    """
    root = str(Path(__file__).resolve().parents[3])
    path = os.pathsep.join(filter(None, [root, environment.get("PYTHONPATH")]))
    return {**environment, **ONE_THREAD, "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": path}


class Worker:
    """Compares in a process of its own. One thread uses it; any thread may close it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._unread = b""
        self._lock = threading.Lock()
        self._is_closed = False

    @property
    def process_id(self) -> int | None:
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self) -> None:
        """Start a process unless there is one, and wait until it can compare.

        Raises:
            WorkerError: It did not start, or its libraries decide differently than they should.
        """
        if self.process_id is not None:
            return
        self.release()
        with self._lock:
            if self._is_closed:
                raise WorkerError("the pool of graders was closed")
            self._process = subprocess.Popen(
                COMMAND,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=worker_environment(os.environ),
                start_new_session=True,
            )
        try:
            failures = self._read(WALL_SECONDS, f"a worker of the grader did not start within {WALL_SECONDS:g} s")
        except TimedOutError as error:
            raise WorkerError(str(error)) from None
        if failures["self_test_failures"]:
            self._kill()
            raise WorkerError(
                "The libraries of the symbolic tier give other verdicts than they should on "
                f"{failures['self_test_failures']}: check sympy, mpmath, math-verify and antlr4-python3-runtime."
            )

    def compare(
        self,
        comparison: Comparison,
        reference: str,
        answer: str,
        *,
        timeout_seconds: float,
        conventions: Conventions = DEFAULTS,
        wall_seconds: float = WALL_SECONDS,
    ) -> Decision:
        """Compare in the process; it must have been started.

        Raises:
            TimedOutError: It used more than ``timeout_seconds`` of processor time, or stood still. The process has ended.
            WorkerError: It failed or died.
        """
        assert self._process is not None
        assert self._process.stdin is not None
        task = {
            "comparison": comparison,
            "reference": reference,
            "answer": answer,
            "conventions": str(conventions),
            "seconds": timeout_seconds,
        }
        try:
            self._process.stdin.write(json.dumps(task).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise WorkerError("a worker of the grader has died") from None
        reply = self._read(wall_seconds, f"no decision within {timeout_seconds:g} s of processor time")
        if "overran" in reply:
            raise TimedOutError(reply["overran"])
        if "error" in reply:
            raise WorkerError(reply["error"])
        return Decision(reply["is_same"], Tier(reply["tier"]), reply["detail"])

    def _read(self, wall_seconds: float, message: str) -> dict[str, Any]:
        """One line of the process. Raises TimedOutError(message) once its time is up, and kills it."""
        assert self._process is not None
        assert self._process.stdout is not None
        deadline = time.monotonic() + wall_seconds
        # poll, not select: a process of Ray may hold more than 1,024 files.
        readable = select.poll()
        readable.register(self._process.stdout, select.POLLIN)
        while b"\n" not in self._unread:
            remaining = deadline - time.monotonic()
            if remaining <= 0 or not readable.poll(remaining * 1000):
                self._kill()
                raise TimedOutError(message)
            piece = os.read(self._process.stdout.fileno(), 65536)
            if not piece:
                code = self._process.wait()
                if -code in OVERRUN:
                    raise TimedOutError(message)
                raise WorkerError(f"a worker of the grader ended with exit code {code}")
            self._unread += piece
        line, _, self._unread = self._unread.partition(b"\n")
        reply: dict[str, Any] = json.loads(line)
        return reply

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """End the process for good. Its pipes stay open for the thread that may be reading them."""
        with self._lock:
            self._is_closed = True
            self._kill()

    def release(self) -> None:
        """End the process and close its pipes."""
        self._kill()
        if self._process is not None:
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    with suppress(BrokenPipeError):
                        pipe.close()
        self._unread = b""
