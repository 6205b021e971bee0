import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.runs import run
from verl_ext.analysis.accuracy_distribution import NUM_BINS, accuracy_distribution

problems = st.lists(
    st.integers(1, 50).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))), min_size=1, max_size=30
)


def spread_of(counts):
    return accuracy_distribution(run("nsr", range(len(counts)), [c for _, c in counts], [n for n, _ in counts]))


def test_by_hand():
    """1 of 10 is in (0, 0.1], 2 of 10 in (0.1, 0.2], 9 of 10 in (0.8, 0.9], 19 of 20 in (0.9, 1)."""
    found = spread_of([(10, 0), (10, 1), (10, 2), (10, 9), (20, 19), (10, 10), (10, 10)])
    assert (found.num_never, found.num_always) == (1, 2)
    assert found.num_between == (1, 1, 0, 0, 0, 0, 0, 0, 1, 1)
    assert (found.min_samples, found.max_samples, found.num_problems) == (10, 20, 7)
    assert found.mean == pytest.approx((0 + 0.1 + 0.2 + 0.9 + 0.95 + 1 + 1) / 7)
    assert found.quartiles == pytest.approx((0.15, 0.9, 0.975))


@given(counts=problems)
def test_every_problem_is_in_the_bin_that_says_so(counts):
    found = spread_of(counts)
    assert found.num_never + sum(found.num_between) + found.num_always == len(counts)
    for bin, number in enumerate(found.num_between):
        inside = [1 for n, c in counts if c < n and bin * n < NUM_BINS * c <= (bin + 1) * n]
        assert number == len(inside)
