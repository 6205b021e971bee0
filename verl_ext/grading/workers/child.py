"""Run what executes model output in a child of the worker that has no rights (``sandbox``), and read a few bytes from it.

The worker is thus never changed by what an answer does. Not guaranteed: the child can read files, and an answer that
runs code there can decide its own verdict.
"""

import os
import select
import signal
from collections.abc import Callable

from verl_ext.grading.workers import sandbox
from verl_ext.grading.workers.budget import OVERRUN, end_for_good_after, slowness

WALL_SECONDS = 100.0
"""For a child that sleeps: far enough that a busy machine never counts as sleep."""
UNABLE = b"the machine cannot confine it"
"""What a child says that must not run anything."""


def say_without_rights(function: Callable[[], bytes], *, max_bytes: int, seconds: float) -> bytes:
    """What ``function`` returns in a child of this process.

    Args:
        function: Called once in the child. Its errors are its own to turn into bytes; one that gets out says nothing.
        max_bytes: More than these are not read, and not believed.
        seconds: Processor time of the machine that the budgets were chosen on.

    Returns:
        At most ``max_bytes``; nothing where the child ended by itself.

    Raises:
        TimeoutError: The time was up.
        OSError: The machine cannot confine the child.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        _say_and_exit(function, seconds, writing)
    os.close(writing)
    try:
        if select.select([reading], [], [], WALL_SECONDS * slowness())[0]:
            said = os.read(reading, max(max_bytes, len(UNABLE)) + 1)
        else:
            os.kill(child, signal.SIGKILL)
            said = b""
    finally:
        os.close(reading)
        _, status = os.waitpid(child, 0)
    if said == UNABLE:
        raise OSError(sandbox.NEEDS)
    # SIGKILL is the kernel's, when the child ignored its first signal, or ours.
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) in (*OVERRUN, signal.SIGKILL):
        raise TimeoutError(f"no decision within {seconds:g} s of processor time")
    return said if len(said) <= max_bytes else b""


def _say_and_exit(function: Callable[[], bytes], seconds: float, writing: int) -> None:
    """In the child. Nothing may return from here into the worker's loop."""
    say = UNABLE
    try:
        nothing = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(nothing, number)
        os.dup2(writing, 3)
        os.closerange(4, os.sysconf("SC_OPEN_MAX"))
        end_for_good_after(seconds * slowness())
        sandbox.give_up_rights()
        say = b""
        say = function()
    finally:
        os.write(3, say)
        os._exit(0)
