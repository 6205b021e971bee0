from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verl_ext.analysis.diversity import diversity, expected_distinct


@given(counts=st.lists(st.integers(1, 3), max_size=4), num_without=st.integers(0, 3), data=st.data())
def test_against_every_subset(counts, num_without, data):
    answers = [answer for answer, count in enumerate(counts) for _ in range(count)] + [None] * num_without
    if not answers:
        return
    k = data.draw(st.integers(1, len(answers)))
    distinct = [len(set(draw) - {None}) for draw in combinations(answers, k)]
    assert expected_distinct(counts, len(answers), k) == pytest.approx(sum(distinct) / len(distinct))


def test_all_samples_give_the_number_itself():
    assert expected_distinct([200, 30, 1], 256, 256) == 3.0
    assert expected_distinct([], 8, 4) == 0.0


def test_compared_at_the_same_number_of_draws():
    """Problem 0 has 4 samples, problem 1 has 8: both are read at 4 draws."""
    row = diversity("nsr", [{"1": 2, "2": 1}, {"3": 8}], [{"1": 2}, {}], [4, 8])
    assert (row.name, row.num_problems, row.num_draws) == ("nsr", 2, 4)
    assert row.distinct == pytest.approx((2 + 1) / 2)
    assert row.distinct_correct == pytest.approx(0.5)
    assert row.top_share == pytest.approx((0.5 + 1.0) / 2)
    assert row.distinct_low <= row.distinct <= row.distinct_high


def test_refuses():
    with pytest.raises(ValueError, match="add up to 5, more than the 4 samples"):
        expected_distinct([5], 4, 1)
    with pytest.raises(ValueError, match=r"k = 9 draws need 1 <= k <= 4 samples"):
        expected_distinct([1], 4, 9)
    with pytest.raises(ValueError, match="nsr: diversity needs at least 1 problem"):
        diversity("nsr", [], [], [])
