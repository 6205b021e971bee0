"""Runs that share Ray, workers and engines are the runs that they would be alone, and one that fails stays alone."""

import json

import pytest

from tests.end_to_end.rewards_path import REWARDS

pytestmark = pytest.mark.slow

# One request at a time: with more, vLLM draws in the order in which they happen to arrive, and no two runs are the same.
ONE_SAMPLE = (
    *("data.train_batch_size=1", "actor_rollout_ref.rollout.n=1", "actor_rollout_ref.actor.ppo_mini_batch_size=1"),
    *("algorithm.adv_estimator=reinforce", "actor_rollout_ref.actor.optim.lr=1e-3", "trainer.total_training_steps=3"),
)
OF_THE_MACHINE = ("timing_", "perf/", "actor/perf/")


def results(folder) -> list[dict[str, float]]:
    """The metrics of a run, without seconds and bytes."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [
        {"step": row["step"]} | {name: n for name, n in row["data"].items() if not name.startswith(OF_THE_MACHINE)}
        for row in rows
    ]


def reward(name: str) -> list[str]:
    return [f"reward.custom_reward_function.path={REWARDS}", f"reward.custom_reward_function.name={name}"]


def test_a_run_after_another_on_one_stack_is_the_run_alone(train, models, tmp_path):
    """The second run has the stack of the first; the fourth, the same run once more, starts one of its own: the third,
    whose grader fails, has taken that of the others with it."""
    first = ["data.seed=5", "actor_rollout_ref.rollout.seed=9", "actor_rollout_ref.actor.optim.lr=1e-2"]
    second = ["data.seed=1", *reward("by_length"), "trainer.save_freq=3"]
    runs = {
        "first": [*first, *reward("always_right"), f"actor_rollout_ref.model.path={models['tied']}"],
        "warm": second,
        "fails": reward("failing_grader"),
        "alone": second,
    }
    options = [word for name, own in runs.items() for word in ("--run", *own, f"trainer.output_dir={tmp_path / name}")]
    ended = train(tmp_path, *ONE_SAMPLE, *options)
    assert ended.code == 1
    assert ended.shown.count("starting Ray") == 2
    assert "run 3 of 4: FAILED with code 1" in ended.shown
    assert "The grader failed on 100.0% of the samples of step 1" in ended.shown
    assert "run 4 of 4: done" in ended.shown

    warm, alone, other = (results(tmp_path / name) for name in ("warm", "alone", "first"))
    assert [row["step"] for row in warm] == [1, 2, 3]
    assert warm == alone
    assert [row["actor/grad_norm"] for row in warm] != [row["actor/grad_norm"] for row in other]
    for name in ("warm", "alone"):
        record = json.loads((tmp_path / name / "run.json").read_text())
        assert record["config"]["trainer"]["output_dir"] == str(tmp_path / name)
        assert (tmp_path / name / "checkpoints" / "global_step_3").is_dir()
        assert (tmp_path / name / "train.log").stat().st_size
    assert not (tmp_path / "fails" / "metrics.jsonl").read_text()
