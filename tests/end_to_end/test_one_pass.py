"""Old log-probs from a step's first update, on the real stack; a run goes back and does not learn from stale weights."""

from pathlib import Path

import pytest

from tests.end_to_end.stacks import reward

pytestmark = pytest.mark.slow


def test_a_run_with_a_stale_rollout_goes_back_before_it_learns_from_it(train, tmp_path, monkeypatch):
    """The rollout hears of its first weights only: those of the start, and then those of the checkpoint that it goes back to.

    So the second step is stale at first and right the second time, and the third one is stale.
    """
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    extension = "lost_weights.LostWeightsExtension"
    result = train(
        tmp_path,
        *reward("by_length"),
        f"actor_rollout_ref.rollout.engine_kwargs.vllm.worker_extension_cls={extension}",
        "actor_rollout_ref.actor.optim.lr=1e-2",
        *("trainer.guardrails.rollout_gap.max_diff=1e-6", "trainer.guardrails.rollout_gap.action=roll_back"),
        "trainer.guardrails.max_rollbacks=1",
        "trainer.total_training_steps=3",
        "trainer.save_freq=1",
    )
    assert result.code == 1, result.shown
    assert "those of a step's first update are its own" in result.shown
    stale = "guardrail rollout_gap: the rollout engine and the actor disagree"
    assert f"WARNING: step 2, {stale}" in result.shown
    assert "The run goes back to step 1, with 0.5 times the configured learning rate." in result.shown
    assert "gone back once, last from step 2 to step 1 (rollout_gap)" in result.shown
    assert f"step 3, {stale}" in result.shown
    assert "It has gone back once, and trainer.guardrails.max_rollbacks=1: the run stops." in result.shown
    first, second, third = result.steps
    assert (first["actor/lr"], second["actor/lr"]) == (1e-2, pytest.approx(0.5e-2))
    assert "actor/lr" not in third, "nothing was learned from it"
    assert [step.get("guardrails/rollbacks") for step in result.steps] == [None, 1, 1]
    assert sorted(path.name for path in (tmp_path / "checkpoints").glob("global_step_*")) == [
        "global_step_1",
        "global_step_2",
    ]
    assert result.left_running == []
