"""The recipe of long training with resets: its phases are the published ones, and every one of them can be launched."""

import re

import pytest

from tests.recipes.conftest import ROOT, STAGED, start
from verl_ext.stages.stage_file import read_stages
from verl_ext.training.configuration import compose_config

STAGES = read_stages(ROOT / "recipes/gsm8k_prorl.yaml")
ATTENTION = ["q_proj", "k_proj"]
ALL = [*ATTENTION, "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
PUBLISHED = [
    # response tokens, n, temperature, top_p, rank, target modules
    (4096, 16, 1.0, 0.7, 32, ATTENTION),
    (4096, 16, 1.0, 0.9, 32, ATTENTION),
    (4096, 16, 1.0, 1.0, 32, ATTENTION),
    (4096, 16, 1.2, 1.0, 32, ATTENTION),
    (6144, 32, 1.2, 1.0, 64, ALL),
]


@pytest.mark.parametrize(
    ("stage", "published"), list(zip(STAGES, PUBLISHED, strict=True)), ids=[stage.name for stage in STAGES]
)
def test_a_phase_is_the_published_one(stage, published):
    config = compose_config(stage.overrides, device="gpu")
    rollout, model, actor = (config.actor_rollout_ref[name] for name in ("rollout", "model", "actor"))
    length = config.data.max_response_length
    assert (
        length,
        rollout.n,
        rollout.temperature,
        rollout.top_p,
        model.lora_rank,
        list(model.target_modules),
    ) == published
    assert (actor.optim.lr, actor.kl_loss_coef, actor.use_kl_loss) == (2e-6, 0.001, True)
    assert (config.data.train_batch_size, config.data.max_prompt_length) == (2, 512)
    assert actor.ppo_mini_batch_size * rollout.n == 32
    assert actor.ppo_micro_batch_size_per_gpu == 16
    assert (rollout.val_kwargs.temperature, rollout.val_kwargs.top_p, config.data.val_max_samples) == (1, 0.7, -1)
    assert rollout.max_model_len == config.data.max_prompt_length + length


def test_the_last_phase_has_the_overlong_buffer():
    last = compose_config(STAGES[-1].overrides, device="gpu").reward
    assert last.reward_manager.name == "dapo"
    assert (last.reward_kwargs.max_resp_len, last.reward_kwargs.overlong_buffer_cfg.len) == (6144, 4096)


@pytest.mark.parametrize("stage", STAGES, ids=[stage.name for stage in STAGES])
def test_other_objectives_have_no_penalty_for_long_answers(stage):
    """As the recipe says it, for every phase."""
    (option,) = re.findall(r"\+\+reward\S+=False", (ROOT / "recipes" / STAGED).read_text())
    config = compose_config([*stage.overrides, option, "algorithm.adv_estimator=nsr"], device="gpu")
    assert config.reward.reward_kwargs.overlong_buffer_cfg.enable is False


@pytest.fixture(scope="session")
def gsm8k(tmp_path_factory):
    from verl_ext.data.parquet import write_rows
    from verl_ext.data.rows import make_row

    folder = tmp_path_factory.mktemp("gsm8k")
    prompt = [{"role": "user", "content": "2 + 2?"}]
    for split in ("train", "test"):
        row = {"data_source": "gsm8k", "prompt": prompt, "ground_truth": "4", "split": split}
        write_rows([make_row(**row, index=index) for index in range(4)], folder / f"gsm8k_{split}.parquet")
    return folder


@pytest.mark.parametrize(
    ("knobs", "options", "message"),
    [
        ({}, ["trainer.save_freq=-1"], "Stage initial needs checkpoints, which a reset merges"),
        ({"OBJECTIVE": "nrs"}, [], "algorithm.adv_estimator=nrs is not an estimator. Did you mean nsr?"),
        ({"DATA_DIR": "/nowhere"}, [], "python scripts/prepare_data.py gsm8k --out /nowhere"),
        ({"STAGES": "/nowhere.yaml"}, [], "/nowhere.yaml cannot be read"),
        ({}, ["--reset-now"], "Stage initial in .* has no checkpoint yet"),
    ],
)
def test_refusals(gsm8k, model, tmp_path, knobs, options, message):
    done = start(STAGED, *options, **{"DATA_DIR": gsm8k, "MODEL_PATH": model, "OUTPUT_DIR": tmp_path / "out"} | knobs)
    assert done.returncode != 0
    assert re.search(message, done.stderr), done.stderr


def test_it_helps_and_starts_nothing():
    done = start(STAGED, "--help")
    assert done.returncode == 0
    assert "OBJECTIVE" in done.stdout
    assert "Hardware:" in done.stdout


def test_it_validates_on_the_first_problems_of_the_test_set(gsm8k, model, tmp_path):
    """Refused for its checkpoints, when the file is there."""
    from pyarrow import parquet

    start(STAGED, "trainer.save_freq=-1", DATA_DIR=gsm8k, MODEL_PATH=model, OUTPUT_DIR=tmp_path / "out")
    first = parquet.read_table(gsm8k / "gsm8k_test_first_100.parquet")
    assert first.equals(parquet.read_table(gsm8k / "gsm8k_test.parquet").slice(0, 100))


def test_the_same_phases_for_a_small_model_differ_in_steps_and_lengths_only():
    """Of the run on two cores, each phase is the one above but for what its file names."""
    small = read_stages(ROOT / "recipes/gsm8k_prorl_smollm2.yaml")
    of_length = ("data.max_response_length", "max_model_len", "max_resp_len", "overlong_buffer_cfg")
    of_steps = ("save_freq", "test_freq", "ends_early")
    for published, cut in zip(STAGES, small, strict=True):
        assert cut.name == published.name
        assert 2 <= cut.steps <= 4
        same = [
            {
                name: value
                for name, value in stage.options.items()
                if not any(part in name for part in of_length + of_steps)
            }
            for stage in (published, cut)
        ]
        assert same[0] == same[1]
