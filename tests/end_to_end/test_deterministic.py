"""``trainer.deterministic``: the same command twice, and a run that was interrupted, give the same to the bit."""

import hashlib
import json
from pathlib import Path

import pytest
import torch

from tests.end_to_end.rewards_path import REWARDS

pytestmark = pytest.mark.slow

OF_THE_MACHINE = ("timing_", "perf/", "actor/perf/")
STEPS = 4
OPTIONS = (
    "trainer.deterministic=True",
    "algorithm.adv_estimator=reinforce",
    *(f"reward.custom_reward_function.path={REWARDS}", "reward.custom_reward_function.name=by_length"),
    "actor_rollout_ref.actor.optim.lr=1e-2",
    *("trainer.save_freq=2", "trainer.test_freq=2", "actor_rollout_ref.rollout.val_kwargs.n=2"),
    "actor_rollout_ref.rollout.val_kwargs.temperature=1.0",
)


def metrics_of(folder: Path) -> list[dict[str, float]]:
    """By step, without seconds and bytes."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [
        {"step": row["step"]} | {name: n for name, n in row["data"].items() if not name.startswith(OF_THE_MACHINE)}
        for row in rows
    ]


def weights_of(folder: Path) -> str:
    """A digest of the last checkpoint's weights and of the optimizer's moments."""
    total = hashlib.sha256()
    for kind in ("model", "optim"):
        name = f"checkpoints/global_step_{STEPS}/actor/{kind}_world_size_1_rank_0.pt"
        for tensor in tensors_of(torch.load(folder / name, weights_only=False)):
            total.update(tensor.contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()


def tensors_of(value):
    """Every tensor below ``value``, in its order."""
    if hasattr(value, "to_local"):
        value = value.to_local()
    if isinstance(value, torch.Tensor):
        yield value.detach()
    elif isinstance(value, dict):
        for inner in value.values():
            yield from tensors_of(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from tensors_of(inner)


def answers_of(folder: Path, step: int) -> list[tuple[str, str, float]]:
    """Prompt, answer and score of a step's samples, sorted: verl writes them in the order of their random keys."""
    rows = [json.loads(line) for line in (folder / "rollouts" / f"{step}.jsonl").read_text().splitlines()]
    return sorted((row["input"], row["output"], row["score"]) for row in rows)


@pytest.fixture(scope="module")
def runs(train, tmp_path_factory) -> dict[str, Path]:
    folders = {name: tmp_path_factory.mktemp(name) for name in ("first", "second", "resumed", "other seed")}
    for name, folder in folders.items():
        options = [*OPTIONS, f"trainer.rollout_data_dir={folder}/rollouts"]
        if name == "other seed":
            options.append("actor_rollout_ref.rollout.seed=7")
        for steps in (2, STEPS) if name == "resumed" else (STEPS,):
            done = train(folder, *options, f"trainer.total_training_steps={steps}")
            assert done.code == 0, done.shown
    return folders


@pytest.mark.parametrize("other", ["second", "resumed"])
def test_two_runs_are_equal_to_the_bit(runs, other):
    for step in range(1, STEPS + 1):
        assert answers_of(runs["first"], step) == answers_of(runs[other], step)
    assert metrics_of(runs["first"]) == metrics_of(runs[other])
    assert weights_of(runs["first"]) == weights_of(runs[other])


def test_another_seed_is_another_run(runs):
    assert answers_of(runs["first"], 1) != answers_of(runs["other seed"], 1)
    assert weights_of(runs["first"]) != weights_of(runs["other seed"])


def test_the_answers_to_a_prompt_differ(runs):
    """verl's full_determinism gives all of them one seed."""
    by_prompt: dict[str, set[str]] = {}
    for prompt, answer, _score in answers_of(runs["first"], 1):
        by_prompt.setdefault(prompt, set()).add(answer)
    assert len(by_prompt) == 8
    assert all(len(outputs) == 4 for outputs in by_prompt.values())
