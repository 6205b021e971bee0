"""What a computation costs, in a unit that a busy or an old machine does not change.

A scan that is quadratic where it should be linear costs a thousand times more, so a bound can be generous.
"""

import time
from collections.abc import Callable


def _processor_seconds(action: Callable[[], object]) -> float:
    began = time.process_time()
    action()
    return time.process_time() - began


def _unit() -> float:
    """Processor time of a hundred thousand steps of a loop, about 6 ms on a fast machine."""
    return _processor_seconds(lambda: sum(number * number % 7 for number in range(100_000)))


def costs_less_than(units: float, action: Callable[[], object]) -> bool:
    """Whether ``action`` costs this process less than so many units, measured beside it, in one of three tries."""
    return any(_processor_seconds(action) < units * _unit() for _ in range(3))
