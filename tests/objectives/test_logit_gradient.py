"""What one update does to the logits (arXiv:2506.01347, Eq 7 and 8), by autograd.

The paper differentiates the probability pi of a sampled token. The trained loss is the ratio pi / pi_old, whose gradient
is that of pi divided by pi of the sampled token: the same direction, another size.
"""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

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
