"""The share of problems that are solved reliably."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verl_ext.metrics.cover import cover_at

PROBLEMS = st.lists(st.tuples(st.integers(1, 20), st.integers(0, 20)).map(lambda nc: (nc[0], min(nc))), min_size=1)


def test_a_worked_example():
    """2 of 4, 4 of 4, 1 of 10, 0 of 3: a share of exactly tau counts, also where tau is no binary fraction."""
    assert cover_at([4, 4, 10, 3], [2, 4, 1, 0], (0.1, 0.25, 0.5, 1.0)) == [0.75, 0.5, 0.5, 0.25]


@given(PROBLEMS)
def test_it_falls_with_tau_and_ends_at_the_always_right(problems):
    num_samples, num_correct = zip(*problems, strict=True)
    covers = cover_at(num_samples, num_correct, (1e-9, 0.25, 0.5, 0.75, 1.0))
    assert covers == sorted(covers, reverse=True)
    assert covers[0] == sum(c > 0 for c in num_correct) / len(problems)
    assert covers[-1] == sum(n == c for n, c in problems) / len(problems)


@pytest.mark.parametrize(
    ("num_samples", "tau", "message"),
    [
        ([4], 0.0, "got 0.0"),
        ([4], 1.5, "at most 1, got 1.5"),
        ([], 0.5, "at least 1 problem"),
        ([4, 0], 0.5, "1 sample"),
    ],
)
def test_what_has_no_cover(num_samples, tau, message):
    with pytest.raises(ValueError, match=message):
        cover_at(num_samples, [0] * len(num_samples), (tau,))
