"""What is wrong with an answer of a file, so that it is not counted."""

from typing import NamedTuple


class Fault(NamedTuple):
    """Why a line is not counted."""

    text: str
    """Continues "line 7"."""
    remedy: str = "Correct or delete the line; --skip_bad_lines leaves such lines out and counts them."
