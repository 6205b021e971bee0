"""Options that would be ignored, or that another option makes meaningless, are refused; what is meant is not."""

import os
import subprocess
import sys

import pytest

from tests.training.conftest import config_of, countdown_rows
from verl_ext.data.parquet import write_rows
from verl_ext.objectives import names
from verl_ext.training import preflight
from verl_ext.training.checks import model
from verl_ext.training.checks.algorithm import limits_that_do_not_apply
from verl_ext.training.configuration import compose_config

OURS_ALONE = {
    "algorithm.drop_zero_advantage=True": "leave it at None",
    "algorithm.mask_truncated=True": "leave it at False",
    "algorithm.loss_normalizer=all": "leave it at kept",
    "algorithm.mini_batches=paper": "leave it at equal",
    "algorithm.one_pass=True": "leave it at None",
    "algorithm.max_staleness_negative=4": "leave it at None",
    "algorithm.positive_advantage_weight_schedule=linear": "leave it at None",
    "trainer.guardrails.grader_errors.max_ratio=0.5": "leave it at 0.05",
    "trainer.guardrails.rollout_gap.max_diff=0": "leave it at 0.02",
    "trainer.guardrails.entropy.action=stop": "leave it at warn",
    "trainer.ends_early.request_file=now": "leave it at None",
}


@pytest.mark.parametrize("mode", names.VERL_TRAINERS)
@pytest.mark.parametrize("override", OURS_ALONE)
def test_verls_trainers_are_not_given_what_they_ignore(folder, mode, override):
    options = [override, "algorithm.adv_estimator=w_reinforce"]
    if "schedule" in override:
        options.append("algorithm.positive_advantage_weight_end=0.5")
    with pytest.raises(ValueError) as error:
        preflight.check(config_of(folder, *options, f"trainer.v1.trainer_mode={mode}"))
    name = override.partition("=")[0]
    assert str(error.value).startswith(name)
    assert f"trainer.v1.trainer_mode={mode} is verl's own trainer" in str(error.value)
    assert OURS_ALONE[override] in str(error.value)
    preflight.check(config_of(folder, *options))


@pytest.mark.parametrize(
    "override",
    [
        "algorithm.drop_zero_advantage=False",
        "trainer.guardrails.grader_errors.action=null",
        "trainer.guardrails.rollout_gap.max_diff=null",
    ],
)
def test_verls_trainers_may_be_told_to_do_without(folder, override):
    config = config_of(folder, override, "trainer.v1.trainer_mode=sync")
    preflight.check(config)
    assert "no guardrail (trainer.guardrails) watches the run" in limits_that_do_not_apply(config)
    assert limits_that_do_not_apply(config_of(folder)) == ""


WRONG = {
    ("trainer.v1.trainer_mode=synk",): "trainer.v1.trainer_mode=synk is not a trainer. Did you mean sync?",
    ("trainer.use_v1=False",): "trainer.use_v1=False asks for verl's older trainer",
    ("trainer.val_only=True", "trainer.val_before_train=False"): "trainer.val_before_train",
    ("distillation.enabled=True",): "distillation.enabled=True",
    ("actor_rollout_ref.actor.policy_loss.loss_mode=vanila",): "vanila is not a loss. Did you mean vanilla?",
    (
        "actor_rollout_ref.actor.policy_loss.loss_mode=paper",
        "algorithm.rollout_correction.rollout_is=token",
    ): "Set loss_mode=vanilla_by_sign",
    ("algorithm.filter_groups.enable=True",): "algorithm.filter_groups.enable=True removes",
    ("algorithm.adv_estimator=psr", "algorithm.filter_groups.enable=True"): "which psr learns most from",
    ("algorithm.adv_estimator=gae",): "critic.model.path is not given",
    ("algorithm.adv_estimator=gae", "critic.model.path=/no/critic"): "critic.model.path=/no/critic does not exist",
    ("critic.enable=True", "critic.model.path=FOLDER/model"): "or critic.enable to null",
    (
        "reward.custom_reward_function.path=/no/rewards.py",
    ): "reward.custom_reward_function.path=/no/rewards.py: there is no",
    ("reward.custom_reward_function.path=pkg://verl_ext.reward",): "no module verl_ext.reward",
    ("reward.custom_reward_function.name=compute",): "no compute. Did you mean compute_score?",
}


@pytest.mark.parametrize("overrides", WRONG, ids=" ".join)
def test_what_cannot_be_meant_is_refused(folder, overrides):
    with pytest.raises(ValueError) as error:
        preflight.check(config_of(folder, *(override.replace("FOLDER", str(folder)) for override in overrides)))
    assert WRONG[overrides] in str(error.value)


# ---------------------------------------------------------------------- what was wrongly refused


@pytest.mark.parametrize(
    "override",
    [
        "algorithm.adv_estimator=mine",
        "trainer.v1.trainer_mode=mine",
        "actor_rollout_ref.actor.policy_loss.loss_mode=mine",
    ],
)
def test_a_name_that_a_module_of_the_users_registers_passes(folder, monkeypatch, override):
    monkeypatch.setenv("VERL_USE_EXTERNAL_MODULES", "verl_ext.plugin")
    with pytest.raises(ValueError, match="=mine is not"):
        preflight.check(config_of(folder, override))
    monkeypatch.setenv("VERL_USE_EXTERNAL_MODULES", "my_project.objectives,verl_ext.plugin")
    preflight.check(config_of(folder, override))


def test_an_overridden_context_counts(folder):
    longer = ("data.max_response_length=100", "+actor_rollout_ref.model.override_config.max_position_embeddings=256")
    preflight.check(config_of(folder, *longer))
    with pytest.raises(ValueError, match="the context of"):
        preflight.check(config_of(folder, *longer[:1]))


def test_another_prompt_column_counts(folder, tmp_path):
    rows = [{"question": row.pop("prompt"), **row} for row in countdown_rows(16)]
    write_rows(rows, tmp_path / "rows.parquet")
    data = [f"data.{name}={tmp_path}/rows.parquet" for name in ("train_files", "val_files")]
    preflight.check(config_of(folder, *data, "data.prompt_key=question"))
    with pytest.raises(ValueError, match="has no column prompt"):
        preflight.check(config_of(folder, *data))
    rows[3]["question"] = []
    write_rows(rows, tmp_path / "rows.parquet")
    with pytest.raises(ValueError, match="row 3, has no prompt"):
        preflight.check(config_of(folder, *data, "data.prompt_key=question"))


@pytest.mark.parametrize("scheme", ["hdfs", "s3", "gs"])
def test_an_address_is_left_to_verl(folder, scheme):
    preflight.check(
        config_of(
            folder,
            f"actor_rollout_ref.model.path='{scheme}://store/model'",
            f"data.train_files='{scheme}://store/train.parquet'",
            f"data.val_files='{scheme}://store/val.parquet'",
        )
    )


def test_verls_default_model_is_the_one_that_counts_as_not_given():
    assert compose_config([], device="cpu").critic.model.path == model.VERL_DEFAULT


# ---------------------------------------------------------------------- models


@pytest.mark.parametrize("content", ["", '{"max_position', "[1]"])
def test_a_damaged_model_configuration_is_named(folder, tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ValueError, match=f"{tmp_path}/config.json"):
        preflight.check(config_of(folder, f"actor_rollout_ref.model.path={tmp_path}"))


def test_a_mistyped_hub_id_is_refused_where_it_cannot_be_fetched(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ValueError, match=r"no-such/model is neither a folder here nor .*cache, and HF_HUB_OFFLINE=1"):
        preflight.check(config_of(folder, "actor_rollout_ref.model.path=no-such/model"))


ASK_THE_HUB = """
import sys
from verl_ext.training.checks.model import _from_hub
try:
    _from_hub("actor_rollout_ref.model.path", "no-such/model")
except ValueError as error:
    print(error)
"""


def test_a_hub_that_cannot_be_reached_is_one_sentence(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name not in model.OFFLINE_VARIABLES}
    environment |= {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path)}  # nothing listens there
    done = subprocess.run(
        [sys.executable, "-c", ASK_THE_HUB], capture_output=True, text=True, check=True, env=environment
    )
    assert "and it cannot be fetched: " in done.stdout
    assert len(done.stdout.splitlines()) == 1
