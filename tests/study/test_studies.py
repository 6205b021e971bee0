"""The studies that are shipped: every run of them could be started, on a model and data of the right shape."""

import re
from functools import cache
from itertools import product
from pathlib import Path

import pytest

from tests.training.conftest import countdown_rows
from verl_ext.data.parquet import write_rows
from verl_ext.objectives.catalog import ROWS
from verl_ext.objectives.objective import AnotherName
from verl_ext.study.grid import Grid
from verl_ext.study.grid_file import read_grid, read_study
from verl_ext.training import several_runs
from verl_ext.training.checks.algorithm import check_estimator, check_loss
from verl_ext.training.checks.option_values import check_types
from verl_ext.training.configuration import compose_on_device

STUDIES = sorted((Path(__file__).parents[2] / "studies").glob("*.yaml"))
ON_A_GPU = ("countdown", "math_small")


def runs_of(name):
    return read_grid(next(file for file in STUDIES if file.stem == name))


@pytest.fixture(scope="module")
def place(folder, tmp_path_factory):
    """Options that put stand-ins for the model and the data in the place of those that a study names."""
    rows = tmp_path_factory.mktemp("rows") / "rows.parquet"
    write_rows(countdown_rows(128), rows)
    files = [f"data.{name}_files={rows}" for name in ("train", "val")]
    return [f"actor_rollout_ref.model.path={folder}/model", *files, "device=cpu"]


def prepared(name, place, output, seed="seed1", only=""):
    """Name -> configuration of the runs of a study with one seed and ``only`` in their names, after every check."""
    runs = runs_of(name)
    grid = Grid(runs, output, place)
    chosen = [run for run in runs if run.place["seed"] == seed and only in run.name]
    members = several_runs.prepare([grid.arguments(run) for run in chosen], [run.name for run in chosen])
    return {run.name.removesuffix(f"-{seed}"): member.run.config for run, member in zip(chosen, members, strict=True)}


@cache
def composed(name):
    """Name -> configuration of the runs of a study with seed 1, on its own device, without its model and data."""
    runs = runs_of(name)
    grid = Grid(runs, Path("outputs"), [])
    configs = {
        run.name.removesuffix("-seed1"): compose_on_device(grid.arguments(run))
        for run in runs
        if run.place["seed"] == "seed1"
    }
    for config in configs.values():
        check_types(config)
        check_estimator(config)
        check_loss(config)
    return configs


def test_these_are_shipped():
    assert [file.stem for file in STUDIES] == [
        *("atlas", "countdown", "countdown_cpu", "countdown_narrow", "lambda", "math_small", "noisy_grader"),
        *("sign_or_clip", "smollm2_cpu"),
    ]


@pytest.mark.parametrize("file", STUDIES, ids=lambda file: file.stem)
def test_a_study_says_what_it_asks_and_its_commands(file):
    """In the order in which they are given: results has nothing to show of runs that no one has drawn from."""
    comment = "".join(line for line in file.read_text().splitlines(keepends=True) if line.startswith("#"))
    assert "?" in comment
    commands = re.findall(r"^#   python -m verl_ext\.study (\w+) (\S+)(?: --num_samples \d+)?$", comment, re.MULTILINE)
    assert commands == [(command, f"studies/{file.name}") for command in ("run", "evaluate", "results")]


@pytest.mark.parametrize("file", STUDIES, ids=lambda file: file.stem)
def test_a_study_keeps_what_evaluate_draws_from(file):
    """The last step of every run, as a model."""
    for run in read_grid(file):
        options = {**run.common, **run.own}
        assert options["trainer.total_training_steps"] % options["trainer.save_freq"] == 0
        assert "hf_model" in options["actor_rollout_ref.actor.checkpoint.save_contents"]


def test_what_the_studies_are_about():
    """Each names its comparisons before it is run, but for the one that was run before studies could."""

    def compared(name):
        return [
            (pair.name, pair.base) for pair in read_study(next(file for file in STUDIES if file.stem == name)).primary
        ]

    main = [("nsr", "psr"), ("nsr", "grpo")]
    assert compared("smollm2_cpu") == main
    assert compared("countdown_cpu") == [*main, ("psr", "grpo"), ("nsr", "w_reinforce")]
    about_pass_at_k = ("pass_at_k_training", "pkpo", "maxrl", "rs_grpo")
    assert compared("atlas") == [(name, "grpo") for name in ("psr", "nsr", *about_pass_at_k)]
    assert compared("lambda") == [(run.cell, "lambda_0") for run in runs_of("lambda")[::3] if run.cell != "lambda_0"]
    corrected = [run.cell for run in runs_of("noisy_grader")[::5] if run.cell.endswith("-forward")]
    assert compared("noisy_grader") == [
        *(
            (f"{name}-{kind}_20", f"{name}-exact")
            for name, kind in product(("psr", "nsr", "grpo"), ("false_wrong", "false_right"))
        ),
        *((cell, cell.removesuffix("-forward")) for cell in corrected),
    ]
    assert [file.stem for file in STUDIES if not compared(file.stem)] == ["countdown_narrow"]


@pytest.mark.parametrize("name", ["countdown_cpu", "countdown_narrow"])
def test_countdown_on_a_cpu(name, place, tmp_path):
    configs = prepared(name, place, tmp_path)
    assert [config.algorithm.adv_estimator for config in configs.values()] == [
        "psr",
        "nsr",
        "w_reinforce",
        "reinforce",
        "grpo",
    ]
    assert list(configs) == [config.algorithm.adv_estimator for config in configs.values()]
    assert len(runs_of(name)) == 5 * 5


def test_lambda(place, tmp_path):
    configs = prepared("lambda", place, tmp_path, seed="seed3")
    weights = {name: config.algorithm.positive_advantage_weight for name, config in configs.items() if name != "nsr"}
    assert weights == {f"lambda_{weight}": weight for weight in (0, 0.05, 0.1, 0.2, 1)}
    assert configs["nsr"].algorithm.adv_estimator == "nsr"
    assert {config.data.seed for config in configs.values()} == {3}


def test_sign_or_clip(place, tmp_path):
    configs = prepared("sign_or_clip", place, tmp_path)
    of_updates = [(1, None), *product((2, 4), ("clipped", "unclipped"))]
    assert len(configs) == 3 * len(of_updates)
    for weight, (updates, clip) in product((0, 0.1, 1), of_updates):
        config = configs[f"lambda_{weight}-updates_{updates}{f'_{clip}' if clip else ''}"]
        actor = config.actor_rollout_ref.actor
        assert config.algorithm.positive_advantage_weight == weight
        assert config.data.train_batch_size == updates * actor.ppo_mini_batch_size
        if clip is None:
            continue
        if clip == "clipped":
            assert (actor.clip_ratio_low, actor.clip_ratio_high) == (0.2, 0.2)
        else:
            assert actor.clip_ratio_low == 1.0, "no ratio is below 0"
            assert actor.clip_ratio_high >= 1e9
        assert actor.clip_ratio_c >= 1e9


def test_noisy_grader(place, tmp_path):
    """The signs under every dose, false wrong and false right apart, grpo under the largest; and the corrections of these."""
    noise = "algorithm.noisy_grader"
    doses = {(0, 0), *((rate, 0) for rate in (0.05, 0.1, 0.2)), *((0, rate) for rate in (0.05, 0.1, 0.2))}
    found = set()
    for run in runs_of("noisy_grader"):
        name = run.own["algorithm.adv_estimator"]
        dose = (run.own.get(f"{noise}.false_negative_rate", 0), run.own.get(f"{noise}.false_positive_rate", 0))
        kind = "false_wrong" if dose[0] else "false_right" if dose[1] else "exact"
        correction = run.own.get(f"{noise}.correction", "none")
        seed = run.own["actor_rollout_ref.rollout.seed"]
        words = [name, f"{kind}_{100 * max(dose):.0f}" if any(dose) else kind, "forward" * (correction == "forward")]
        assert run.name == "-".join([*filter(None, words), f"seed{seed}"])
        found.add((name, dose, correction, seed))
    largest = {(0, 0), (0.2, 0), (0, 0.2)}
    assert found == {
        (name, dose, correction, seed)
        for seed in (1, 2, 3, 4, 5)
        for name, dose, correction in (
            *((*case, "none") for case in product(("psr", "nsr"), doses)),
            *(("grpo", dose, "none") for dose in largest),
            ("nsr", (0.2, 0), "forward"),
            ("psr", (0, 0.2), "forward"),
        )
    }
    assert len(found) == len(runs_of("noisy_grader"))


def test_the_corrections_of_noisy_grader_could_be_started(place, tmp_path):
    configs = prepared("noisy_grader", place, tmp_path, only="forward")
    assert {config.algorithm.noisy_grader.correction for config in configs.values()} == {"forward"}
    assert len(configs) == 2


def test_atlas_has_every_objective(place, tmp_path):
    configs = prepared("atlas", place, tmp_path)
    ours = {row.name for row in ROWS if not isinstance(row.formula, AnotherName)}
    assert set(configs) == ours | {"grpo"}
    assert all(name == config.algorithm.adv_estimator for name, config in configs.items())
    assert len(runs_of("atlas")) == 5 * len(configs)


def test_smollm2_cpu():
    configs = composed("smollm2_cpu")
    assert set(configs) == {"psr", "nsr", "w_reinforce", "reinforce", "grpo"}
    assert all(config.trainer.device == "cpu" for config in configs.values())
    assert len(runs_of("smollm2_cpu")) == 5 * 3


@pytest.mark.parametrize("name", ON_A_GPU)
def test_studies_on_a_gpu_have_gpu_settings(name):
    for config in composed(name).values():
        actor = config.actor_rollout_ref.actor
        assert config.trainer.device == "cuda"
        assert (config.trainer.n_gpus_per_node, config.trainer.nnodes) == (1, 1)
        assert (actor.clip_ratio, actor.clip_ratio_low, actor.clip_ratio_high) == (0.2, 0.2, 0.2)
        assert actor.clip_ratio_c >= 1e9, "the published loss has no dual clip"
        assert (list(actor.optim.betas), actor.optim.weight_decay) == ([0.9, 0.95], 0.01)
        assert actor.fsdp_config.model_dtype == "fp32"
        assert config.trainer.test_freq == 10


def test_math_small_has_the_published_settings():
    configs = composed("math_small")
    models = {f"qwen2.5-{size}": f"Qwen/Qwen2.5-{size.upper()}-Instruct" for size in ("0.5b", "1.5b", "3b")}
    assert {
        name: (config.actor_rollout_ref.model.path, config.algorithm.adv_estimator) for name, config in configs.items()
    } == {
        f"{model}-{objective}": (path, objective)
        for (model, path), objective in product(models.items(), ("nsr", "psr", "w_reinforce"))
    }
    for config in configs.values():
        rollout, actor = config.actor_rollout_ref.rollout, config.actor_rollout_ref.actor
        assert config.data.max_response_length == 512
        assert config.trainer.total_training_steps == 80
        assert config.data.train_batch_size * rollout.n == 64
        assert (rollout.n, rollout.temperature, actor.optim.lr) == (2, 1.0, 1e-6)
        assert actor.ppo_mini_batch_size == 32
        assert actor.ppo_mini_batch_size * rollout.n == 64, "one update a step, as with two passes of 32 samples"
        assert config.algorithm.positive_advantage_weight == 0.1
    comment = next(file for file in STUDIES if file.stem == "math_small").read_text()
    assert "prepare_data.py math --out data/math_quarter --stratified_fraction 0.25" in comment


def test_countdown_has_the_published_settings():
    configs = composed("countdown")
    objectives = {"nsr": "nsr", "psr": "psr", "w_reinforce": "w_reinforce", "rlvr": "grpo"}
    assert {
        name: (config.algorithm.adv_estimator, config.data.max_response_length) for name, config in configs.items()
    } == {
        f"{name}-tokens_{tokens}": (objective, tokens)
        for (name, objective), tokens in product(objectives.items(), (256, 512, 1024))
    }
    for config in configs.values():
        rollout, actor = config.actor_rollout_ref.rollout, config.actor_rollout_ref.actor
        assert config.actor_rollout_ref.model.path == "Qwen/Qwen3-1.7B"
        assert config.trainer.total_training_steps == 200
        assert config.data.train_batch_size * rollout.n == actor.ppo_mini_batch_size * rollout.n == 128
        assert (rollout.n, rollout.temperature, actor.optim.lr) == (8, 0.7, 3e-6)
        assert actor.loss_agg_mode == "seq-mean-token-mean"
        assert rollout.max_model_len >= config.data.max_prompt_length + config.data.max_response_length


def test_the_knobs_of_countdown(tmp_path):
    """lambda, and the published length-normalized loss: the sum over a response's tokens by the longest that it may have."""
    knobs = [
        "algorithm.positive_advantage_weight=0.3",
        "actor_rollout_ref.actor.loss_agg_mode=seq-mean-token-sum-norm",
        "algorithm.norm_adv_by_std_in_grpo=False",
    ]
    runs = runs_of("countdown")
    run = next(run for run in runs if run.place["max_tokens"] == "tokens_512")
    config = compose_on_device(Grid(runs, tmp_path, knobs).arguments(run))
    assert config.data.max_response_length == 512
    assert config.actor_rollout_ref.actor.loss_scale_factor == 512
    assert config.algorithm.positive_advantage_weight == 0.3
