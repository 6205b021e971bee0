"""A first pass with the adapter switched off, as a reference's log-probs are computed, leaves its gradients as they should be."""

import os
import subprocess
import sys

import pytest

from tests.training.learner import free_port

SCRIPT = """
import sys
import torch
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from verl_ext.learner.gradient_types import settle_gradient_types

torch.distributed.init_process_group("gloo")
layer = torch.nn.Linear(4, 4)
fully_shard(layer, mp_policy=MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32))
if sys.argv[1] == "settled":
    settle_gradient_types(layer)
inputs = torch.randn(2, 4)
with torch.no_grad():
    layer.requires_grad_(False)
    layer(inputs)
    layer.requires_grad_(True)
layer(inputs).sum().backward()
print({parameter.grad.dtype for parameter in layer.parameters()})
torch.distributed.destroy_process_group()
"""


@pytest.mark.parametrize("how", ["settled", "left"])
def test_a_first_pass_without_the_adapter(how):
    """settle_gradient_types; torch still needs it as long as "left" ends in an error"""
    ranks = {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    done = subprocess.run([sys.executable, "-c", SCRIPT, how], env=os.environ | ranks, capture_output=True, text=True)
    if how == "settled":
        assert (done.returncode, done.stdout) == (0, "{torch.float32}\n"), done.stderr[-2000:]
    else:
        assert "attempting to assign a gradient with dtype 'c10::BFloat16'" in done.stderr
