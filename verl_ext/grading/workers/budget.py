"""A budget of processor time, so that a verdict depends neither on how busy a machine is nor on how old.

Seconds are those of the machine that the budgets were chosen on; a slower processor gets as many more as it needs for
the same work. The kernel counts them and ends the process, in the middle of C code too.
"""

import math
import resource
import signal
import time
from functools import cache

REFERENCE_SECONDS = 0.012
"""Processor time of ``_work`` on the machine of the budgets: an AMD EPYC of 2024, CPython 3.11."""
NUM_TRIES = 3
OVERRUN = (signal.SIGPROF, signal.SIGXCPU)


def _work() -> int:
    return sum(number * number % 7 for number in range(200_000))


@cache
def slowness() -> float:
    """How many times longer than the reference machine this process needs: at least 1."""
    tries = []
    for _ in range(NUM_TRIES):
        began = time.process_time()
        _work()
        tries.append(time.process_time() - began)
    return max(1.0, min(tries) / REFERENCE_SECONDS)


def end_after(seconds: float) -> None:
    """End this process by a signal of ``OVERRUN`` once it has used ``seconds`` of processor time from now on.

    0 lifts the limit. Nothing of Python runs then, so it must hold nothing that others need.
    """
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, seconds)


def seconds_left() -> float:
    """Processor time until ``end_after`` ends this process; 0 without a limit."""
    return signal.getitimer(signal.ITIMER_PROF)[0]


def end_for_good_after(seconds: float) -> None:
    """``end_after`` for a process whose code may ignore signals: it is killed at the next whole second."""
    end_after(seconds)
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit = math.ceil(used.ru_utime + used.ru_stime + seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
