"""A number of a data file as the text of an answer."""

import math
from decimal import Decimal

MOST_EXACT_FLOAT = 2**53
"""From here on a float no longer tells a whole number from the next one."""


def number_text(number: int | float) -> str:
    """The digits of ``number``: 42 for 42.0 as well, and no exponent.

    Raises:
        ValueError: It is NaN or infinite, or a float so large that whatever wrote it may have rounded it.
    """
    if isinstance(number, int):
        return str(number)
    if not math.isfinite(number):
        raise ValueError(f"{number} is no number.")
    if abs(number) >= MOST_EXACT_FLOAT:
        raise ValueError(
            f"{number!r} is a float, in which so large a number is rounded: write it as a text, in quotes."
        )
    return str(int(number)) if number.is_integer() else format(Decimal(repr(number)), "f")
