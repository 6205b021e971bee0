"""PKPO's weights against the paper's definitions, and their expectation against the gradient of pass@k, exactly."""

from itertools import combinations, product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.objectives.grouped import advantages_of, batch_of
from verl_ext.objectives.algorithm_options import PKPO_BASELINES
from verl_ext.objectives.estimators import ESTIMATORS
from verl_ext.objectives.pkpo import pkpo_advantages

NAME = "pkpo"
LOGITS_V = torch.tensor([0.3, -0.8, 0.1], dtype=torch.float64)
"""A policy over three answers."""
NUM_SAMPLES = 4
SIZES = [(n, c, k) for n in range(1, 8) for c in range(n + 1) for k in range(1, n + 1)]


def by_enumeration(outcomes: list[int], k: int, baseline: str) -> list[float]:
    """n s_i of Eq 27 (none) and Eq 33 (loo_minus_one), over every subset."""
    n = len(outcomes)
    subsets = list(combinations(range(n), k))
    totals = [0.0] * n
    for subset in subsets:
        for i in subset:
            without = max((outcomes[j] for j in subset if j != i), default=0)
            totals[i] += max(outcomes[j] for j in subset) - (without if baseline == "loo_minus_one" else 0)
    return [n * total / len(subsets) for total in totals]


@pytest.mark.parametrize(
    ("k", "baseline", "expected"),
    [
        # Pairs of 1, 0, 0: every one with the correct response, and one of two with a wrong one, reaches 1; times k = 2.
        (2, "none", [2.0, 1.0, 1.0]),
        # The correct response is the first of both its pairs; a wrong one adds nothing to any.
        (2, "loo_minus_one", [2.0, 0.0, 0.0]),
        (1, "none", [1.0, 0.0, 0.0]),
        (1, "loo_minus_one", [1.0, -0.5, -0.5]),
        (3, "none", [3.0, 3.0, 3.0]),
    ],
)
def test_worked_example(k, baseline, expected):
    actual = advantages_of(NAME, [1, 0, 0], pass_at_k=k, pkpo_baseline=baseline)
    torch.testing.assert_close(actual, torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("baseline", PKPO_BASELINES)
def test_it_is_the_papers_sum_over_subsets(baseline):
    for n, c, k in SIZES:
        if k == 1 and baseline == "loo_minus_one":
            continue  # the paper's runs put Eq 26 in its place: test_k_of_one
        outcomes = [1] * c + [0] * (n - c)
        actual = advantages_of(NAME, outcomes, pass_at_k=k, pkpo_baseline=baseline)
        assert actual.tolist() == pytest.approx(by_enumeration(outcomes, k, baseline), rel=1e-12, abs=1e-12)


def estimates(correct_answers: set[int], k: int, baseline: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Probability (S,) and gradient estimate (S, V) of every way S to sample ``NUM_SAMPLES`` answers."""
    pi_V = torch.softmax(LOGITS_V, dim=-1)
    samples_SN = torch.tensor(list(product(range(len(pi_V)), repeat=NUM_SAMPLES)))
    outcomes = [[float(answer in correct_answers) for answer in row] for row in samples_SN.tolist()]
    rewards_BT, mask_BT, prompts = batch_of(outcomes, num_tokens=1)
    config = {"pass_at_k": k, "pkpo_baseline": baseline}
    advantages_BT, _ = ESTIMATORS[NAME](rewards_BT, mask_BT, config=config, index=prompts)
    advantages_SN = advantages_BT.view(samples_SN.shape)
    grad_log_pi_SNV = torch.nn.functional.one_hot(samples_SN, len(pi_V)) - pi_V
    return pi_V[samples_SN].prod(dim=-1), (advantages_SN.unsqueeze(-1) * grad_log_pi_SNV).mean(dim=1)


@pytest.mark.parametrize("baseline", PKPO_BASELINES)
@pytest.mark.parametrize("k", [1, 2, 3, 4])
@pytest.mark.parametrize("correct_answers", [{1}, {0, 2}, set(), {0, 1, 2}])
def test_the_expected_update_is_the_gradient_of_pass_at_k(correct_answers, k, baseline):
    """Over all 3^4 ways to sample four answers, through the estimator that verl calls."""
    logits_V = LOGITS_V.clone().requires_grad_()
    success = torch.softmax(logits_V, dim=-1)[sorted(correct_answers)].sum()
    (gradient_V,) = torch.autograd.grad(1 - (1 - success) ** k, logits_V)
    probability_S, estimate_SV = estimates(correct_answers, k, baseline)
    expected_V = (probability_S.unsqueeze(-1) * estimate_SV).sum(dim=0)
    torch.testing.assert_close(expected_V, gradient_V, rtol=0, atol=1e-12)


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_the_baseline_lowers_the_variance(k):
    def variance(baseline: str) -> float:
        probability_S, estimate_SV = estimates({1}, k, baseline)
        mean_V = (probability_S.unsqueeze(-1) * estimate_SV).sum(dim=0)
        return float((probability_S * (estimate_SV - mean_V).square().sum(dim=-1)).sum())

    assert variance("loo_minus_one") < variance("none")


@given(outcomes=st.lists(st.booleans(), min_size=1, max_size=64), data=st.data())
def test_a_wrong_answer_never_adds_to_a_subset(outcomes, data):
    """With 0/1 rewards and k > 1 the paper's baseline leaves weight to correct responses alone."""
    k = data.draw(st.integers(min(2, len(outcomes)), len(outcomes)))
    advantages = advantages_of(NAME, outcomes, pass_at_k=k)
    right = torch.tensor(outcomes)
    assert not advantages[~right].any()
    assert ((advantages[right] >= 0) & (advantages[right] <= k)).all()


@given(outcomes=st.lists(st.booleans(), min_size=1, max_size=16))
def test_k_of_one(outcomes):
    """Without a baseline it is PSR; with one it is REINFORCE with a leave-one-out baseline."""
    rewards_N = torch.tensor(outcomes, dtype=torch.float64)
    torch.testing.assert_close(advantages_of(NAME, outcomes, pass_at_k=1, pkpo_baseline="none"), rewards_N)
    others_N = (rewards_N.sum() - rewards_N) / max(len(outcomes) - 1, 1)
    torch.testing.assert_close(advantages_of(NAME, outcomes, pass_at_k=1), rewards_N - others_N)


def test_the_papers_baseline_is_the_default():
    assert pkpo_advantages(8, 2, 4) == pkpo_advantages(8, 2, 4, baseline="loo_minus_one")
    group, default = [1, 1, 0, 0], advantages_of(NAME, [1, 1, 0, 0], pass_at_k=2)
    assert torch.equal(default, advantages_of(NAME, group, pass_at_k=2, pkpo_baseline="loo_minus_one"))


def test_an_unknown_baseline_is_refused():
    with pytest.raises(ValueError, match="algorithm.pkpo_baseline must be one of loo_minus_one, none, got loo"):
        advantages_of(NAME, [1, 0], pass_at_k=2, pkpo_baseline="loo")
