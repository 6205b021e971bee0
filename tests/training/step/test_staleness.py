"""The ages of samples, and which negative ones leave for theirs."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from verl_ext.objectives.estimators import ESTIMATORS
from verl_ext.training.step.sample_filter import Rules, select
from verl_ext.training.step.samples import Samples
from verl_ext.training.step.staleness import ages_of, describe, gaps_by_age, stale_negatives

SIGNED = ("psr", "nsr", "w_reinforce", "reinforce")
STEPS = st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=1, max_size=12)
"""Of each sample of a step whether it is correct, and its age."""


def samples_of(step, keys=None) -> Samples:
    keys = [f"p{row // 4}_{row % 4}_0" for row in range(len(step))] if keys is None else keys
    scores_BT = torch.zeros(len(step), 2)
    scores_BT[:, -1] = torch.tensor([float(is_correct) for is_correct, _ in step])
    return Samples(
        keys=keys,
        prompts=[key.rsplit("_", 2)[0] for key in keys],
        infos=[{}] * len(step),
        scores_BT=scores_BT,
        mask_BT=torch.ones(len(step), 2),
        log_probs_BT=None,
        ages=[age for _, age in step],
    )


def advantages_by(name, samples):
    def advantages_of(rows_K):
        rewards_KT, mask_KT = samples.scores_BT[rows_K], samples.mask_BT[rows_K]
        return ESTIMATORS[name](rewards_KT, mask_KT, config={})[0]

    return advantages_of


@given(step=STEPS, name=st.sampled_from(SIGNED), drops=st.booleans(), most=st.integers(0, 6))
def test_a_negative_sample_leaves_for_its_age_and_no_other(step, name, drops, most):
    """With the filter for zero advantages and without it: of what it keeps, the wrong answers that are older."""
    samples = samples_of(step)
    rules = Rules(masks_truncated=False, smallest_group=1, drops_zero_advantage=drops, keeps_groups_whole=False)
    is_kept_B = select(samples, rules, advantages_by(name, samples))
    is_stale_B = stale_negatives(samples, is_kept_B, advantages_by(name, samples), most)
    assert is_stale_B.tolist() == [
        name != "psr" and kept and not is_correct and age > most
        for kept, (is_correct, age) in zip(is_kept_B.tolist(), step, strict=True)
    ]


@given(step=STEPS, name=st.sampled_from(SIGNED), most=st.integers(0, 5))
def test_a_larger_limit_lets_the_same_and_more_through(step, name, most):
    samples = samples_of(step)
    is_kept_B = torch.ones(len(step), dtype=torch.bool)
    strict, lax = (stale_negatives(samples, is_kept_B, advantages_by(name, samples), n) for n in (most, most + 1))
    assert not (lax & ~strict).any()


@given(outcomes=st.lists(st.booleans(), min_size=1, max_size=8), most=st.integers(0, 6))
def test_no_sample_is_stale_in_a_synchronous_step(outcomes, most):
    """And the estimator is not asked: one that compares samples would be asked for a part of a group."""
    samples = samples_of([(is_correct, 0) for is_correct in outcomes])
    is_stale_B = stale_negatives(samples, torch.ones(len(outcomes), dtype=torch.bool), None, most)
    assert not is_stale_B.any()


def test_an_age_counts_updates_from_the_oldest_weights_to_those_that_are_trained():
    """The trainer is in step 6, and trains the weights after 5 updates."""
    tags = [{"min_global_steps": 5, "max_global_steps": 5}, {"min_global_steps": 2, "max_global_steps": 5}]
    assert ages_of(tags, 5) == [0, 3]


def test_where_the_rollout_does_not_say_the_prompt_bounds_the_age():
    """A prompt that is sent in step 4 meets the weights after 3 updates or newer ones."""
    assert ages_of([{"min_global_steps": None, "global_steps": 4}, {}], 5) == [2, 0]


def test_ages_are_reported_by_session():
    """The first session has two outputs."""
    samples = samples_of([(True, 3), (True, 3), (False, 0)], keys=["p_0_0", "p_0_1", "p_1_0"])
    assert describe(samples) == {"train/staleness/mean": 1.5, "train/staleness/max": 3}


def test_the_gap_is_reported_apart():
    """Two samples of the weights that are trained, one of older ones, one of padding."""
    actor_BT = torch.tensor([[0.5, 0.5], [0.5, 0.5], [0.5, 0.5], [0.5, 0.5]]).log()
    rollout_BT = torch.tensor([[0.4, 0.5], [0.3, 0.1], [0.9, 0.7], [0.1, 0.1]]).log()
    mask_BT = torch.tensor([[1, 1], [1, 0], [1, 1], [0, 0]])
    assert gaps_by_age(actor_BT, rollout_BT, mask_BT, [0, 0, 2, 2]) == {
        "train/rollout_gap/fresh": pytest.approx(0.1),
        "train/rollout_gap/stale": pytest.approx(0.3),
    }
    assert list(gaps_by_age(actor_BT, rollout_BT, mask_BT, [1, 1, 2, 0])) == ["train/rollout_gap/stale"]
