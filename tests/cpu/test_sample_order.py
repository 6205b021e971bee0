"""Numbers of samples: in the order of the data, and of a prompt that they tell."""

from hypothesis import given
from hypothesis import strategies as st

from verl_ext.cpu.sample_order import MOST_SAMPLES, number_of, place_of

SAMPLE = st.tuples(st.integers(0, 2**30), st.integers(0, MOST_SAMPLES - 1))


@given(SAMPLE, SAMPLE)
def test_numbers_are_in_the_order_of_the_data(one, other):
    assert (number_of(*one) < number_of(*other)) == (one < other)
    assert place_of(number_of(*one)) == one[0]
    assert number_of(*one) > 0, "verl does not pass a 0 on"
