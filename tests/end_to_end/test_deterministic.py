"""``trainer.deterministic``: a run on a new stack, after others on theirs, and interrupted gives the same to the bit."""

import json
import shutil

import pytest

from tests.end_to_end.conftest import Result
from tests.end_to_end.stacks import ROLLOUTS, reward
from verl_ext.training.run_digest import RunDigest, digest

pytestmark = pytest.mark.slow

STEPS = 4
OPTIONS = (
    "trainer.deterministic=True",
    f"trainer.total_training_steps={STEPS}",
    "algorithm.adv_estimator=reinforce",
    *reward("by_length"),
    "actor_rollout_ref.actor.optim.lr=1e-2",
    *("trainer.save_freq=2", "trainer.test_freq=2", "actor_rollout_ref.rollout.val_kwargs.n=2"),
    "actor_rollout_ref.rollout.val_kwargs.temperature=1.0",
    ROLLOUTS,
)
ANOTHER = (
    *("data.seed=5", "actor_rollout_ref.rollout.seed=9", "actor_rollout_ref.actor.optim.lr=1e-3"),
    *(*reward("always_right"), "trainer.total_training_steps=1"),
)
RUNS = {
    "other seed": ("actor_rollout_ref.rollout.seed=7",),
    "another": ANOTHER,
    "warm": (),
    "fails": reward("failing_grader"),
    "alone": (),
}
"""Of one command. Two begin on a stack of their own: the first, and the last, since one that fails takes that of the others."""


@pytest.fixture(scope="module")
def ended(train, tmp_path_factory) -> Result:
    """The command that makes all of ``RUNS``, as it ended."""
    folder = tmp_path_factory.mktemp("deterministic")
    words = [word for name, own in RUNS.items() for word in ("--run", *own, f"trainer.output_dir={folder / name}")]
    return train(folder, *OPTIONS, *words)


@pytest.fixture(scope="module")
def made(ended, train) -> dict[str, RunDigest]:
    """Of the runs that ended well, and of one that goes on from a checkpoint as after a kill at its end."""
    made = {name: digest(ended.folder / name, STEPS) for name in ("other seed", "warm", "alone")}
    folder = ended.folder / "warm"
    shutil.rmtree(folder / f"checkpoints/global_step_{STEPS}")
    (folder / "checkpoints/latest_checkpointed_iteration.txt").write_text("2")
    done = train(folder, *OPTIONS)
    assert done.code == 0, done.shown
    assert "resuming from step 2" in done.shown
    return made | {"resumed": digest(folder, STEPS)}


@pytest.mark.parametrize("other", ["warm", "resumed"])
def test_two_runs_are_equal_to_the_bit(made, other):
    """On a stack of its own, after other runs on theirs, and in two processes one after the other."""
    assert [row["step"] for row in made["alone"].metrics] == list(range(1, STEPS + 1))
    assert list(made[other].differences(made["alone"])) == []


def test_two_ranks_repeat_to_the_bit(run_of):
    """Two learners over gloo and two rollout engines; the second run follows another one on their stack."""
    first, again = (run_of("two ranks", name) for name in ("paper", "paper again"))
    assert (first.code, again.code) == (0, 0), again.shown
    assert first.steps[-1]["actor/grad_norm"] > 0
    assert list(digest(again.folder, 2).differences(digest(first.folder, 2))) == []


def test_another_seed_is_another_run(made):
    assert made["other seed"].answers[0] != made["alone"].answers[0]
    assert made["other seed"].weights != made["alone"].weights


def test_the_answers_to_a_prompt_differ(made):
    """verl's full_determinism gives all of them one seed."""
    by_prompt: dict[str, set[str]] = {}
    for prompt, answer, _score in made["alone"].answers[0]:
        by_prompt.setdefault(prompt, set()).add(answer)
    assert len(by_prompt) == 8
    assert all(len(outputs) == 4 for outputs in by_prompt.values())


def test_a_run_that_fails_stays_alone(ended):
    """The next one starts a stack of its own; each has its record and its log."""
    assert ended.code == 1
    assert ended.shown.count("starting Ray") == 2
    assert "run 4 of 5: FAILED with code 1" in ended.shown
    assert "step 1, guardrail grader_errors: the grader failed on 100.0% of the samples" in ended.shown
    assert "run 5 of 5: done" in ended.shown
    (row,) = (json.loads(line)["data"] for line in (ended.folder / "fails/metrics.jsonl").read_text().splitlines())
    assert row["guardrails/grader_errors"] == 1
    assert "actor/loss" not in row, "nothing was learned"
    for name in ("another", "alone"):
        record = json.loads((ended.folder / name / "run.json").read_text())
        assert record["config"]["trainer"]["output_dir"] == str(ended.folder / name)
        assert (ended.folder / name / "train.log").stat().st_size
