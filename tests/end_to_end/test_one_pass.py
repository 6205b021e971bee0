"""Old log-probs from a step's first update, on the real stack; nothing is learned from stale weights."""

from pathlib import Path

import pytest

from tests.end_to_end.stacks import reward

pytestmark = pytest.mark.slow


def test_a_rollout_with_stale_weights_stops_the_run_before_it_is_learned_from(train, tmp_path, monkeypatch):
    """The first update moves the policy, the rollout does not hear of it, and there is no second."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    extension = "lost_weights.LostWeightsExtension"
    result = train(
        tmp_path,
        *reward("by_length"),
        f"actor_rollout_ref.rollout.engine_kwargs.vllm.worker_extension_cls={extension}",
        "actor_rollout_ref.actor.optim.lr=1e-2",
        "trainer.max_rollout_probs_diff=1e-6",
        "trainer.total_training_steps=3",
        "trainer.save_freq=1",
    )
    assert result.code == 1, result.shown
    assert "those of a step's first update are its own" in result.shown
    assert "The rollout engine and the actor disagree: at step 2" in result.shown
    assert len(result.steps) == 1
    assert [path.name for path in (tmp_path / "checkpoints").glob("global_step_*")] == ["global_step_1"]
