"""Whether two ways to make the same updates come to the same weights and metrics."""

import pytest


def assert_same(updates, others, start):
    """Each of ``updates`` is the one of ``others``, within a ten-thousandth of how far that moved from ``start``.

    Returns:
        How many weights moved, over all of them.
    """
    num_moved = 0
    for here, there in zip(updates, others, strict=True):
        for name, weight in here.weights.items():
            moved = (there.weights[name] - start[name]).norm()
            num_moved += bool(moved)
            assert (weight - there.weights[name]).norm() <= 1e-4 * moved + 1e-7, name
        for name in ("actor/pg_loss", "actor/ppo_kl", "grad_norm", "actor/entropy_loss", "rollout_gap"):
            assert here.metrics.get(name, []) == pytest.approx(there.metrics.get(name, []), rel=1e-3, abs=1e-5), name
    return num_moved
