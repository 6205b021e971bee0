"""Every option is checked for what it may hold, and names arrive as they were typed."""

import json
import subprocess
import sys

import pytest

from tests.training.conftest import config_of
from verl_ext.families import FAMILIES
from verl_ext.training import option_types, preflight
from verl_ext.training.checks.option_values import check_types
from verl_ext.training.configuration import compose_config, kinds_of_options
from verl_ext.training.presets import GROUPS

WRONG = {
    "algorithm.mask_truncated=no": "algorithm.mask_truncated must be True or False, got no.",
    "algorithm.drop_zero_advantage=off": "algorithm.drop_zero_advantage must be True or False or null, got off.",
    "algorithm.one_pass=auto": "algorithm.one_pass must be True or False or null, got auto.",
    "trainer.val_before_train=0": "trainer.val_before_train must be True or False, got 0.",
    "actor_rollout_ref.actor.use_kl_loss=yes": "actor_rollout_ref.actor.use_kl_loss must be True or False, got yes.",
    "data.max_prompt_length=0": "data.max_prompt_length must be a whole number >= 1, got 0.",
    "data.seed=abc": "data.seed must be a whole number >= 0 or null, got abc.",
    "data.train_batch_size=four": "data.train_batch_size must be a whole number >= 1, got four.",
    "data.train_batch_size=2.5": "data.train_batch_size must be a whole number >= 1, got 2.5.",
    "data.train_batch_size=null": "data.train_batch_size must be a whole number >= 1, got None.",
    "actor_rollout_ref.actor.entropy_coeff=abc": "actor_rollout_ref.actor.entropy_coeff must be a number, got abc.",
    "actor_rollout_ref.actor.optim.lr=fast": "actor_rollout_ref.actor.optim.lr must be a number >= 0, got fast.",
    "actor_rollout_ref.actor.optim.lr=nan": "actor_rollout_ref.actor.optim.lr must be a number >= 0, got nan.",
    "actor_rollout_ref.rollout.temperature=0": "actor_rollout_ref.rollout.temperature must be a number > 0, got 0.",
    "actor_rollout_ref.rollout.top_p=1.5": "actor_rollout_ref.rollout.top_p must be a number > 0 and <= 1, got 1.5.",
    "actor_rollout_ref.rollout.n=True": "actor_rollout_ref.rollout.n must be a whole number >= 1, got True.",
    "actor_rollout_ref.actor.loss_agg_mode=mean": "actor_rollout_ref.actor.loss_agg_mode must be one of token-mean, ",
    "actor_rollout_ref.actor.kl_loss_type=k9": "actor_rollout_ref.actor.kl_loss_type must be one of kl, ",
    "trainer.resume_mode=never": "trainer.resume_mode must be one of auto, disable, resume_path, got never.",
    "trainer.save_freq=often": "trainer.save_freq must be a whole number, got often.",
    "trainer.total_epochs=0": "trainer.total_epochs must be a whole number >= 1, got 0.",
    "trainer.guardrails.grader_errors.max_ratio=2": "trainer.guardrails.grader_errors.max_ratio must be a number >= 0 and <= 1, got 2.",
    "actor_rollout_ref.actor.optim=5": "actor_rollout_ref.actor.optim is a section of options, got 5.",
}


@pytest.mark.parametrize("override", WRONG)
def test_each_wrong_value_is_named(folder, override):
    with pytest.raises(ValueError) as error:
        preflight.check(config_of(folder, override))
    assert str(error.value).startswith(WRONG[override])


@pytest.mark.parametrize(
    "override",
    [
        *("data.seed=7", "trainer.logger=file", "trainer.logger=[file,console]", "algorithm.drop_zero_advantage=True"),
        *("actor_rollout_ref.actor.clip_ratio_high=null", "actor_rollout_ref.actor.optim.lr=1", "trainer.save_freq=-1"),
        *(
            "actor_rollout_ref.model.target_modules=[q_proj,v_proj]",
            "actor_rollout_ref.rollout.val_kwargs.temperature=0",
        ),
        *("trainer.guardrails.rollout_gap.max_diff=null", "data.train_files=[a,b]"),
    ],
)
def test_what_can_be_held_passes(override):
    check_types(compose_config([override], device="cpu"))


@pytest.mark.parametrize("device", ["cpu", "gpu"])
@pytest.mark.parametrize("preset", ["none", *(family.preset for family in FAMILIES)])
@pytest.mark.parametrize("recipe", ["none", "psr_nsr", "ppo", "grpo"])
def test_presets_and_recipes_pass(device, preset, recipe):
    check_types(compose_config([f"preset={preset}", f"recipe={recipe}"], device=device))


@pytest.mark.parametrize("table", ["TYPES", "LIMITS", "CHOICES"])
def test_the_tables_name_options_that_exist(table):
    assert set(getattr(option_types, table)) <= {*kinds_of_options("gpu"), *kinds_of_options("cpu")}


def test_verls_dataclasses_are_read_as_they_are():
    """The text of verl's dataclasses, against the classes."""
    code = """
import dataclasses, json, sys
from verl.workers import config
print(json.dumps({name: [f.name for f in dataclasses.fields(getattr(config, name))] for name in json.loads(sys.argv[1])}))
"""
    names = ["FSDPActorConfig", "FSDPOptimizerConfig", "RolloutConfig", "HFModelConfig", "FSDPCriticConfig"]
    done = subprocess.run([sys.executable, "-c", code, json.dumps(names)], capture_output=True, text=True, check=True)
    for name, fields in json.loads(done.stdout.splitlines()[-1]).items():
        read = {field for field in option_types.dataclass_fields()[name] if not field.startswith("_")}
        assert {field for field in fields if not field.startswith("_")} <= read, name
    assert option_types.dataclass_fields()["FSDPActorConfig"]["entropy_coeff"] == {"float"}
    assert option_types.dataclass_fields()["FSDPActorConfig"]["ppo_epochs"] == {"int"}  # inherited


# ---------------------------------------------------------------------- names


@pytest.mark.parametrize(
    "name",
    [
        *(
            "2025_11_26",
            "0x1F",
            "True",
            "a=b",
            "a b",
            "é — ü",
            "it's",
            'say "hi"',
            "{curly}",
            "a,b",
            "[x",
            "tail\\",
            "x:y",
        ),
        *("back\\'slash", "#1", "50%", "~later", "(1)", "null_", "1e5"),
    ],
)
def test_a_name_arrives_as_it_was_typed(tmp_path, name):
    overrides = [
        f"actor_rollout_ref.model.path={tmp_path}/{name}",
        f"trainer.experiment_name={name}",
        f"trainer.rollout_data_dir={name}",
        f"data.train_files={tmp_path}/{name}",
        "data.val_files=[plain.parquet,'quoted, with comma.parquet', a=b c.parquet]",
    ]
    config = compose_config(overrides, device="cpu")
    assert config.actor_rollout_ref.model.path == f"{tmp_path}/{name}"
    assert config.trainer.experiment_name == name
    assert config.trainer.output_dir == f"outputs/{name}"
    assert config.data.train_files == f"{tmp_path}/{name}"
    assert list(config.data.val_files) == ["plain.parquet", "quoted, with comma.parquet", "a=b c.parquet"]


def test_an_interpolation_still_is_one():
    config = compose_config(
        ["critic.model.path=${actor_rollout_ref.model.path}", "actor_rollout_ref.model.path=/a=b"], device="cpu"
    )
    assert config.critic.model.path == "/a=b"


def test_the_home_folder_is_found_behind_an_equals_sign(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    overrides = ["actor_rollout_ref.model.path=~/m", "data.train_files=[~/a,/b]", "trainer.output_dir=~/out"]
    config = compose_config(overrides, device="cpu")
    assert config.actor_rollout_ref.model.path == f"{tmp_path}/m"
    assert list(config.data.train_files) == [f"{tmp_path}/a", "/b"]
    assert config.trainer.default_local_dir == f"{tmp_path}/out/checkpoints"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["device=cpu", "preset=none", "traner.device=cpu"], "Did you mean trainer.device?"),
        (["device=cpu", "recipe=none", "data.sed=1"], "data has no option sed. Did you mean data.seed?"),
        (["preset=qwen"], "preset"),
        (["train.parquet"], "train.parquet is not an option: options are written name=value"),
    ],
)
def test_the_option_that_is_wrong_is_the_one_that_is_named(overrides, message):
    with pytest.raises(ValueError) as error:
        compose_config(overrides, device="cpu")
    assert message in str(error.value)
    assert "no option device" not in str(error.value)


def test_groups_are_those_of_the_presets():
    from verl_ext.training import configuration

    assert set(configuration.GROUPS) == {"device", *GROUPS}
