import numpy as np
import pytest

from verl_ext.analysis.softmax_training import train_softmax
from verl_ext.objectives.objective import SignWeights

START, IS_RIGHT = [0.4, 0.1, 0.3, 0.2], [True, True, False, False]
PSR, NSR, REINFORCE = SignWeights(1.0, 0.0), SignWeights(0.0, 1.0), SignWeights(1.0, 1.0)
SETTINGS = {"num_steps": 3, "num_samples": 4, "learning_rate": 0.5, "num_repeats": 5, "seed": 1}


def trained(weights, **more):
    return train_softmax("nsr", weights, START, IS_RIGHT, **(SETTINGS | more))


def test_a_step_is_the_learning_rate_times_the_gradient_on_the_logits():
    run = trained(NSR)
    np.testing.assert_allclose(run.probabilities_SRV[0], [START] * 5)
    for step in range(3):
        change_RV = np.log(run.probabilities_SRV[step + 1]) - np.log(run.probabilities_SRV[step])
        expected_RV = 0.5 * run.gradient_SRV[step]
        # a softmax does not tell logits that differ by a constant apart
        np.testing.assert_allclose(np.diff(change_RV, axis=1), np.diff(expected_RV, axis=1), atol=1e-12)


def test_one_step_by_hand():
    """All four tokens drawn are known: NSR sees the wrong ones only."""
    run = trained(NSR, num_steps=1, num_repeats=1)
    count_V = np.bincount(run.drawn_SRN[0, 0], minlength=4) * [0, 0, 1, 1]
    np.testing.assert_allclose(run.gradient_SRV[0, 0], (-count_V + count_V.sum() * np.array(START)) / 4)


def test_tokens_are_drawn_as_often_as_they_are_probable():
    run = trained(PSR, num_steps=1, num_samples=20_000, num_repeats=1)
    shares = np.bincount(run.drawn_SRN[0, 0], minlength=4) / 20_000
    np.testing.assert_allclose(shares, START, atol=0.02)


def test_objectives_share_their_random_numbers_and_the_halves_add_up():
    psr, nsr, both = trained(PSR), trained(NSR), trained(REINFORCE)
    np.testing.assert_array_equal(psr.drawn_SRN[0], nsr.drawn_SRN[0])
    np.testing.assert_allclose(psr.gradient_SRV[0] + nsr.gradient_SRV[0], both.gradient_SRV[0])
    assert not np.array_equal(psr.drawn_SRN, trained(PSR, seed=2).drawn_SRN)


def test_in_expectation_psr_and_nsr_take_one_step():
    """Their losses, minus the probability of right and that of wrong, differ by a constant."""
    steps = [
        trained(w, num_steps=1, num_samples=1000, num_repeats=400).gradient_SRV[0].mean(axis=0) for w in (PSR, NSR)
    ]
    np.testing.assert_allclose(*steps, atol=3e-3)
    # pi_v (A_v - mean A) for A = 1 on right tokens
    np.testing.assert_allclose(steps[0], np.array(START) * (np.array(IS_RIGHT) - 0.5), atol=3e-3)


def test_nsr_keeps_still_without_wrong_answers_and_psr_does_not():
    start = [0.6, 0.4 - 1e-12, 1e-12]
    runs = [train_softmax("x", w, start, [True, True, False], **SETTINGS) for w in (NSR, PSR)]
    np.testing.assert_allclose(runs[0].probabilities_SRV[-1], [start] * 5)
    assert np.abs(runs[1].probabilities_SRV[-1] - start).max() > 0.01


def test_what_is_left_of_the_right_answers():
    run = trained(PSR, num_steps=1)
    assert run.right_SR[0] == pytest.approx([0.5] * 5)
    share = np.array([0.8, 0.2])
    assert run.num_right_in_use_SR[0] == pytest.approx([np.exp(-(share * np.log(share)).sum())] * 5)
    assert run.right_SR.shape == run.num_right_in_use_SR.shape == (2, 5)
