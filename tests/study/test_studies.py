"""The studies that are shipped: every run of them could be started, on a model and data of the right shape."""

from itertools import product
from pathlib import Path

import pytest

from tests.training.conftest import countdown_rows
from verl_ext.data.parquet import write_rows
from verl_ext.study.grid import Grid
from verl_ext.study.grid_file import read_grid
from verl_ext.training import several_runs

STUDIES = sorted((Path(__file__).parents[2] / "studies").glob("*.yaml"))


@pytest.fixture(scope="module")
def place(folder, tmp_path_factory):
    """Options that put stand-ins for the model and the data in the place of those that a study names."""
    rows = tmp_path_factory.mktemp("rows") / "rows.parquet"
    write_rows(countdown_rows(128), rows)
    files = [f"data.{name}_files={rows}" for name in ("train", "val")]
    return [f"actor_rollout_ref.model.path={folder}/model", *files, "device=cpu"]


def prepared(name, place, output, seed="seed1"):
    """Name -> configuration of the runs of a study with one seed, after every check."""
    runs = read_grid(next(file for file in STUDIES if file.stem == name))
    grid = Grid(runs, output, place)
    chosen = [run for run in runs if run.place["seed"] == seed]
    members = several_runs.prepare([grid.arguments(run) for run in chosen], [run.name for run in chosen])
    return {run.name.removesuffix(f"-{seed}"): member.run.config for run, member in zip(chosen, members, strict=True)}


def test_these_are_shipped():
    assert [file.stem for file in STUDIES] == ["countdown_cpu", "lambda", "sign_or_clip"]


@pytest.mark.parametrize("file", STUDIES, ids=lambda file: file.stem)
def test_a_study_says_what_it_asks_and_its_command(file):
    comment = "".join(line for line in file.read_text().splitlines(keepends=True) if line.startswith("#"))
    assert "?" in comment
    assert f"python -m verl_ext.study run studies/{file.name}\n" in comment


def test_countdown_cpu(place, tmp_path):
    configs = prepared("countdown_cpu", place, tmp_path)
    assert [config.algorithm.adv_estimator for config in configs.values()] == [
        "psr",
        "nsr",
        "w_reinforce",
        "reinforce",
        "grpo",
    ]
    assert list(configs) == [config.algorithm.adv_estimator for config in configs.values()]
    assert len(read_grid(STUDIES[0])) == 5 * 5


def test_lambda(place, tmp_path):
    configs = prepared("lambda", place, tmp_path, seed="seed3")
    weights = {name: config.algorithm.positive_advantage_weight for name, config in configs.items() if name != "nsr"}
    assert weights == {f"lambda_{weight}": weight for weight in (0, 0.05, 0.1, 0.2, 1)}
    assert configs["nsr"].algorithm.adv_estimator == "nsr"
    assert {config.data.seed for config in configs.values()} == {3}


def test_sign_or_clip(place, tmp_path):
    configs = prepared("sign_or_clip", place, tmp_path)
    assert len(configs) == 3 * 3 * 2
    for weight, updates, clip in product((0, 0.1, 1), (1, 2, 4), ("clipped", "unclipped")):
        config = configs[f"lambda_{weight}-updates_{updates}-{clip}"]
        actor = config.actor_rollout_ref.actor
        assert config.algorithm.positive_advantage_weight == weight
        assert config.data.train_batch_size == updates * actor.ppo_mini_batch_size
        if clip == "clipped":
            assert (actor.clip_ratio_low, actor.clip_ratio_high) == (0.2, 0.2)
        else:
            assert actor.clip_ratio_low == 1.0, "no ratio is below 0"
            assert actor.clip_ratio_high >= 1e9
        assert actor.clip_ratio_c >= 1e9
