from itertools import product
from math import nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verl_ext.metrics import intervals
from verl_ext.metrics.intervals import (
    bootstrap_interval,
    difference_interval,
    fixed_problems_interval,
    holm,
    resampled_means,
    share_interval,
    sign_flip_p,
)
from verl_ext.metrics.pass_at_k import pass_at_k, pass_at_k_table

NUM_STUDIES = 400


def assert_covers(num_covered):
    """At the stated 95 %, but for the noise of counting: 3.3 standard deviations of a binomial (1 in 1,000)."""
    noise = 3.3 * np.sqrt(0.95 * 0.05 / NUM_STUDIES)
    shares = np.atleast_1d(num_covered) / NUM_STUDIES
    assert (np.abs(shares - 0.95) <= noise).all(), shares


p_values = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def test_bootstrap_covers_at_its_rate():
    """New problems every time: the interval holds the true mean pass@k in 95 % of the studies."""
    rng = np.random.default_rng(0)
    chances = rng.beta(0.7, 1.3, size=200_000)
    ks = [1, 4, 16]
    truth = [(1 - (1 - chances) ** k).mean() for k in ks]
    num_covered = np.zeros(len(ks))
    for study in range(NUM_STUDIES):
        problems = rng.choice(chances, size=150)
        values = pass_at_k_table([16] * 150, rng.binomial(16, problems), ks)
        low, high = bootstrap_interval(values, num_resamples=1000, seed=study)
        num_covered += (low <= truth) & (truth <= high)
    assert_covers(num_covered)


def test_interval_of_a_difference_covers_at_its_rate():
    """Two methods on the same new problems every time, the second better by an amount that is known."""
    rng = np.random.default_rng(7)
    population = rng.beta(0.7, 1.3, size=200_000)
    better = np.minimum(1, population + 0.1)
    truth = ((1 - (1 - better) ** 4) - (1 - (1 - population) ** 4)).mean()
    num_covered = 0
    for study in range(NUM_STUDIES):
        chosen = rng.integers(0, len(population), size=150)
        ours, theirs = (
            pass_at_k_table([16] * 150, rng.binomial(16, chances[chosen]), [4]) for chances in (better, population)
        )
        low, high = bootstrap_interval(ours - theirs, num_resamples=1000, seed=study)
        num_covered += low[0] <= truth <= high[0]
    assert_covers(num_covered)


def test_sign_flip_test_rejects_at_its_rate():
    """Where there is no difference, 5 % of the studies find one."""
    rng = np.random.default_rng(8)
    chances = rng.beta(0.7, 1.3, size=40)
    num_kept = 0
    for study in range(NUM_STUDIES):
        ours, theirs = (pass_at_k_table([16] * 40, rng.binomial(16, chances), [4]) for _ in range(2))
        num_kept += sign_flip_p(ours - theirs, num_flips=1000, seed=study)[0] > 0.05
    assert_covers(num_kept)


def test_fixed_problems_interval_covers_at_its_rate():
    """The same problems sampled again: the interval holds the mean over these problems, and is far narrower."""
    rng = np.random.default_rng(1)
    chances = rng.beta(0.7, 1.3, size=60)
    ks = [1, 4, 8]
    truth = [(1 - (1 - chances) ** k).mean() for k in ks]
    covered = np.zeros(len(ks))
    for _ in range(NUM_STUDIES):
        low, high = fixed_problems_interval([32] * 60, rng.binomial(32, chances), ks)
        covered += (low <= truth) & (truth <= high)
    assert_covers(covered)


def test_fixed_problems_variance_is_the_jackknife():
    """Leave out each sample of each problem in turn, and take the jackknife variance of the estimates."""
    num_samples, num_correct, k = [12, 9, 20], [2, 9, 1], 2
    variance = 0.0
    for n, c in zip(num_samples, num_correct, strict=True):
        left = [pass_at_k(n - 1, c - (sample < c), k) for sample in range(n)]
        variance += (n - 1) / n * sum((value - np.mean(left)) ** 2 for value in left)
    mean = np.mean([pass_at_k(n, c, k) for n, c in zip(num_samples, num_correct, strict=True)])
    low, high = fixed_problems_interval(num_samples, num_correct, [k])
    assert (low[0] + high[0]) / 2 == pytest.approx(mean)
    assert (high[0] - low[0]) / 2 == pytest.approx(1.959964 * np.sqrt(variance) / 3, rel=1e-6)


def test_k_equal_n_has_no_information_within_problems():
    low, high = fixed_problems_interval([8, 16], [2, 3], [4, 8, 16, 32])
    assert np.isnan(low).tolist() == np.isnan(high).tolist() == [False, True, True, True]


def test_same_problems_draw_the_same_resamples():
    """The interval of a difference is that of the two means in the same resamples."""
    rng = np.random.default_rng(2)
    ours, theirs = rng.random((30, 3)), rng.random((30, 3))
    differences = resampled_means(ours, num_resamples=300, seed=5) - resampled_means(theirs, num_resamples=300, seed=5)
    np.testing.assert_allclose(resampled_means(ours - theirs, num_resamples=300, seed=5), differences, atol=1e-12)
    assert np.abs(differences - (resampled_means(ours, num_resamples=300, seed=6) - differences)).max() > 0.01


def test_a_run_against_itself_differs_by_nothing():
    values = np.random.default_rng(3).random((40, 2))
    low, high = bootstrap_interval(values - values, num_resamples=500)
    assert low.tolist() == high.tolist() == [0.0, 0.0]
    assert sign_flip_p(values - values).tolist() == [1.0, 1.0]


def test_resamples_do_not_depend_on_whether_they_are_kept(monkeypatch):
    values = np.random.default_rng(4).random((50, 2))
    kept = resampled_means(values, num_resamples=100, seed=1)
    monkeypatch.setattr(intervals, "_CELLS_KEPT", 0)
    assert np.array_equal(resampled_means(values, num_resamples=100, seed=1), kept)


def test_a_problem_without_a_value_counts_in_no_mean():
    values = np.array([[0.0, 1.0], [1.0, np.nan], [0.5, np.nan]])
    means = resampled_means(values, num_resamples=200)
    known = means[~np.isnan(means[:, 1]), 1]
    assert (known == 1.0).all()
    assert 0 < len(known) < 200
    low, high = bootstrap_interval(np.full((3, 1), np.nan))
    assert np.isnan([low[0], high[0]]).all()


def test_all_problems_solved_still_has_a_width():
    """If 2.5 % of studies with mean m were to see 200 of 200, m would be 0.025^(1/200)."""
    solved = np.ones((200, 1))
    assert [end[0] for end in bootstrap_interval(solved, num_resamples=50)] == [1.0, 1.0]
    low, high = share_interval(np.hstack([solved, 0 * solved]), num_resamples=50)
    assert low.tolist() == [pytest.approx(0.025 ** (1 / 200)), 0.0]
    assert high.tolist() == [1.0, pytest.approx(1 - 0.025 ** (1 / 200))]


@given(
    value=st.integers(-8, 8).map(lambda eighths: eighths / 8),
    other=st.sampled_from([-1.0, 1.0]),
    share=st.floats(0, 1),
    num_problems=st.integers(2, 400),
)
def test_equal_differences_still_have_a_width(value, other, share, num_problems):
    """It misses the mean only where all problems were the same with a probability of 2.5 % or less."""
    (low,), (high,) = difference_interval(np.full((num_problems, 1), value), num_resamples=2)
    assert -1 <= low <= value <= high <= 1
    assert low < high
    mean = (1 - share) * value + share * other
    assert low - 1e-9 <= mean <= high + 1e-9 or (1 - share) ** num_problems <= 0.025 + 1e-9


def test_equal_differences_by_hand():
    """0.025^(1/2) = 0.158: of two equal ones 84.2 % of other problems may be at an end of the range."""
    for value, expected in ((0.0, (-0.8419, 0.8419)), (0.5, (-0.7628, 0.9209)), (1.0, (-0.6838, 1.0))):
        low, high = difference_interval(np.full((2, 1), value), num_resamples=2)
        assert (low[0], high[0]) == pytest.approx(expected, abs=1e-4)
    low, high = difference_interval(np.array([[0.3 - 0.2], [0.2 - 0.1]]), num_resamples=2)
    assert high[0] - low[0] > 1, "equal but for rounding"
    assert np.isnan(difference_interval(np.array([[0.25]]), num_resamples=2)).all()


@given(differences=st.lists(st.integers(-4, 4), min_size=1, max_size=7))
def test_sign_flips_against_every_pattern(differences):
    patterns = [
        abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
        for signs in product((1, -1), repeat=len(differences))
    ]
    expected = np.mean([total >= abs(sum(differences)) for total in patterns])
    assert sign_flip_p(np.array(differences, dtype=float)[:, None])[0] == pytest.approx(expected)


def test_random_sign_flips_agree_with_the_exact_test(monkeypatch):
    differences = np.random.default_rng(6).normal(0.4, 1.0, size=(13, 2))
    exact = sign_flip_p(differences)
    monkeypatch.setattr(intervals, "_EXACT_UP_TO", 0)
    random = sign_flip_p(differences, num_flips=20_000)
    np.testing.assert_allclose(random, exact, atol=0.015)
    assert not np.array_equal(random, exact)


def test_sign_flip_p_is_never_zero():
    assert sign_flip_p(np.ones((200, 1)), num_flips=999)[0] == 1 / 1000


def test_holm_worked_example():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


@given(p_values=p_values)
def test_holm_lies_between_the_raw_and_the_bonferroni_values(p_values):
    adjusted = holm(p_values)
    for p_value, corrected in zip(p_values, adjusted, strict=True):
        assert p_value <= corrected <= min(1.0, len(p_values) * p_value)
    by_p = [corrected for _, corrected in sorted(zip(p_values, adjusted, strict=True))]
    assert by_p == sorted(by_p)


def test_refuses_no_problems():
    with pytest.raises(ValueError, match=r"at least 1 problem, got shape \(0, 2\)"):
        bootstrap_interval(np.zeros((0, 2)))


def test_one_problem_does_not_tell_how_problems_differ():
    """Its resamples are all the same: the interval was [50, 50]."""
    values = np.array([[0.5, nan, 1.0, 0.2], [nan, nan, nan, 0.4]])
    low, high = bootstrap_interval(values, num_resamples=50)
    assert np.isnan(low[:3]).all()
    assert np.isnan(high[:3]).all()
    assert low[3] == 0.2
    low, high = share_interval(values, num_resamples=50)
    assert np.isnan([low[0], high[0]]).all()
    assert (low[2], high[2]) == (0.025, 1.0)  # known to be above 0.025, as with more problems
    assert share_interval(np.zeros((1, 1)), num_resamples=50) == (0.0, 0.975)
