"""Forward correction: the paper's weights for NSR, and for every signed objective the clean advantage in expectation."""

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.objectives.grouped import advantages_of
from verl_ext.objectives.algorithm_options import AlgorithmOptions
from verl_ext.objectives.catalog import ROWS, check_objective, objective_under
from verl_ext.objectives.noisy_grader import ErrorRates, NoisyGrader, read_noisy_grader
from verl_ext.objectives.objective import AnotherName

SIGNED = [row.name for row in ROWS if row.is_signed and not isinstance(row.formula, AnotherName)]
RATES = st.floats(0, 1, exclude_max=True)


def section(name="nsr", *, asymre_baseline=None, positive_advantage_weight=0.1, **noisy_grader):
    """The ``algorithm`` section with an objective and these options of ``noisy_grader``."""
    return {
        "adv_estimator": name,
        "asymre_baseline": asymre_baseline,
        "positive_advantage_weight": positive_advantage_weight,
        "noisy_grader": noisy_grader,
    }


def weights(name, **options):
    algorithm = AlgorithmOptions.read(section(name, **options))
    check_objective(algorithm)
    return objective_under(algorithm).weights_under(algorithm)


def test_worked_example_of_the_paper():
    """Its default rates: 0.2 false wrong, 0.1 false right. w_1 = rho_1, w_0 = rho_1 - 1."""
    assert weights("nsr", false_negative_rate=0.2, false_positive_rate=0.1, correction="forward") == (0.2, 0.8)


def test_worked_example_of_psr():
    """Nine of ten that are wrong are graded so: what is graded correct counts 0.9, and what is graded wrong -0.1."""
    assert weights("psr", false_negative_rate=0.2, false_positive_rate=0.1, correction="forward") == (0.9, 0.1)


@pytest.mark.parametrize("name", SIGNED)
@given(false_negative=RATES, false_positive=RATES, weight=st.floats(0, 10))
def test_its_expectation_is_the_clean_advantage(name, false_negative, false_positive, weight):
    """Times 1 - rho_0 - rho_1, given what a response truly is: errors then change the length of a step alone."""
    assume(0 < false_negative + false_positive < 1)
    baseline = min(weight / 10, 1.0) if name == "asymre" else None
    clean = weights(name, asymre_baseline=baseline, positive_advantage_weight=weight)
    corrected = weights(
        name,
        asymre_baseline=baseline,
        positive_advantage_weight=weight,
        false_negative_rate=false_negative,
        false_positive_rate=false_positive,
        correction="forward",
    )
    factor = ErrorRates(false_negative, false_positive).informative
    of_correct = (1 - false_negative) * corrected.positive - false_negative * corrected.negative
    of_wrong = false_positive * corrected.positive - (1 - false_positive) * corrected.negative
    assert of_correct == pytest.approx(factor * clean.positive, abs=1e-12)
    assert of_wrong == pytest.approx(-factor * clean.negative, abs=1e-12)
    assert min(corrected) >= 0


@given(false_negative=st.floats(0.001, 0.999))
def test_for_nsr_it_is_asymre_with_the_rate_of_what_is_found(false_negative):
    """r - V with V = 1 - rho_1: the paper's w is the observed reward less a constant."""
    corrected = weights("nsr", false_negative_rate=false_negative, correction="forward")
    assert corrected == pytest.approx(weights("asymre", asymre_baseline=1 - false_negative))


@pytest.mark.parametrize("name", SIGNED)
@given(rates=st.tuples(RATES, RATES).filter(lambda pair: sum(pair) < 1))
def test_without_a_correction_nothing_changes(name, rates):
    baseline = 0.3 if name == "asymre" else None
    noisy = weights(name, asymre_baseline=baseline, false_negative_rate=rates[0], false_positive_rate=rates[1])
    assert noisy == weights(name, asymre_baseline=baseline)


def test_the_estimator_gives_the_corrected_advantage():
    noisy_grader = {"false_negative_rate": 0.25, "correction": "forward"}
    expected_N = torch.tensor([0.25, -0.75], dtype=torch.float64)
    assert torch.equal(advantages_of("nsr", [1, 0], noisy_grader=noisy_grader), expected_N)


def test_rates_of_a_grader_that_errs_by_itself():
    """Nothing is flipped, and the correction is made for what is assumed; with flips, for the assumed rates too."""
    alone = read_noisy_grader(section(assumed_false_negative_rate=0.1, correction="forward"))
    assert alone == NoisyGrader(ErrorRates(), "forward", ErrorRates(0.1, 0.0))
    assert not alone.flips
    wrong = read_noisy_grader(section(false_negative_rate=0.3, assumed_false_negative_rate=0.1, correction="forward"))
    assert (wrong.rates, wrong.assumed) == (ErrorRates(0.3, 0.0), ErrorRates(0.1, 0.0))


@pytest.mark.parametrize("algorithm", [{}, {"noisy_grader": None}, section()])
def test_nothing_given_is_no_noise(algorithm):
    assert read_noisy_grader(algorithm) == NoisyGrader()
    assert str(read_noisy_grader(algorithm)) == ""


def test_what_the_launch_says():
    line = str(
        read_noisy_grader(section(false_positive_rate=0.05, correction="forward", assumed_false_positive_rate=0.1))
    )
    assert line == (
        "noisy grader: 0 of the correct verdicts and 0.05 of the wrong ones are flipped in training; forward correction for 0 "
        "and 0.1"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"false_negative_rate": 1.0}, "algorithm.noisy_grader.false_negative_rate must be a number from 0 to below 1, got 1.0"),
        ({"false_positive_rate": -0.1}, "false_positive_rate must be a number from 0 to below 1, got -0.1"),
        ({"false_positive_rate": float("nan")}, "false_positive_rate must be a number from 0 to below 1, got nan"),
        ({"false_positive_rate": True}, "false_positive_rate must be a number from 0 to below 1, got True"),
        ({"assumed_false_positive_rate": "a", "correction": "forward"}, "assumed_false_positive_rate must be a number"),
        ({"false_negative_rate": 0.5, "false_positive_rate": 0.5}, "add up to 1 or more"),
        ({"correction": "forward"}, "correction=forward needs the rates of the errors that it corrects"),
        ({"correction": "forward", "false_negative_rate": 0, "false_positive_rate": 0.0}, "needs the rates"),
        ({"correction": "forward", "assumed_false_negative_rate": 0.0}, "needs the rates"),
        ({"correction": "backward", "false_negative_rate": 0.1}, "correction must be one of none, forward, got backward"),
        ({"assumed_false_negative_rate": 0.1}, "is what a correction assumes"),
    ],
)  # fmt: skip
def test_each_mistake_is_named(options, message):
    with pytest.raises(ValueError) as error:
        AlgorithmOptions.read(section(**options))
    assert message in str(error.value)


@pytest.mark.parametrize("name", ["grpo", "maxrl", "qae", "gae"])
def test_it_is_refused_where_responses_are_compared(name):
    """Centered in its group a constant cancels, and standardized a factor too: nothing would be corrected."""
    options = AlgorithmOptions.read(section(name, false_negative_rate=0.2, correction="forward"))
    with pytest.raises(
        ValueError, match=f"adv_estimator={name} has no such two: .* Choose one of psr, nsr, w_reinforce"
    ):
        check_objective(options)
