from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.runs import run
from verl_ext.analysis.two_estimates import two_estimates
from verl_ext.metrics.pass_at_k import bootstrap_pass_at_k_table, pass_at_k, pass_at_k_table

n_and_c = st.integers(1, 40).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))


@pytest.mark.parametrize(("n", "c"), [(1, 0), (1, 1), (3, 1), (4, 2), (5, 0), (5, 5)])
def test_it_is_the_mean_over_every_resample(n, c):
    """All n^k draws with replacement, counted."""
    for k in range(1, n + 1):
        draws = list(product(range(n), repeat=k))
        share = sum(any(sample < c for sample in draw) for draw in draws) / len(draws)
        assert bootstrap_pass_at_k_table([n], [c], [k])[0, 0] == pytest.approx(share, abs=1e-12)


def test_resampling_tends_to_it():
    """20,000 resamples of 16 answers, 3 of them correct, at k = 16: within 5 standard errors."""
    rng = np.random.default_rng(0)
    is_correct = np.arange(16) < 3
    hits = is_correct[rng.integers(0, 16, size=(20_000, 16))].any(axis=1)
    expected = bootstrap_pass_at_k_table([16], [3], [16])[0, 0]
    assert expected == pytest.approx(1 - (13 / 16) ** 16)
    assert abs(hits.mean() - expected) < 5 * np.sqrt(expected * (1 - expected) / len(hits))


@given(problem=n_and_c)
def test_it_is_never_above_the_unbiased_estimate_and_rises_with_k(problem):
    n, c = problem
    ks = list(range(1, n + 1))
    bootstrap, unbiased = bootstrap_pass_at_k_table([n], [c], ks)[0], pass_at_k_table([n], [c], ks)[0]
    assert (bootstrap <= unbiased + 1e-12).all()
    assert bootstrap[0] == pytest.approx(unbiased[0])
    assert (np.diff(bootstrap) >= -1e-12).all()
    assert ((bootstrap >= 0) & (bootstrap <= 1)).all()


def test_both_of_a_run():
    """Two problems of 4 samples, 1 and 4 correct, by hand at k = 2."""
    both = two_estimates(run("nsr", "ab", [1, 4]), [1, 2])
    assert both.name == "nsr"
    assert both.unbiased.pass_at_k == pytest.approx((0.625, (pass_at_k(4, 1, 2) + 1) / 2))
    assert both.unbiased.pass_at_k[1] == pytest.approx(0.75)
    assert both.bootstrap == pytest.approx((0.625, (1 - 0.75**2 + 1) / 2))


def test_fewer_samples_than_k_are_left_out_of_both():
    table = bootstrap_pass_at_k_table([4, 2], [1, 1], [2, 4])
    assert np.isnan(table[1, 1])
    assert not np.isnan(table[[0, 0, 1], [0, 1, 0]]).any()
    assert not np.signbit(bootstrap_pass_at_k_table([4], [0], [2])).any()
