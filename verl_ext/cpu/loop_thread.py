"""A thread with an event loop: what an actor of Ray is to those who call it, without a process."""

import asyncio
import os
import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future
from inspect import iscoroutine
from typing import Any

import torch
from ray import cloudpickle

THREADS = "OMP_NUM_THREADS"


class ToCome:
    """An outcome to come, for ``await`` on any event loop, as Ray's references are."""

    def __init__(self, future: "Future[Any]") -> None:
        self._future = future

    def __await__(self) -> Generator[Any, None, Any]:
        return asyncio.wrap_future(self._future).__await__()

    def result(self) -> Any:
        """Wait for the outcome, outside of any event loop; raises what the call has raised."""
        return self._future.result()


class LoopThread:
    """Everything of one worker, or of one server, happens in this thread; it ends with the process."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def _run(self) -> None:
        if THREADS in os.environ:
            # torch keeps a number for each thread; TransferQueue sets others, for its own and for those to come.
            torch.set_num_threads(int(os.environ[THREADS]))
        self._loop.run_forever()

    def start(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> ToCome:
        """Call ``function`` there with copies; where it makes a coroutine, others are called while that one waits."""
        arguments, options = as_sent((arguments, options))

        async def called() -> Any:
            outcome = function(*arguments, **options)
            return await outcome if iscoroutine(outcome) else outcome

        return ToCome(asyncio.run_coroutine_threadsafe(called(), self._loop))

    def call(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """What ``function`` returns there, or raises."""
        return self.start(function, *arguments, **options).result()


def as_sent(value: Any) -> Any:
    """A copy of ``value``, as a process has to which it is sent: workers and servers change what they are given."""
    return cloudpickle.loads(cloudpickle.dumps(value))
