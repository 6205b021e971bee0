"""The best and the worst of k draws, by formula."""

from itertools import product
from statistics import mean, pstdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verl_ext.metrics.extremes import best_of_draws, worst_of_draws

VALUES = st.lists(st.sampled_from([-1.0, 0.0, 0.25, 1.0, 3.0]), min_size=1, max_size=4)


@given(VALUES, st.integers(1, 4))
def test_they_are_those_of_all_possible_draws(values, k):
    draws = list(product(values, repeat=k))
    best, worst = [max(draw) for draw in draws], [min(draw) for draw in draws]
    assert best_of_draws(values, k) == pytest.approx((mean(best), pstdev(best)), abs=1e-12)
    assert worst_of_draws(values, k) == pytest.approx((mean(worst), pstdev(worst)), abs=1e-12)


@pytest.mark.parametrize(("values", "k"), [([], 2), ([1.0], 0)])
def test_nothing_to_draw_is_refused(values, k):
    with pytest.raises(ValueError, match=f"best of {k} draws from {len(values)} values"):
        best_of_draws(values, k)
