"""The interval of a mean over seeds and problems: golden numbers, what must hold for any table, and how often it is right."""

from math import isnan, nan, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import special

from verl_ext.metrics.crossed import crossed_mean, crossed_share, detectable
from verl_ext.metrics.intervals import holm
from verl_ext.metrics.pass_at_k import pass_at_k_table
from verl_ext.metrics.seeds import over_seeds

T2, T6 = 4.302653, 2.446912  # Student's t of 2 and of 6 degrees of freedom, 97.5 %

tables = arrays(
    np.float64, array_shapes(min_dims=2, max_dims=2, max_side=6), elements=st.integers(0, 8).map(lambda n: n / 8)
)


def test_golden_numbers():
    """Seeds and problems add up: both mean squares are 3 and that of the rest is 0."""
    found = crossed_mean(np.array([[0.0, 1.0, 2.0], [1.0, 2.0, 3.0], [2.0, 3.0, 4.0]]))
    reach = T2 * sqrt(3 / 9 + 3 / 9)
    assert (found.mean, found.low, found.high) == pytest.approx((2.0, 2 - reach, 2 + reach), rel=1e-6)
    assert (found.standard_error, found.degrees) == pytest.approx((sqrt(6 / 9), 2.0), rel=1e-6)
    # t = 2 / 0.8165 = 2.4495 with 2 degrees of freedom
    assert found.p_value == pytest.approx(0.133975, abs=1e-6)


def test_parts_with_different_degrees_of_freedom():
    """3 seeds and 7 problems; the mean squares by hand: 21 of seeds, 3 * 14/3 = 14 of problems, 0 of the rest."""
    seeds, problems = np.array([-1.0, 0.0, 1.0]), np.array([-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0])
    found = crossed_mean(np.sqrt(3) * seeds[:, None] + problems)
    assert found.high == pytest.approx(sqrt(T2**2 * 21 / 21 + T6**2 * 14 / 21), rel=1e-6)
    assert found.p_value == 1.0


def test_seeds_that_agree_by_luck_make_it_no_shorter_than_if_they_were_known_to():
    """Both seeds have the mean 0.5; the rest has the mean square 1/2 with 3 degrees of freedom, which t knows as 3.18245."""
    found = crossed_mean(np.array([[1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 1.0]]))
    mean_square = 8 * 0.25 / 3
    assert found.high == pytest.approx(0.5 + 3.182446 * sqrt(mean_square / 8), rel=1e-6)


@pytest.mark.parametrize("shape", [(1, 5), (5, 1)])
def test_one_seed_or_one_problem_leaves_students_t_over_the_other(shape):
    values = [0.30, 0.34, 0.31, 0.36, 0.29]
    found = crossed_mean(np.array(values).reshape(shape))
    assert (found.mean, found.low, found.high) == pytest.approx(over_seeds(values), rel=1e-9)
    assert found.degrees == pytest.approx(4)


def test_what_cannot_be_told():
    assert crossed_mean(np.array([[0.25]]))[1:] == pytest.approx((nan,) * 5, nan_ok=True)
    same = crossed_mean(np.zeros((3, 4)))
    assert same[:4] == (0.0, 0.0, 0.0, 0.0)
    assert same.p_value == 1.0
    assert isnan(detectable(np.zeros((3, 4)))), "nothing varies, so nothing is known about what could have been seen"
    for bad in (np.array([[0.1, nan]]), np.zeros((0, 3)), np.zeros(3)):
        with pytest.raises(ValueError, match="needs a value of each pair"):
            crossed_mean(bad)


def test_shares_stay_shares_and_a_saturated_one_keeps_a_width():
    assert crossed_share(np.ones((3, 200)))[:3] == pytest.approx((1.0, 0.025 ** (1 / 200), 1.0))
    assert crossed_share(np.zeros((3, 200)))[:3] == pytest.approx((0.0, 0.0, 1 - 0.025 ** (1 / 200)))
    found = crossed_share(np.array([[1.0, 0.9, 1.0], [1.0, 0.4, 1.0]]))
    assert (found.low, found.high) == (0.0, 1.0)
    assert isnan(crossed_share(np.array([[0.25]])).low)


@settings(max_examples=40)
@given(tables, st.randoms(use_true_random=False))
def test_order_of_seeds_and_problems_changes_nothing(values_SP, random):
    rows, columns = list(range(values_SP.shape[0])), list(range(values_SP.shape[1]))
    random.shuffle(rows)
    random.shuffle(columns)
    assert crossed_mean(values_SP[rows][:, columns]) == pytest.approx(
        crossed_mean(values_SP), nan_ok=True, rel=1e-6, abs=1e-9
    )


@settings(max_examples=40)
@given(tables)
def test_interval_p_and_scale_belong_together(values_SP):
    """The interval holds the mean, grows with the values, and leaves out 0 exactly where p is below 5 %."""
    found = crossed_mean(values_SP)
    if isnan(found.low):
        return
    assert found.low <= found.mean <= found.high
    doubled = crossed_mean(2 * values_SP)
    assert doubled.high - doubled.low == pytest.approx(2 * (found.high - found.low), rel=1e-6, abs=1e-12)
    assert doubled.p_value == pytest.approx(found.p_value, rel=1e-5, abs=1e-9)
    if abs(found.p_value - 0.05) > 1e-6:
        assert (found.low > 0) == (found.p_value < 0.05)


@pytest.mark.parametrize("num_comparisons", [1, 8, 210])
@pytest.mark.parametrize("num_values", [2, 3, 5, 200])
def test_what_is_detectable_is_found_with_a_probability_of_80_percent(num_values, num_comparisons):
    """Student's tests of samples whose true mean is what one of them could have seen, the first of so many to be told."""
    rng = np.random.default_rng(0)
    values_SP = rng.normal(size=(1, num_values))
    seen, found = detectable(values_SP, num_comparisons), crossed_mean(values_SP)
    shift = seen / found.standard_error / sqrt(num_values)  # in standard deviations
    samples = shift + rng.normal(size=(20_000, num_values))
    t = samples.mean(axis=1) / samples.std(axis=1, ddof=1) * sqrt(num_values)
    critical = special.stdtrit(num_values - 1, 1 - 0.05 / num_comparisons / 2)
    assert (np.abs(t) > critical).mean() == pytest.approx(0.8, abs=0.012)
    if (num_values, num_comparisons) == (200, 1):
        assert seen / found.standard_error == pytest.approx(1.97 + 0.84, abs=0.01)


def test_what_three_seeds_detect_is_decided_after_holm_as_often_as_is_said():
    """Of twenty comparisons one is true, as large as what it detects on average; the others are noise."""
    rng = np.random.default_rng(1)
    noise = [rng.normal(size=(3, 1)) + 0.3 * rng.normal(size=(3, 40)) for _ in range(200)]
    size = detectable(noise[0], 20) / crossed_mean(noise[0]).standard_error * sqrt(1 / 3 + 0.09 / 120)
    is_decided = [
        holm([crossed_mean(size + values_SP).p_value, *rng.uniform(size=19)])[0] < 0.05 for values_SP in noise
    ]
    assert np.mean(is_decided) == pytest.approx(0.8, abs=0.08)
    single = detectable(noise[0]) / detectable(noise[0], 20) * size
    alone = [holm([crossed_mean(single + each).p_value, *rng.uniform(size=19)])[0] < 0.05 for each in noise]
    assert np.mean(alone) < 0.2, "what a single test would find is not what is decided"


def pigeonhole(values_SP, rng, num_resamples=400):
    """Percentiles of means over seeds and problems that are each drawn with replacement."""
    num_seeds, num_problems = values_SP.shape
    seeds_RS = rng.multinomial(num_seeds, np.full(num_seeds, 1 / num_seeds), num_resamples) / num_seeds
    problems_RP = rng.multinomial(num_problems, np.full(num_problems, 1 / num_problems), num_resamples) / num_problems
    return np.quantile(((seeds_RS @ values_SP) * problems_RP).sum(axis=1), [0.025, 0.975])


@pytest.mark.parametrize("num_seeds", [3, 5])
@pytest.mark.parametrize("spread", [0.0, 1.5], ids="seeds_{}".format)
def test_how_often_it_holds_the_truth(num_seeds, spread):
    """pass@1 of 60 problems with 64 samples, by seeds that move all problems, and problems that each react in their own way."""
    rng = np.random.default_rng(1)

    def drawn(num_seeds, num_problems):
        moved = spread * rng.normal(size=(num_seeds, 1)) + 0.7 * rng.normal(size=(num_seeds, num_problems))
        return special.expit(moved + rng.normal(-1.5, 1.5, num_problems))

    is_hard = (num_seeds, spread) == (3, 1.5)
    truth = np.mean([drawn(400, 200).mean() for _ in range(20)])
    hits, hits_of_resampling, num_tables = 0, 0, 150
    for _ in range(num_tables):
        correct_SP = rng.binomial(64, drawn(num_seeds, 60))
        values = pass_at_k_table(np.full(correct_SP.size, 64), correct_SP.ravel(), [1]).reshape(correct_SP.shape)
        found = crossed_share(values)
        hits += found.low <= truth <= found.high
        if is_hard:
            low, high = pigeonhole(values, rng)
            hits_of_resampling += low <= truth <= high
    assert hits / num_tables >= 0.9, "95 % less three standard errors of 150 tables"
    if is_hard:
        assert hits_of_resampling / num_tables < 0.88, "why it is no percentile bootstrap"
