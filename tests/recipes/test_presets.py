"""The paper's settings: what the presets pin, what the launcher says of a run that differs, and the table of both."""

import runpy
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from verl_ext.families import FAMILIES, with_preset
from verl_ext.training import presets
from verl_ext.training.checks.algorithm import check_loss
from verl_ext.training.configuration import CONFIG_DIR, compose_config

ROOT = Path(__file__).resolve().parents[2]
MODELS = [family.preset for family in FAMILIES]
RESPONSE_LENGTHS = {"qwen2.5-math-7b": 3072, "qwen3-4b": 31744, "llama3.1-8b": 3072}
RECIPES = ("psr_nsr", "ppo", "grpo")


@pytest.fixture(scope="module")
def configs():
    return {
        (model, recipe): compose_config([f"preset={model}", f"recipe={recipe}"], device="gpu")
        for model in MODELS
        for recipe in RECIPES
    }


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_has_the_papers_settings(configs, model, recipe):
    config = configs[model, recipe]
    assert presets.differences(config, [f"preset={model}", f"recipe={recipe}"]) == []
    assert config.prompt_template == with_preset(model).template
    assert config.data.max_response_length == RESPONSE_LENGTHS.get(model, config.data.max_response_length)
    actor = config.actor_rollout_ref.actor
    assert (actor.optim.lr, actor.entropy_coeff, actor.fsdp_config.model_dtype) == (1e-6, 1e-4, "fp32")
    assert config.data.train_batch_size * config.actor_rollout_ref.rollout.n == 8192
    assert actor.clip_ratio_c > 1e6  # no dual clip


def test_kl_is_per_algorithm(configs):
    kl = {
        recipe: (config.actor_rollout_ref.actor.use_kl_loss, config.algorithm.use_kl_in_reward)
        for (model, recipe), config in configs.items()
        if model == "qwen2.5-math-7b"
    }
    assert kl == {"psr_nsr": (False, False), "ppo": (False, True), "grpo": (True, False)}


def test_the_critic_makes_32_updates_a_step(configs):
    config = configs["qwen2.5-math-7b", "ppo"]
    assert config.data.train_batch_size / config.critic.ppo_mini_batch_size == 32
    assert config.critic.optim.lr == 1e-5


def test_every_option_that_a_preset_pins_exists():
    known = compose_config([], device="gpu")
    for path in sorted(path for group in presets.GROUPS for path in (CONFIG_DIR / group).glob("*.yaml")):
        for option in presets.pinned(path.parent.name, path.stem):
            assert OmegaConf.select(known, option, throw_on_missing=False) is not None or _is_declared(known, option), (
                option
            )


def _is_declared(config, option):
    section, _, key = option.rpartition(".")
    return key in (OmegaConf.select(config, section) if section else config)


def test_a_run_that_differs_says_where():
    overrides = ["preset=qwen3-4b", "recipe=grpo", "actor_rollout_ref.actor.optim.lr=5e-6", "data.seed=7"]
    found = presets.differences(compose_config(overrides, device="gpu"), overrides)
    assert [(one.option, one.preset, one.run) for one in found] == [
        ("data.seed", 1, 7),
        ("actor_rollout_ref.actor.optim.lr", 1e-6, 5e-6),
    ]
    text = presets.table(found, presets.chosen(overrides))
    assert "settings: preset=qwen3-4b and recipe=grpo, but" in text
    assert "actor_rollout_ref.actor.optim.lr  1e-06 -> 5e-06" in text


def test_the_device_differs_too():
    overrides = ["preset=qwen2.5-math-7b", "recipe=psr_nsr"]
    options = {one.option for one in presets.differences(compose_config(overrides, device="cpu"), overrides)}
    assert {"actor_rollout_ref.model.use_remove_padding", "trainer.n_gpus_per_node"} <= options


def test_without_a_preset_nothing_is_said():
    assert presets.table([], presets.chosen(["data.seed=3"])) == ""


def test_the_table_of_settings_is_up_to_date():
    page = runpy.run_path(str(ROOT / "scripts/settings_table.py"))["page"]()
    assert page == (ROOT / "recipes/SETTINGS.md").read_text(), "python scripts/settings_table.py > recipes/SETTINGS.md"


@pytest.mark.parametrize("option", ["loss_agg_mode=seq-mean-token-sum", "clip_ratio_high=0.28", "clip_ratio_low=0.1"])
def test_options_that_the_papers_loss_ignores_are_refused(option):
    overrides = ["preset=qwen2.5-math-7b", "recipe=grpo", f"actor_rollout_ref.actor.{option}"]
    with pytest.raises(ValueError, match="Set loss_mode=vanilla_by_sign"):
        check_loss(compose_config(overrides, device="cpu"))
    check_loss(
        compose_config([*overrides, "actor_rollout_ref.actor.policy_loss.loss_mode=vanilla_by_sign"], device="cpu")
    )


def test_the_papers_own_settings_suit_its_loss(configs):
    for config in configs.values():
        check_loss(config)
