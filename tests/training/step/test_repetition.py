"""seq-rep-4: the share of pieces of four tokens that an answer has said before."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verl_ext.training.step.repetition import MOST_RESPONSES, NUM_TOKENS, describe, repeated_share, rows_looked_at

TOKENS = st.lists(st.integers(0, 3), max_size=40)


def tokens(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def test_worked_examples():
    assert repeated_share(tokens(1, 2, 3, 4, 5)) == 0.0
    assert repeated_share(tokens(1, 2, 3, 4, 1, 2, 3, 4)) == pytest.approx(1 / 5)
    assert repeated_share(tokens(*[7] * 100)) == pytest.approx(96 / 97)
    assert repeated_share(tokens(1, 2, 3)) is None


@given(TOKENS)
def test_it_is_what_counting_pieces_gives(values):
    pieces = [tuple(values[start : start + NUM_TOKENS]) for start in range(len(values) - NUM_TOKENS + 1)]
    expected = 1 - len(set(pieces)) / len(pieces) if pieces else None
    assert repeated_share(tokens(*values)) == (expected if expected is None else pytest.approx(expected))


def test_the_mean_leaves_out_what_is_too_short():
    assert describe([tokens(1), tokens(*[7] * 5)]) == {"train/repetition": 0.5}
    assert describe([tokens(1)]) == {}


@given(st.integers(1, 3000))
def test_rows_are_spread_over_the_step(num):
    rows = rows_looked_at(num)
    assert len(rows) == min(num, MOST_RESPONSES)
    assert rows == sorted(set(rows))
    assert rows[0] == 0
    assert rows[-1] < num
    assert all(later - earlier <= -(-num // len(rows)) for earlier, later in pairwise(rows))
