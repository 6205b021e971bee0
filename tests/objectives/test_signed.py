"""The objectives against cases worked by hand, and laws that hold for all outcomes and masks."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from verl_ext.objectives.catalog import ROWS
from verl_ext.objectives.estimators import ESTIMATORS
from verl_ext.objectives.objective import SignWeights
from verl_ext.objectives.signed import signed_advantages

PSR, NSR, REINFORCE = SignWeights(1.0, 0.0), SignWeights(0.0, 1.0), SignWeights(1.0, 1.0)
OUTCOMES = st.lists(st.booleans(), min_size=1, max_size=8)
SEEDS = st.integers(0, 2**16)


def random_mask(num_responses: int, seed: int) -> torch.Tensor:
    return torch.randint(0, 2, (num_responses, 5), generator=torch.Generator().manual_seed(seed)).float()


def rewards_of(scores: list[float], num_tokens: int = 5) -> torch.Tensor:
    """Rewards as verl writes them: the score on the last token."""
    rewards_BT = torch.zeros(len(scores), num_tokens)
    rewards_BT[:, -1] = torch.tensor(scores)
    return rewards_BT


@pytest.mark.parametrize(
    ("weights", "correct", "incorrect"),
    [(PSR, 1.0, 0.0), (NSR, 0.0, -1.0), (SignWeights(0.1, 1.0), 0.1, -1.0), (REINFORCE, 1.0, -1.0)],
)
def test_worked_example(weights, correct, incorrect):
    is_correct_B = torch.tensor([True, False])
    mask_BT = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]])
    expected_BT = torch.tensor([[correct, correct, 0.0], [incorrect, incorrect, incorrect]])
    torch.testing.assert_close(signed_advantages(is_correct_B, mask_BT, weights), expected_BT)


@given(outcomes=OUTCOMES, seed=SEEDS)
def test_psr_plus_nsr_is_reinforce(outcomes, seed):
    """The two halves add up to REINFORCE with a +1/-1 reward, for any outcomes and mask."""
    is_correct_B, mask_BT = torch.tensor(outcomes), random_mask(len(outcomes), seed)
    halves_BT = signed_advantages(is_correct_B, mask_BT, PSR) + signed_advantages(is_correct_B, mask_BT, NSR)
    torch.testing.assert_close(halves_BT, (2.0 * is_correct_B - 1).unsqueeze(-1) * mask_BT)


@given(outcomes=OUTCOMES, seed=SEEDS, weight=st.floats(0, 10, width=32))
def test_w_reinforce_is_reinforce_with_a_constant_baseline(outcomes, seed, weight):
    """On a 0/1 reward r: A = (1 + lambda) * (r - 1 / (1 + lambda))."""
    is_correct_B, mask_BT = torch.tensor(outcomes), random_mask(len(outcomes), seed)
    expected_BT = ((1 + weight) * (is_correct_B.double() - 1 / (1 + weight))).unsqueeze(-1) * mask_BT
    actual_BT = signed_advantages(is_correct_B, mask_BT, SignWeights(weight, 1.0))
    torch.testing.assert_close(actual_BT.double(), expected_BT, rtol=1e-5, atol=1e-6)


@given(outcomes=OUTCOMES, seed=SEEDS, name=st.sampled_from(["psr", "nsr", "w_reinforce", "reinforce"]))
def test_zero_one_and_minus_one_one_rewards_are_the_same(outcomes, seed, name):
    mask_BT = random_mask(len(outcomes), seed)
    zero_one, _ = ESTIMATORS[name](rewards_of([float(o) for o in outcomes]), mask_BT)
    signed, _ = ESTIMATORS[name](rewards_of([2.0 * o - 1 for o in outcomes]), mask_BT)
    torch.testing.assert_close(zero_one, signed)


@given(
    outcomes=OUTCOMES,
    seed=SEEDS,
    name=st.sampled_from([row.name for row in ROWS if row.is_signed or row.name == "psr_nsr"]),
)
def test_nothing_outside_the_mask_and_one_value_inside(outcomes, seed, name):
    mask_BT = random_mask(len(outcomes), seed)
    config = {"psr_nsr": {"advantage": "weighted"}, "asymre": {"asymre_baseline": 0.3}}.get(name)
    advantages_BT, returns_BT = ESTIMATORS[name](rewards_of([float(o) for o in outcomes]), mask_BT, config=config)
    assert torch.equal(advantages_BT, returns_BT)
    assert not advantages_BT[mask_BT == 0].any()
    for row, mask in zip(advantages_BT, mask_BT, strict=True):
        assert row[mask == 1].unique().numel() <= 1


def test_a_masked_score_still_decides():
    """Rollout correction can mask the token that carries the score; a right answer must not become a wrong one."""
    mask_BT = torch.tensor([[1.0, 1.0, 1.0, 1.0, 0.0]])
    advantages_BT, _ = ESTIMATORS["nsr"](rewards_of([1.0]), mask_BT)
    assert not advantages_BT.any()


@pytest.mark.parametrize(("advantage", "twin"), [("positive", "psr"), ("negative", "nsr"), ("weighted", "w_reinforce")])
def test_the_papers_spelling(advantage, twin):
    rewards_BT, mask_BT = rewards_of([1.0, 0.0, 1.0]), torch.ones(3, 5)
    config = {"advantage": advantage, "positive_advantage_weight": 0.3}
    ours, _ = ESTIMATORS["psr_nsr"](rewards_BT, mask_BT, config=config)
    torch.testing.assert_close(ours, ESTIMATORS[twin](rewards_BT, mask_BT, config=config)[0])


def test_lambda_defaults_to_the_papers():
    advantages_BT, _ = ESTIMATORS["w_reinforce"](rewards_of([1.0]), torch.ones(1, 5), config={})
    torch.testing.assert_close(advantages_BT, torch.full((1, 5), 0.1))


@pytest.mark.parametrize("name", ["psr", "nsr", "w_reinforce", "reinforce"])
@pytest.mark.parametrize("score", [0.3, 0.5, -0.5, 2.0, float("nan")])
def test_a_partial_reward_is_refused_by_name(name, score):
    with pytest.raises(ValueError, match=rf"{name} needs rewards of 0, 1 or -1, got {score:g} at row 1 \(prompt p7\)"):
        ESTIMATORS[name](rewards_of([1.0, score]), torch.ones(2, 5), index=["p3", "p7"])


def test_kl_in_the_reward_is_refused():
    with pytest.raises(ValueError, match="algorithm.use_kl_in_reward=True changes"):
        ESTIMATORS["nsr"](rewards_of([1.0]), torch.ones(1, 5), config={"use_kl_in_reward": True})


@pytest.mark.parametrize("weight", [-0.1, float("nan")])
def test_a_negative_lambda_is_refused(weight):
    with pytest.raises(ValueError, match="positive_advantage_weight must be a number >= 0"):
        ESTIMATORS["w_reinforce"](rewards_of([1.0]), torch.ones(1, 5), config={"positive_advantage_weight": weight})


def test_an_unknown_advantage_is_refused():
    with pytest.raises(ValueError, match="one of positive, negative, weighted, got None"):
        ESTIMATORS["psr_nsr"](rewards_of([1.0]), torch.ones(1, 5), config={})
