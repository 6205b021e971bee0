"""How much answers repeat themselves, by their tokens: seq-rep-4 of arXiv:1908.04319. Free of torch and verl.

An answer that circles ends at the length limit with nearly all of it said before; one that states an equation twice does
not. Of a large step a part is looked at, so that the measure costs milliseconds.
"""

from collections.abc import Iterable
from statistics import mean

import numpy as np
from numpy.typing import NDArray

NUM_TOKENS = 4
"""Of a piece of text that counts as said before."""
MOST_RESPONSES = 256
FACTOR = np.int64(6364136223846793005)
"""Knuth's multiplier: two pieces of text have the same number with a chance of 2**-64."""


def rows_looked_at(num_responses: int) -> list[int]:
    """At most ``MOST_RESPONSES`` rows, evenly spread over a step."""
    num_rows = min(num_responses, MOST_RESPONSES)
    return [row * num_responses // num_rows for row in range(num_rows)]


def repeated_share(tokens_T: NDArray[np.int64]) -> float | None:
    """The share of the pieces of four tokens that occurred before in the same answer, in [0, 1); None where there is no piece."""
    num_pieces = len(tokens_T) - NUM_TOKENS + 1
    if num_pieces < 1:
        return None
    piece = np.zeros(num_pieces, dtype=np.int64)
    for offset in range(NUM_TOKENS):
        piece = piece * FACTOR + tokens_T[offset : offset + num_pieces] + 1
    return 1.0 - len(np.unique(piece)) / num_pieces


def describe(answers: Iterable[NDArray[np.int64]]) -> dict[str, float]:
    """The mean share over answers, given the tokens that were generated; nothing where all are too short."""
    shares = [share for share in map(repeated_share, answers) if share is not None]
    return {"train/repetition": mean(shares)} if shares else {}
