"""Verdicts that a noisy grader flips: which, how many, and what is written in their place."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from verl_ext.objectives.noisy_grader import ErrorRates
from verl_ext.objectives.outcome import outcome_scores
from verl_ext.training.step.arrivals import places
from verl_ext.training.step.flipped_verdicts import describe_flipped, flipped_sessions, with_flipped
from verl_ext.training.step.samples import Samples

NUM_TOKENS = 3


def samples_of(scores, *, keys=None, infos=None, mask=None) -> Samples:
    keys = [f"p{row // 4}_{row % 4}_0" for row in range(len(scores))] if keys is None else keys
    scores_BT = torch.zeros(len(scores), NUM_TOKENS)
    scores_BT[:, -1] = torch.tensor(scores, dtype=torch.float32)
    return Samples(
        keys=keys,
        prompts=[key.rsplit("_", 2)[0] for key in keys],
        infos=[{}] * len(scores) if infos is None else infos,
        scores_BT=scores_BT,
        mask_BT=torch.ones(len(scores), NUM_TOKENS) if mask is None else torch.tensor(mask),
        log_probs_BT=None,
        ages=[0] * len(keys),
    )


def flipped(samples, rates, *, seed=1, step=1) -> list[str]:
    submitted = sorted(set(samples.prompts))
    rows = flipped_sessions(samples, rates, places(samples.keys, submitted), seed=seed, step=step)
    return [samples.keys[row] for row in rows]


@pytest.mark.parametrize(
    ("rates", "expected"), [((0.2, 0.0), (0.2, 0)), ((0.0, 0.05), (0, 0.05)), ((0.1, 0.3), (0.1, 0.3))]
)
def test_as_many_as_the_rates_say(rates, expected):
    """4000 correct and 4000 wrong ones, over two steps: within five standard deviations."""
    samples = samples_of([1.0, 0.0] * 2000)
    both = [flipped(samples, ErrorRates(*rates), step=step) for step in (1, 2)]
    assert rates == (0.0, 0.0) or both[0] != both[1]
    correct = {key for key, is_correct in zip(samples.keys, samples.is_correct, strict=True) if is_correct}
    counts = (
        sum(key in correct for keys in both for key in keys),
        sum(key not in correct for keys in both for key in keys),
    )
    for count, rate in zip(counts, expected, strict=True):
        assert abs(count - 4000 * rate) <= 5 * (4000 * rate * (1 - rate)) ** 0.5


@given(
    scores=st.lists(st.sampled_from([0.0, 1.0]), min_size=1, max_size=40),
    low=st.floats(0, 0.49),
    more=st.floats(0, 0.49),
    seed=st.integers(0, 99),
)
def test_a_larger_rate_flips_the_same_and_more(scores, low, more, seed):
    samples = samples_of(scores)
    few = flipped(samples, ErrorRates(low, low), seed=seed)
    assert set(few) <= set(flipped(samples, ErrorRates(low + more / 2, low + more / 2), seed=seed))
    assert few == flipped(samples, ErrorRates(low, low), seed=seed)


@given(order=st.permutations(range(24)))
def test_the_order_of_arrival_does_not_matter(order):
    scores = [float(row % 3 == 0) for row in range(24)]
    samples, rates = samples_of(scores), ErrorRates(0.4, 0.4)
    arrived = samples_of([scores[row] for row in order], keys=[samples.keys[row] for row in order])
    assert sorted(flipped(arrived, rates)) == sorted(flipped(samples, rates))


def test_another_seed_flips_others():
    samples, rates = samples_of([0.0] * 100), ErrorRates(0.0, 0.5)
    assert flipped(samples, rates, seed=1) != flipped(samples, rates, seed=2)


@pytest.mark.parametrize("reason", ["grader_error", "timed_out"])
def test_what_could_not_be_graded_is_left_alone(reason):
    infos = [{reason: 1.0}, {reason: 0.0}] * 50
    keys = flipped(samples_of([0.0] * 100, infos=infos), ErrorRates(0.0, 0.999))
    assert keys
    assert not {f"p{row // 4}_{row % 4}_0" for row in range(0, 100, 2)} & set(keys)


def test_all_outputs_of_a_session_are_flipped_together():
    keys = ["a_0_0", "a_0_1", "a_1_0", "b_0_0", "b_0_1"]
    noisy, rows = with_flipped(samples_of([1.0, 1.0, 0.0, 0.0, 0.0], keys=keys), [1, 4])
    assert rows == [0, 1, 3, 4]
    assert outcome_scores(noisy.scores_BT).tolist() == [0.0, 0.0, 0.0, 1.0, 1.0]


def test_the_score_stands_on_the_last_token_and_the_others_are_untouched():
    samples = samples_of([1.0, 0.0, 0.0], mask=[[1, 1, 1], [1, 0, 1], [1, 1, 0]])
    noisy, rows = with_flipped(samples, [0, 1, 2])
    assert rows == [0, 1, 2]
    assert noisy.scores_BT.tolist() == [[0, 0, 0], [0, 0, 1], [0, 1, 0]]
    assert outcome_scores(samples.scores_BT).tolist() == [1.0, 0.0, 0.0]
    assert noisy.is_correct == [False, True, True]


def test_what_is_reported():
    samples = samples_of([1.0, 1.0, 0.0, 0.0, 0.0])
    noisy, _ = with_flipped(samples, [0, 3, 4])
    assert describe_flipped(samples, noisy, [0, 3, 4]) == {
        "train/noisy_correct_ratio": 3 / 5,
        "train/flipped_samples": 3,
        "train/false_negatives": 1,
        "train/false_positives": 2,
    }


def test_a_reward_of_another_kind_is_refused():
    with pytest.raises(ValueError, match="noisy_grader flips rewards of 0 and 1, got -1 from prompt p0"):
        with_flipped(samples_of([-1.0, 1.0]), [0])
