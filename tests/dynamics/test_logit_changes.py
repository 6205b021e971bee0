from types import SimpleNamespace

import numpy as np
import pytest
import torch

from verl_ext.dynamics.logit_changes import MIN_PROBABILITY, logit_changes
from verl_ext.dynamics.policy import Responses
from verl_ext.dynamics.sign_gradients import NSR, PSR
from verl_ext.objectives.objective import SignWeights


class FreeLogits(torch.nn.Module):
    """Each position has logits of its own, whatever stands before it: what the equations are about."""

    def __init__(self, num_positions, num_tokens):
        super().__init__()
        self.table = torch.nn.Parameter(
            torch.randn(num_positions, num_tokens, generator=torch.Generator().manual_seed(0))
        )

    def forward(self, input_ids, logits_to_keep):
        table = self.table[: input_ids.shape[1]].expand(len(input_ids), -1, -1)
        return SimpleNamespace(logits=table[:, -logits_to_keep:])


def response(tokens):
    return Responses([0, 0], torch.tensor([tokens]), torch.ones(1, len(tokens), dtype=torch.bool), [""], [False])


@pytest.mark.parametrize(("weights", "is_correct"), [(PSR, True), (NSR, False), (SignWeights(0.1, 1.0), True)])
def test_free_logits_do_what_the_equations_say(weights, is_correct):
    """Their changes are equations 7 and 8 to rounding, by the token alone and by the response whose positions do not meet."""
    found = logit_changes(FreeLogits(6, 5), [response([1, 4, 0])], [[is_correct]], weights)
    np.testing.assert_allclose(found.alone_M, found.predicted_M, atol=1e-6)
    np.testing.assert_allclose(found.together_M, found.predicted_M, atol=1e-6)
    assert found.correlations == pytest.approx((1.0, 1.0))
    assert found.is_drawn_M.sum() == 3
    assert np.all((found.predicted_M[found.is_drawn_M] > 0) == is_correct)


def test_positions_that_share_their_logits_move_each_other():
    """Two responses with other first tokens, of one table: alone each pulls its own, together they pull against each other."""
    batch = [response([1]), response([2])]
    found = logit_changes(FreeLogits(4, 5), batch, [[True], [True]], PSR)
    np.testing.assert_allclose(found.alone_M, found.predicted_M, atol=1e-6)
    half = found.predicted_M.reshape(2, -1)
    np.testing.assert_allclose(found.together_M.reshape(2, -1), [half.sum(axis=0)] * 2, atol=1e-6)


def test_a_real_model(policy, batch):
    is_correct = [[True, False, False], [True, True, False]]
    before = [weight.clone() for weight in policy.model.parameters()]
    found = logit_changes(policy.model, batch, is_correct, NSR, max_positions=4)
    assert len(found.predicted_M) <= 4 / MIN_PROBABILITY
    # a step down for the token alone takes its own logit down in any model, by the squared length of its gradient
    assert np.all(found.alone_M[found.is_drawn_M] < 0)
    assert all(torch.equal(a, b) for a, b in zip(before, policy.model.parameters(), strict=True))


def test_a_part_without_answers(policy, batch):
    with pytest.raises(ValueError, match="No response of the batch has an advantage"):
        logit_changes(policy.model, batch, [[False] * 3] * 2, PSR)
