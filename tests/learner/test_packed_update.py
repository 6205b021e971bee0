"""Packed rows train as padded ones do, on the real FSDP2 engine: the GPU's layout of a batch, executed on a CPU."""

import pytest
import torch

from tests.training.learner import updated_weights
from tests.training.test_filtered_update import MIXED, model, rows_with  # noqa: F401

pytestmark = pytest.mark.slow

PACKED = {
    "override_config": {"attn_implementation": "packed_sdpa"},
    "use_remove_padding": True,
    "enable_gradient_checkpointing": True,
}


def test_a_packed_update_is_the_padded_one(model):  # noqa: F811
    rows = rows_with(MIXED)
    untouched = [row | {"advantage": 0.0} for row in rows]
    cases = [rows, untouched]
    padded, start = updated_weights(model, cases, num_ranks=1, options={"entropy_coeff": 0.01})
    packed, _ = updated_weights(model, cases, num_ranks=2, options={"entropy_coeff": 0.01}, model_options=PACKED)
    moved = {name: (padded[name] - start[name]).norm() for name in padded}
    assert all(size > 0 for size in moved.values())
    for name, weight in packed.items():
        assert (weight - padded[name]).norm() < 1e-4 * moved[name] + 1e-7, name
    assert torch.isfinite(packed[name]).all()
