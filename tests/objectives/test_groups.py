"""What all objectives over groups have in common: grouping, masks, refusals, and the sign filter in front of them."""

import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.objectives.grouped import GROUPS, UNDER_TEST, batch_of
from verl_ext.objectives.algorithm_options import AlgorithmOptions
from verl_ext.objectives.catalog import OBJECTIVES
from verl_ext.objectives.estimators import ESTIMATORS
from verl_ext.objectives.groups import num_in_group
from verl_ext.training.step.sample_filter import has_advantage

EACH = pytest.mark.parametrize(("name", "config"), UNDER_TEST)


def test_counting_in_groups():
    assert num_in_group([True, False, True, True], ["a", "a", "b", "a"]) == [2, 2, 1, 2]
    assert num_in_group([False, False], ["a", "b"]) == [0, 0]


@EACH
@given(groups=GROUPS, seed=st.integers(0, 2**16))
def test_other_prompts_and_the_order_do_not_matter(name, config, groups, seed):
    """verl shuffles a batch to balance its ranks: each response keeps what it gets from its own group alone."""
    rewards_BT, mask_BT, prompts = batch_of(groups)
    alone = [ESTIMATORS[name](*batch_of([group])[:2], config=config, index=["p"] * len(group))[0] for group in groups]
    order = random.Random(seed).sample(range(len(prompts)), len(prompts))
    shuffled_BT, returns_BT = ESTIMATORS[name](
        rewards_BT[order], mask_BT[order], config=config, index=[prompts[row] for row in order]
    )
    assert torch.equal(shuffled_BT, torch.cat(alone)[order])
    assert torch.equal(shuffled_BT, returns_BT)


@EACH
@given(groups=GROUPS)
def test_zero_one_and_minus_one_one_rewards_are_the_same(name, config, groups):
    rewards_BT, mask_BT, prompts = batch_of(groups)
    signed_BT = batch_of([[2.0 * outcome - 1 for outcome in group] for group in groups])[0]
    zero_one, _ = ESTIMATORS[name](rewards_BT, mask_BT, config=config, index=prompts)
    signed, _ = ESTIMATORS[name](signed_BT, mask_BT, config=config, index=prompts)
    assert torch.equal(zero_one, signed)


@EACH
def test_the_mask_hides_a_response_but_its_group_counts_it(name, config):
    rewards_BT, mask_BT, prompts = batch_of([[1, 0, 0, 0, 0]])
    full_BT, _ = ESTIMATORS[name](rewards_BT, mask_BT, config=config, index=prompts)
    mask_BT[0] = 0
    mask_BT[1, 2:] = 0
    hidden_BT, _ = ESTIMATORS[name](rewards_BT, mask_BT, config=config, index=prompts)
    assert torch.equal(hidden_BT, full_BT * mask_BT)


@EACH
def test_padding_rows_are_no_group(name, config):
    """verl fills a batch up with rows of one new prompt id and an empty mask; there may be fewer than k of them."""
    rewards_BT, mask_BT, prompts = batch_of([[1, 0, 0, 0], [0]])
    mask_BT[-1] = 0
    advantages_BT, _ = ESTIMATORS[name](rewards_BT, mask_BT, config=config, index=prompts)
    unpadded_BT, _ = ESTIMATORS[name](rewards_BT[:-1], mask_BT[:-1], config=config, index=prompts[:-1])
    assert torch.equal(advantages_BT[:-1], unpadded_BT)
    assert not advantages_BT[-1].any()


@EACH
def test_gradients_and_dtypes_are_verls(name, config):
    rewards_BT, mask_BT, prompts = batch_of([[1, 0, 0, 0]])
    advantages_BT, _ = ESTIMATORS[name](rewards_BT.float(), mask_BT.long(), config=config, index=prompts)
    assert advantages_BT.dtype == torch.float32


# ------------------------------------------------------------------ refusals


@EACH
@pytest.mark.parametrize("score", [0.3, 2.0, float("nan")])
def test_a_partial_reward_is_refused_by_name(name, config, score):
    rewards_BT, mask_BT, prompts = batch_of([[1, 0, 0, 0], [0, 0, score, 0]])
    with pytest.raises(ValueError, match=rf"{name} needs rewards of 0, 1 or -1, got {score:g} at row 6 \(prompt p1\)"):
        ESTIMATORS[name](rewards_BT, mask_BT, config=config, index=prompts)


@EACH
def test_kl_in_the_reward_is_refused(name, config):
    rewards_BT, mask_BT, prompts = batch_of([[1, 0, 0, 0]])
    with pytest.raises(ValueError, match=f"{name} reads right or wrong .* algorithm.use_kl_in_reward=True changes"):
        ESTIMATORS[name](rewards_BT, mask_BT, config=config | {"use_kl_in_reward": True}, index=prompts)


@EACH
def test_no_prompt_ids_are_refused(name, config):
    rewards_BT, mask_BT, _ = batch_of([[1, 0, 0, 0]])
    with pytest.raises(ValueError, match=f"{name} compares the responses to one prompt: pass index"):
        ESTIMATORS[name](rewards_BT, mask_BT, config=config)


WITH_K = pytest.mark.parametrize("name", ["pass_at_k_training", "pkpo"])


@WITH_K
def test_no_k_is_refused(name):
    rewards_BT, mask_BT, prompts = batch_of([[1, 0, 0, 0]])
    for config in (None, {}, {"pass_at_k": None}):
        with pytest.raises(ValueError, match=f"adv_estimator={name} needs algorithm.pass_at_k, .* set it to a whole"):
            ESTIMATORS[name](rewards_BT, mask_BT, config=config, index=prompts)


@WITH_K
@pytest.mark.parametrize("k", [0, -1, 2.5, "4", True])
def test_a_k_that_is_no_count_is_refused(name, k):
    rewards_BT, mask_BT, prompts = batch_of([[1, 0, 0, 0]])
    with pytest.raises(ValueError, match=f"algorithm.pass_at_k must be a whole number >= 1, got {k}"):
        ESTIMATORS[name](rewards_BT, mask_BT, config={"pass_at_k": k}, index=prompts)


@WITH_K
def test_a_group_smaller_than_k_is_refused(name):
    rewards_BT, mask_BT, prompts = batch_of([[1, 0, 0, 0], [1, 0, 0]])
    message = f"{name} with algorithm.pass_at_k=4 needs at least 4 responses to each prompt, got 3. Raise"
    with pytest.raises(ValueError, match=message):
        ESTIMATORS[name](rewards_BT, mask_BT, config={"pass_at_k": 4}, index=prompts)


def test_the_smallest_group():
    names = ("pkpo", "pass_at_k_training", "grpo_virtual_success", "nsr")
    options = {name: AlgorithmOptions.read({"pass_at_k": 4}, adv_estimator=name) for name in names}
    sizes = {name: OBJECTIVES[name].smallest_group(options[name]) for name in names}
    assert sizes == {"pkpo": 4, "pass_at_k_training": 4, "grpo_virtual_success": 1, "nsr": 1}


# ------------------------------------------------------------------ the sign filter


@EACH
@given(groups=GROUPS)
def test_dropping_groups_without_an_advantage_changes_no_other(name, config, groups):
    """verl computes advantages once more on what the filter leaves, so these are the same only if groups stay whole."""
    rewards_BT, mask_BT, prompts = batch_of(groups)
    before_BT, _ = ESTIMATORS[name](rewards_BT, mask_BT, config=config, index=prompts)
    has_advantage_B = has_advantage(before_BT, mask_BT)
    is_kept_B = torch.tensor(num_in_group(has_advantage_B.tolist(), prompts)) > 0
    left = [prompt for prompt, kept in zip(prompts, is_kept_B.tolist(), strict=True) if kept]
    after_BT, _ = ESTIMATORS[name](rewards_BT[is_kept_B], mask_BT[is_kept_B], config=config, index=left)
    assert torch.equal(after_BT, before_BT[is_kept_B])
    assert not before_BT[~is_kept_B].any()


ALL_WRONG, ONE_RIGHT, ONE_WRONG, ALL_RIGHT = [0, 0, 0, 0], [1, 0, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("name", "config", "kept_groups"),
    [
        ("grpo_virtual_success", {}, [True, True, True, False]),
        ("pass_at_k_training", {"pass_at_k": 1}, [False, True, True, False]),
        ("pass_at_k_training", {"pass_at_k": 2}, [False, True, False, False]),
        ("pkpo", {"pass_at_k": 1}, [False, True, True, False]),
        ("pkpo", {"pass_at_k": 2}, [False, True, True, False]),
        ("pkpo", {"pass_at_k": 3}, [False, True, False, False]),
        ("pkpo", {"pass_at_k": 2, "pkpo_baseline": "none"}, [False, True, True, True]),
        ("qae", {}, [False, True, True, False]),
        ("maxrl", {}, [False, True, True, False]),
        ("rs_grpo", {}, [False, True, True, False]),
    ],
)
def test_which_groups_have_an_advantage(name, config, kept_groups):
    rewards_BT, mask_BT, prompts = batch_of([ALL_WRONG, ONE_RIGHT, ONE_WRONG, ALL_RIGHT])
    advantages_BT, _ = ESTIMATORS[name](rewards_BT, mask_BT, config=config, index=prompts)
    counts = num_in_group(has_advantage(advantages_BT, mask_BT).tolist(), prompts)
    assert [counts[4 * group] > 0 for group in range(4)] == kept_groups
