"""Pass@k training against GRPO over every subset of k responses, and the laws of its advantages."""

from itertools import combinations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.objectives.grouped import advantages_of
from verl_ext.metrics.pass_at_k import pass_at_k
from verl_ext.objectives.pass_at_k_training import pass_at_k_training_advantages
from verl_ext.objectives.pkpo import pkpo_advantages

NAME = "pass_at_k_training"
SIZES = [(n, c, k) for n in range(1, 8) for c in range(n + 1) for k in range(1, n + 1)]


def by_enumeration(outcomes: list[int], k: int) -> torch.Tensor:
    """The definition: GRPO's advantage of every subset by its reward, averaged over the subsets of each response."""
    subsets = list(combinations(range(len(outcomes)), k))
    rewards_S = torch.tensor([float(max(outcomes[i] for i in subset)) for subset in subsets], dtype=torch.float64)
    if rewards_S.unique().numel() == 1:
        return torch.zeros(len(outcomes), dtype=torch.float64)
    advantages_S = (rewards_S - rewards_S.mean()) / rewards_S.std(correction=0)
    of_response = [advantages_S[[i in subset for subset in subsets]].mean() for i in range(len(outcomes))]
    return torch.stack(of_response)


def test_worked_example():
    """1, 0, 0 and k = 2: of the three pairs one fails, so mean 2/3 and std sqrt(2)/3.

    The correct response is in pairs of reward 1 only, A = (1/3) / (sqrt(2)/3); a wrong one in one that fails and one that
    does not, A = (1/2 - 2/3) / (sqrt(2)/3).
    """
    expected = torch.tensor([1 / 2**0.5, -(0.5**1.5), -(0.5**1.5)], dtype=torch.float64)
    torch.testing.assert_close(advantages_of(NAME, [1, 0, 0], pass_at_k=2), expected)


def test_it_is_grpo_over_all_subsets():
    for n, c, k in SIZES:
        outcomes = [1] * c + [0] * (n - c)
        actual = advantages_of(NAME, outcomes, pass_at_k=k)
        torch.testing.assert_close(actual, by_enumeration(outcomes, k), rtol=1e-12, atol=1e-12)


@given(outcomes=st.lists(st.booleans(), min_size=1, max_size=64), data=st.data())
def test_a_group_sums_to_zero(outcomes, data):
    k = data.draw(st.integers(1, len(outcomes)))
    advantages = advantages_of(NAME, outcomes, pass_at_k=k)
    assert float(advantages.sum()) == pytest.approx(0, abs=1e-9)
    right = torch.tensor(outcomes)
    assert (advantages[right] >= 0).all()
    assert (advantages[~right] <= 0).all()


@given(outcomes=st.lists(st.booleans(), min_size=2, max_size=16).filter(lambda group: 0 < sum(group) < len(group)))
def test_k_of_one_is_grpo(outcomes):
    rewards_N = torch.tensor(outcomes, dtype=torch.float64)
    expected_N = (rewards_N - rewards_N.mean()) / rewards_N.std(correction=0)
    torch.testing.assert_close(advantages_of(NAME, outcomes, pass_at_k=1), expected_N, rtol=1e-12, atol=1e-12)


def test_it_is_pkpo_centered_and_scaled():
    """arXiv:2510.23049: both train pass@k. With r the reward PKPO gives without a baseline, A = (r / k - mean) / std."""
    for n, c, k in SIZES:
        mean = pass_at_k(n, c, k)
        if not 0 < mean < 1:
            continue
        ours, rewards = pass_at_k_training_advantages(n, c, k), pkpo_advantages(n, c, k, baseline="none")
        std = (mean * (1 - mean)) ** 0.5
        assert ours.correct == pytest.approx((rewards.correct / k - mean) / std, abs=1e-12)
        assert ours.incorrect == pytest.approx((rewards.incorrect / k - mean) / std, abs=1e-12)


def test_a_hard_problem_counts_more_than_a_solved_one():
    """The point of k > 1: among 8 responses, with k = 4, three wrong ones are no longer a matter of concern."""
    assert pass_at_k_training_advantages(8, 1, 4).correct > pass_at_k_training_advantages(8, 4, 4).correct > 0
    assert pass_at_k_training_advantages(8, 5, 4) == (0, 0)
