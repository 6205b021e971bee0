"""A first pass with the adapter switched off, as a reference's log-probs are computed, leaves its gradients as they should be."""

import pytest
import torch
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

from tests.training.learner import only_rank
from verl_ext.learner.gradient_types import settle_gradient_types


@pytest.mark.parametrize("how", ["settled", "left"])
def test_a_first_pass_without_the_adapter(how):
    """settle_gradient_types; torch still needs it as long as "left" ends in an error"""
    with only_rank():
        layer = torch.nn.Linear(4, 4)
        fully_shard(layer, mp_policy=MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32))
        if how == "settled":
            settle_gradient_types(layer)
        inputs = torch.randn(2, 4)
        with torch.no_grad():
            layer.requires_grad_(False)
            layer(inputs)
            layer.requires_grad_(True)
        loss = layer(inputs).sum()
        if how == "left":
            with pytest.raises(RuntimeError, match="attempting to assign a gradient with dtype 'c10::BFloat16'"):
                loss.backward()
            return
        loss.backward()
        assert {parameter.grad.dtype for parameter in layer.parameters()} == {torch.float32}
