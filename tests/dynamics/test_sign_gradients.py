import pytest
import torch
from torch.nn.functional import cross_entropy

from verl_ext.dynamics.sign_gradients import NSR, PSR, loss_gradient, part_advantages, sign_gradients
from verl_ext.objectives.objective import SignWeights

IS_CORRECT = [[True, False, False], [True, True, False]]


def by_cross_entropy(policy, batch, wanted, sign):
    """The gradient of the part by PyTorch's cross entropy, a response at a time: no ratio, no mask, no padding."""
    policy.model.zero_grad()
    num_tokens = sum(int(responses.mask_BT.sum()) for responses in batch)
    for responses, correct in zip(batch, IS_CORRECT, strict=True):
        for row, mask, is_correct in zip(responses.token_BT, responses.mask_BT, correct, strict=True):
            if is_correct is wanted:
                tokens = row[mask]
                ids = torch.cat([torch.tensor(responses.prompt_ids), tokens])
                logits = policy.model(input_ids=ids[None]).logits[0, len(responses.prompt_ids) - 1 : -1]
                (sign * cross_entropy(logits, tokens, reduction="sum") / num_tokens).backward()
    gradient = torch.cat([weight.grad.flatten() for weight in policy.model.parameters()])
    policy.model.zero_grad()
    return gradient


def test_parts_norms_and_cosine_are_autograds(policy, batch):
    psr, nsr = by_cross_entropy(policy, batch, True, 1.0), by_cross_entropy(policy, batch, False, -1.0)
    torch.testing.assert_close(
        loss_gradient(policy.model, batch, part_advantages(batch, IS_CORRECT, PSR)), psr, atol=1e-5, rtol=1e-3
    )
    found = sign_gradients(policy.model, batch, IS_CORRECT)
    assert found.psr_norm == pytest.approx(float(psr.norm()), rel=1e-3)
    assert found.nsr_norm == pytest.approx(float(nsr.norm()), rel=1e-3)
    assert found.cosine == pytest.approx(float(torch.cosine_similarity(psr, nsr, dim=0)), abs=1e-3)


def test_the_parts_add_up_to_reinforce(policy, batch):
    psr, nsr, both = (
        loss_gradient(policy.model, batch, part_advantages(batch, IS_CORRECT, weights))
        for weights in (PSR, NSR, SignWeights(1.0, 1.0))
    )
    torch.testing.assert_close(psr + nsr, both, atol=1e-5, rtol=1e-3)


def test_an_absent_sign_has_no_direction(policy, batch):
    found = sign_gradients(policy.model, batch, [[False] * 3] * 2)
    assert found.psr_norm == 0.0
    assert found.nsr_norm > 0.0
    assert found.cosine != found.cosine  # nan


def test_weights_and_gradients_are_left_alone(policy, batch):
    before = [weight.clone() for weight in policy.model.parameters()]
    sign_gradients(policy.model, batch, IS_CORRECT)
    assert all(torch.equal(a, b) for a, b in zip(before, policy.model.parameters(), strict=True))
    assert all(weight.grad is None for weight in policy.model.parameters())
