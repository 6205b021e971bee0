from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from verl_ext.grading.answers.matching import matched

SQUARES = st.integers(0, 4).flatmap(
    lambda size: st.lists(
        st.lists(st.sampled_from([True, False, None]), min_size=size, max_size=size), min_size=size, max_size=size
    )
)


@given(SQUARES)
def test_as_by_trying_every_order(table):
    orders = [
        [row[column] for row, column in zip(table, order, strict=True)] for order in permutations(range(len(table)))
    ]
    expected = True if any(map(all, orders)) else None if any(False not in order for order in orders) else False
    assert matched(table) is expected
