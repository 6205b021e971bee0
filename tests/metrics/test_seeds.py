from math import isnan

import pytest

from verl_ext.metrics.seeds import over_seeds


def test_golden_numbers():
    """1, 2, 3: mean 2, standard error 1 / sqrt(3), and Student's t of 2 degrees of freedom is 4.30265."""
    assert over_seeds([1.0, 2.0, 3.0]) == pytest.approx((2.0, 2 - 4.302653 / 3**0.5, 2 + 4.302653 / 3**0.5), rel=1e-6)
    # mean 0.32, standard deviation 0.0291548, and Student's t of 4 degrees of freedom is 2.776445
    assert over_seeds([0.30, 0.34, 0.31, 0.36, 0.29]) == pytest.approx((0.32, 0.2837996, 0.3562004), abs=1e-7)


def test_what_cannot_be_told():
    mean, low, high = over_seeds([0.5])
    assert mean == 0.5
    assert isnan(low)
    assert isnan(high)
    assert over_seeds([0.25, 0.25]) == (0.25, 0.25, 0.25)
    with pytest.raises(ValueError, match="at least 1 value"):
        over_seeds([])
