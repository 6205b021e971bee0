"""What a computation costs, in a unit that a busy or an old machine does not change.

A scan that is quadratic where it should be linear costs a thousand times more, so a bound can be generous.
"""

import time
from collections.abc import Callable
from functools import cache
from typing import TypeVar

Result = TypeVar("Result")
NUM_TRIES = 3


def within(units: float, action: Callable[[], Result]) -> Result:
    """What ``action`` returns, once it costs this process less than so many units.

    Raises:
        AssertionError: It costs more in each of ``NUM_TRIES`` tries, also by the unit of that moment.
    """
    for _ in range(NUM_TRIES):
        began = time.process_time()
        result = action()
        seconds = time.process_time() - began
        if seconds < units * _usual_unit() or seconds < units * _unit():
            return result
    raise AssertionError(f"It takes {seconds:g} s of processor time, which is more than {units} units.")


def _unit() -> float:
    """Processor time of a hundred thousand steps of a loop, about 6 ms on a fast machine."""
    began = time.process_time()
    sum(number * number % 7 for number in range(100_000))
    return time.process_time() - began


@cache
def _usual_unit() -> float:
    """Of this process: measuring it beside each action would cost more than most actions."""
    return min(_unit() for _ in range(NUM_TRIES))
