"""What one update does to the logits (arXiv:2506.01347, Eq 7 and 8), by autograd.

The paper differentiates the probability pi of a sampled token. The trained loss is the ratio pi / pi_old, whose gradient
is that of pi divided by pi of the sampled token: the same direction, another size.
"""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from verl_ext.objectives.algorithm_options import AlgorithmOptions
from verl_ext.objectives.catalog import OBJECTIVES
from verl_ext.objectives.logit_gradient import logit_gradient
from verl_ext.objectives.objective import SignWeights
from verl_ext.objectives.signed import signed_advantages


def descent_direction(logits_V: torch.Tensor, sampled: int, *, is_correct: bool) -> torch.Tensor:
    """-dL/dz at z for one token: L = -A * pi / pi_old on the first update, where pi_old is pi."""
    logits_V = logits_V.clone().requires_grad_()
    log_prob = torch.log_softmax(logits_V, dim=-1)[sampled]
    ratio = (log_prob - log_prob.detach()).exp()
    weights = SignWeights(1.0, 0.0) if is_correct else SignWeights(0.0, 1.0)  # PSR, NSR
    advantage = signed_advantages(torch.tensor([is_correct]), torch.ones(1, 1), weights)[0, 0]
    (gradient_V,) = torch.autograd.grad(-advantage * ratio, logits_V)
    return -gradient_V


@given(
    logits=st.lists(st.floats(-4, 4, width=32), min_size=2, max_size=7),
    choice=st.integers(0, 6),
    is_correct=st.booleans(),
)
def test_equations_7_and_8(logits, choice, is_correct):
    logits_V = torch.tensor(logits, dtype=torch.float64)
    sampled = choice % len(logits)
    pi_V = torch.softmax(logits_V, dim=-1)
    paper_V = -pi_V[sampled] * pi_V
    paper_V[sampled] = pi_V[sampled] * (1 - pi_V[sampled])
    paper_V = (paper_V if is_correct else -paper_V) / pi_V[sampled]
    actual_V = descent_direction(logits_V, sampled, is_correct=is_correct)
    torch.testing.assert_close(actual_V, paper_V, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("sampled", [0, 2])
def test_nsr_raises_the_others_in_proportion(sampled):
    """NSR takes mass from the sampled token and gives it to the rest in proportion to their probability."""
    logits_V = torch.tensor([2.0, 0.5, -1.0, 0.0], dtype=torch.float64)
    pi_V = torch.softmax(logits_V, dim=-1)
    direction_V = descent_direction(logits_V, sampled, is_correct=False)
    others = [v for v in range(4) if v != sampled]
    assert direction_V[sampled] < 0
    torch.testing.assert_close(direction_V[others] / pi_V[others], torch.ones(3, dtype=torch.float64))


@given(
    logits=st.lists(st.floats(-4, 4), min_size=2, max_size=7),
    choices=st.lists(st.integers(0, 6), min_size=1, max_size=6),
    right=st.sets(st.integers(0, 6)),
    name=st.sampled_from(["psr", "nsr", "w_reinforce", "reinforce"]),
)
def test_the_gradient_of_several_tokens_is_autograds(logits, choices, right, name):
    """The mean over the sampled tokens of the trained loss -A * pi / pi_old, with the advantages of the objective."""
    sampled = [choice % len(logits) for choice in choices]
    weights = OBJECTIVES[name].weights_under(AlgorithmOptions.read({}, adv_estimator=name))
    is_correct_N = torch.tensor([token in right for token in sampled])
    advantage_N = signed_advantages(is_correct_N, torch.ones(len(sampled), 1, dtype=torch.float64), weights)[:, 0]
    logits_V = torch.tensor(logits, dtype=torch.float64, requires_grad=True)
    log_prob_N = torch.log_softmax(logits_V, dim=-1)[sampled]
    loss = -(advantage_N * (log_prob_N - log_prob_N.detach()).exp()).mean()
    (gradient_V,) = torch.autograd.grad(loss, logits_V)
    actual_RV = logit_gradient(
        torch.softmax(logits_V, dim=-1).detach().numpy()[None], np.array([sampled]), advantage_N.numpy()[None]
    )
    np.testing.assert_allclose(actual_RV[0], -gradient_V.numpy(), atol=1e-7)  # lambda is a float32 in signed_advantages
    assert abs(actual_RV.sum()) < 1e-12


def test_repeats_do_not_mix():
    """Two repeats by hand: token 0 right and twice, token 1 wrong; and the other way round."""
    probabilities_RV = np.array([[0.5, 0.25, 0.25], [0.2, 0.3, 0.5]])
    actual_RV = logit_gradient(probabilities_RV, np.array([[0, 0], [1, 2]]), np.array([[1.0, 1.0], [-1.0, 0.0]]))
    expected_RV = [[0.5, -0.25, -0.25], [0.1, -0.35, 0.25]]
    np.testing.assert_allclose(actual_RV, expected_RV)
