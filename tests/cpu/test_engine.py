"""What the CPU's engines change in verl's."""

import pytest
import torch

from verl_ext.cpu.engine import _OnCPU


def optimizer_of(name, **options):
    """The optimizer that an engine makes of verl's, and the weights that it moves."""
    weights = torch.nn.Linear(8, 4)

    class Verl:
        def _build_optimizer(self, module):
            return getattr(torch.optim, name)(module.parameters(), lr=1e-2, **options)

    class Engine(_OnCPU, Verl):
        pass

    return Engine()._build_optimizer(weights), weights


@pytest.mark.parametrize("name", ["AdamW", "Adam"])
def test_the_fused_form_of_an_optimizer_is_taken(name):
    optimizer, _ = optimizer_of(name)
    assert all(group["fused"] for group in optimizer.param_groups)


@pytest.mark.parametrize("name", ["SGD", "Adagrad"])
def test_a_fused_form_that_takes_no_sharded_weights_is_not(name):
    """``tests/learner`` makes its updates with SGD on FSDP2's weights; this is why they can."""
    optimizer, _ = optimizer_of(name)
    assert all(not group["fused"] for group in optimizer.param_groups)


def test_a_choice_of_the_users_stays():
    assert all(not group["fused"] for group in optimizer_of("AdamW", foreach=True)[0].param_groups)
    assert all(group["fused"] is False for group in optimizer_of("AdamW", fused=False)[0].param_groups)
    assert all("fused" not in group for group in optimizer_of("Rprop")[0].param_groups)


def test_the_fused_form_gives_the_same_numbers():
    after = []
    for options in ({}, {"foreach": True}):
        torch.manual_seed(0)
        optimizer, weights = optimizer_of("AdamW", weight_decay=0.1, **options)
        for _ in range(5):
            optimizer.zero_grad()
            (weights(torch.randn(16, 8)) ** 2).mean().backward()
            optimizer.step()
        after.append(weights.weight.detach())
    torch.testing.assert_close(after[0], after[1], rtol=1e-5, atol=1e-7)
    assert not torch.equal(after[0], torch.zeros_like(after[0]))
