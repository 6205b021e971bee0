"""Which runs may use the workers and engines of the run before."""

import json
import shutil

import pytest

from tests.training.conftest import config_of
from verl_ext.training.sharing import apart_because, collisions

OWN = (
    *(
        "algorithm.adv_estimator=grpo",
        "algorithm.positive_advantage_weight=0.3",
        "data.seed=7",
        "data.train_batch_size=4",
    ),
    *("actor_rollout_ref.rollout.n=2", "actor_rollout_ref.rollout.temperature=0.7", "actor_rollout_ref.rollout.seed=3"),
    *("actor_rollout_ref.actor.optim.lr=1e-3", "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=512"),
    *("trainer.total_training_steps=2", "trainer.project_name=other", "trainer.output_dir=/elsewhere"),
    *("reward.custom_reward_function.name=another", "trainer.v1.trainer_mode=sign_filter_colocate_async"),
)
SHARED = (
    *("actor_rollout_ref.rollout.response_length=8", "actor_rollout_ref.rollout.max_model_len=48"),
    *("actor_rollout_ref.rollout.dtype=float16", "actor_rollout_ref.model.lora_rank=8"),
    *("actor_rollout_ref.rollout.max_num_seqs=3", "ray_kwargs.ray_init.runtime_env.env_vars.OMP_NUM_THREADS=2"),
)


def test_what_workers_and_trainer_build_anew_may_differ(folder):
    assert apart_because(config_of(folder, *OWN), config_of(folder)) is None


@pytest.mark.parametrize("option", SHARED)
def test_what_a_process_or_an_engine_was_started_with_may_not(folder, option):
    name, value = option.split("=")
    assert f"{name} is {value} instead of " in apart_because(config_of(folder, option), config_of(folder))


def test_every_reason_is_counted(folder):
    reason = apart_because(config_of(folder, *SHARED[:2]), config_of(folder))
    assert reason.endswith(" more")


@pytest.mark.parametrize(
    ("option", "part"),
    [
        ("algorithm.adv_estimator=gae", "a critic is True instead of False"),
        ("actor_rollout_ref.actor.use_kl_loss=True", "a reference model is True instead of False"),
        ("trainer.v1.trainer_mode=sync", "trainer.v1.trainer_mode=sync"),
        ("actor_rollout_ref.rollout.trace.backend=mlflow", "trace"),
        ("reward.num_workers=1", "reward workers"),
        ("trainer.nnodes=2", "over several nodes"),
        ("actor_rollout_ref.rollout.agent.agent_loop_manager_class=null", "another agent loop manager"),
    ],
)
def test_other_workers_are_other_processes(folder, option, part):
    assert part in apart_because(config_of(folder, option), config_of(folder))


def test_nor_does_a_trainer_of_verls_leave_its_own(folder):
    reason = apart_because(config_of(folder), config_of(folder, "trainer.v1.trainer_mode=sync"))
    assert reason == "trainer.v1.trainer_mode=sync has no way to keep one"


def test_an_accelerator_is_not_shared(folder):
    other = config_of(folder)
    other.trainer.device = "cuda"
    assert apart_because(other, other) == "on accelerators each run has its own"


def tune(model):
    """Another last weight, in a file of the same header: of one whose size nobody can read, a processor decides the precision."""
    weights = model / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def test_a_model_may_have_other_weights_and_no_other_configuration(folder, tmp_path):
    for name in ("tuned", "deeper"):
        shutil.copytree(folder / "model", tmp_path / name)
    tune(tmp_path / "tuned")
    (tmp_path / "deeper" / "config.json").write_text(
        json.dumps({"max_position_embeddings": 64, "num_hidden_layers": 9})
    )
    base = config_of(folder)
    assert apart_because(config_of(folder, f"actor_rollout_ref.model.path={tmp_path}/tuned"), base) is None
    reason = apart_because(config_of(folder, f"actor_rollout_ref.model.path={tmp_path}/deeper"), base)
    assert reason.startswith("the architecture of actor_rollout_ref.model.path is ")


ADAPTER = ("actor_rollout_ref.model.lora_rank=8", "actor_rollout_ref.rollout.load_format=safetensors")
WITHOUT_BASE = "actor_rollout_ref.model.path is "


@pytest.mark.parametrize(
    ("options", "is_apart"),
    [
        (ADAPTER, True),
        (ADAPTER[:1], False),
        (ADAPTER[1:], False),
        ((*ADAPTER[:1], "actor_rollout_ref.rollout.load_format=dummy"), False),
        ((*ADAPTER, "actor_rollout_ref.model.lora.merge=True"), False),
    ],
)
def test_an_adapter_whose_base_vllm_has_read_itself_needs_that_base(folder, tmp_path, options, is_apart):
    """verl then pushes the adapter alone: the engine keeps the base that it has started with."""
    shutil.copytree(folder / "model", tmp_path / "tuned")
    tune(tmp_path / "tuned")
    base = config_of(folder, *options)
    assert apart_because(config_of(folder, *options), base) is None
    reason = apart_because(config_of(folder, *options, f"actor_rollout_ref.model.path={tmp_path}/tuned"), base)
    if is_apart:
        assert reason == f"{WITHOUT_BASE}{tmp_path}/tuned instead of {folder}/model"
    else:
        assert reason is None


@pytest.mark.parametrize(
    ("option", "own"),
    [
        ("rollout_data_dir", "${trainer.output_dir}/rollouts"),
        ("validation_data_dir", "${trainer.output_dir}/validation"),
        ("rollout_gap_file", "${trainer.output_dir}/gaps.jsonl"),
    ],
)
def test_what_each_run_writes_beside_its_folder_is_its_own(folder, option, own):
    """verl overwrites the file of a step."""

    def found(value):
        return list(
            collisions(
                [config_of(folder, f"trainer.output_dir={name}", f"trainer.{option}={value}") for name in ("a", "b")]
            )
        )

    (message,) = found("samples")
    assert message.startswith(f"runs 1 and 2 both have trainer.{option}=")
    assert f"trainer.{option}='{own}'" in message
    assert found(own) == found("null") == []


def test_a_folder_under_two_names_is_one(folder, tmp_path):
    (tmp_path / "link").symlink_to(".")
    configs = [config_of(folder, f"trainer.output_dir={tmp_path}/{place}") for place in ("a", "link/a")]
    assert len(list(collisions(configs))) == 2


def test_runs_that_would_write_into_each_other_are_named(folder, monkeypatch):
    configs = [config_of(folder, f"trainer.output_dir={place}") for place in ("a", "b", "./a")]
    messages = list(collisions(configs))
    assert [message.partition(" both")[0] for message in messages] == ["runs 1 and 3"] * 2
    assert not list(collisions(configs[:2]))
    monkeypatch.setenv("VERL_FILE_LOGGER_PATH", "x.jsonl")
    assert "VERL_FILE_LOGGER_PATH=x.jsonl" in next(collisions(configs[:2]))
    assert not list(collisions(configs[:1]))
