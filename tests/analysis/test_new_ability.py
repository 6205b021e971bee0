from itertools import combinations
from math import isnan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.runs import run
from verl_ext.analysis.new_ability import never_solved, new_ability, new_ability_by_halves
from verl_ext.analysis.same_problems import MissingData
from verl_ext.metrics.intervals import ratio_interval


def sampled(name, samples, correct):
    return run(name, range(len(correct)), correct, samples)


def test_all_samples_by_hand():
    """The base never solves problems 0, 1 and 2 in 8 samples; the run solves 1 and 2 of them in 4."""
    base = sampled("base", [8] * 5, [0, 0, 0, 1, 8])
    found = new_ability(sampled("nsr", [4] * 5, [0, 1, 4, 0, 4]), base)
    assert never_solved(base) == [0, 1, 2]
    assert (found.num_unsolved, found.num_solved, found.share) == (3, 2, pytest.approx(2 / 3))
    assert (found.name, found.base, found.num_base_samples, found.num_samples) == ("nsr", "base", 8, 4)
    assert 0 <= found.low < 2 / 3 < found.high <= 1


def test_nothing_unsolved():
    found = new_ability(sampled("nsr", [4], [0]), sampled("base", [8], [1]))
    assert found.num_unsolved == 0
    assert isnan(found.share)
    assert isnan(found.low)


def test_halves_by_hand():
    """n = 4, h = f = 2. c = 1 is missed by half of the 6 ways and then in the rest; c = 2 by one way of 6, and then too."""
    base = sampled("base", [4, 4, 4], [0, 1, 2])
    again, other = new_ability_by_halves([sampled("nsr", [4, 4, 4], [2, 0, 4])], base)
    assert (again.name, other.name, again.num_base_samples, again.num_samples) == ("base", "nsr", 2, 2)
    assert again.num_unsolved == other.num_unsolved == pytest.approx(1 + 1 / 2 + 1 / 6)
    assert again.num_solved == pytest.approx(1 / 2 + 1 / 6)
    assert other.num_solved == pytest.approx(1 * (1 - 1 / 6) + 0 + 1 / 6)


problems = st.lists(st.tuples(st.integers(2, 6), st.integers(0, 6)), min_size=1, max_size=3).map(
    lambda pairs: [(n, min(c, n)) for n, c in pairs]
)


@given(problems=problems, m=st.integers(1, 4))
def test_halves_are_the_mean_over_every_split(problems, m):
    """Every choice of h samples of the base, and of f of those that are left."""
    base = sampled("base", [n for n, _ in problems], [c for _, c in problems])
    again, _ = new_ability_by_halves([sampled("nsr", [m] * len(problems), [0] * len(problems))], base)
    h, f = again.num_base_samples, again.num_samples
    fewest = min(n for n, _ in problems)
    assert (h, f) == (fewest // 2, min(fewest - fewest // 2, m))
    unsolved = solved = 0.0
    for n, c in problems:
        outcomes = [
            not any(sample < c for sample in rest)
            for first in combinations(range(n), h)
            if not any(sample < c for sample in first)
            for rest in combinations([sample for sample in range(n) if sample not in first], f)
        ]
        num_rests = len(list(combinations(range(n - h), f)))
        num_ways = len(list(combinations(range(n), h))) * num_rests
        unsolved += len(outcomes) / num_ways
        solved += outcomes.count(False) / num_ways
    assert again.num_unsolved == pytest.approx(unsolved, abs=1e-9)
    assert again.num_solved == pytest.approx(solved, abs=1e-9)


def test_the_base_as_its_own_run_is_no_new_ability():
    """Two files of one model: what one solves of the other's unsolved problems agrees with the rate of the halves."""
    rng = np.random.default_rng(1)
    chances = rng.beta(0.3, 3.0, size=4000)
    base, twin = (sampled(name, [16] * 4000, rng.binomial(16, chances)) for name in ("base", "twin"))
    again, other = new_ability_by_halves([twin], base)
    assert again.num_samples == 8
    assert again.low < other.share < again.high
    assert again.share > 0.1


def test_one_sample_cannot_be_split():
    with pytest.raises(MissingData, match="1 sample of some problem, which cannot be split"):
        new_ability_by_halves([], sampled("base", [1, 4], [0, 0]))


def test_intervals_of_ratios():
    ones = np.ones(40)
    assert ratio_interval(0 * ones, ones) == pytest.approx((0.0, 1 - 0.025 ** (1 / 40)))
    assert ratio_interval(ones, ones) == pytest.approx((0.025 ** (1 / 40), 1.0))
    low, high = ratio_interval(np.arange(40) % 2 * 1.0, ones)
    assert low == pytest.approx(0.5 - 1.96 * 0.5 / np.sqrt(40), abs=0.03)
    assert high == pytest.approx(0.5 + 1.96 * 0.5 / np.sqrt(40), abs=0.03)
    assert np.isnan(ratio_interval(np.zeros(3), np.array([1.0, 0.0, 0.0]))).all()
