"""The words in which it is said what an option may hold: kinds of values, and ranges of numbers."""

import math
from typing import NamedTuple

Kinds = frozenset[str]


class Limit(NamedTuple):
    """A range of numbers, its ends within it unless it is ``above``."""

    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None

    def holds(self, value: float) -> bool:
        return not (
            math.isnan(value)
            or (self.at_least is not None and value < self.at_least)
            or (self.above is not None and value <= self.above)
            or (self.at_most is not None and value > self.at_most)
        )

    def __str__(self) -> str:
        low = (
            f">= {self.at_least:g}"
            if self.at_least is not None
            else f"> {self.above:g}"
            if self.above is not None
            else ""
        )
        return low + (f" and <= {self.at_most:g}" if self.at_most is not None else "")


FROM_ONE, FROM_ZERO, ABOVE_ZERO = Limit(at_least=1), Limit(at_least=0), Limit(above=0)
SHARE, SHARE_ABOVE_ZERO = Limit(at_least=0, at_most=1), Limit(above=0, at_most=1)


def kinds_in(text: str) -> Kinds:
    return frozenset(text.split("|"))
