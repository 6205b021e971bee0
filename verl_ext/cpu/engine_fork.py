"""When vLLM's engine is forked from the trainer's process, and that it ends with it."""

import os
import signal
import threading
from functools import partial

from verl_ext.host.parent_death import end_with_parent


class EngineFork:
    """The moment at which vLLM's engine is forked from this process.

    A thread that is just importing something, or that uses OpenMP's threads, leaves locks and pools in the child that nobody
    will ever release or serve there: until it has happened this process should be doing neither.
    """

    def __init__(self) -> None:
        self._is_over = threading.Event()
        # Of a trainer that is killed nobody else ends what it has forked.
        end = partial(end_with_parent, signal.SIGKILL, os.getpid())
        os.register_at_fork(after_in_parent=self.is_over, after_in_child=end)

    def is_over(self) -> None:
        """It has happened, or will not any more."""
        self._is_over.set()

    def wait(self) -> None:
        self._is_over.wait()
