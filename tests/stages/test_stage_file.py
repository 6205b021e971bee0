"""A file of stages says what it means, and what it does not is refused with the place and the way out."""

import pytest
import yaml

from verl_ext.stages.stage_file import read_stages
from verl_ext.training.configuration import compose_config
from verl_ext.training.option_file import as_hydra

TWO = {
    "options": {"actor_rollout_ref.rollout.n": 16, "actor_rollout_ref.model": {"lora_rank": 32, "lora_alpha": 64}},
    "stages": [
        {"name": "initial", "steps": 300, "options": {"actor_rollout_ref.rollout.top_p": 0.7}},
        {"name": "reset-1", "steps": 200, "options": {"actor_rollout_ref.rollout": {"n": 32}}},
    ],
}


def written(folder, content):
    file = folder / "stages.yaml"
    file.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return file


def test_a_stage_has_the_options_of_all_and_its_own_over_them(tmp_path):
    first, second = read_stages(written(tmp_path, TWO))
    common = {
        "actor_rollout_ref.rollout.n": 16,
        "actor_rollout_ref.model.lora_rank": 32,
        "actor_rollout_ref.model.lora_alpha": 64,
    }
    assert (first.name, first.steps, first.options) == (
        "initial",
        300,
        common | {"actor_rollout_ref.rollout.top_p": 0.7},
    )
    assert (second.name, second.steps, second.options) == ("reset-1", 200, common | {"actor_rollout_ref.rollout.n": 32})


def test_every_kind_of_value_arrives(tmp_path):
    options = {
        "actor_rollout_ref.model.target_modules": ["q_proj", "k_proj"],
        "actor_rollout_ref.actor.use_kl_loss": True,
        "trainer.guardrails.rollout_gap.max_diff": None,
        "actor_rollout_ref.actor.optim.lr": 2e-6,
        "trainer.experiment_name": "a = b, c",
        "reward.custom_reward_function.reward_kwargs": {"a": 1},
    }
    (stage,) = read_stages(written(tmp_path, {"stages": [{"name": "a", "steps": 1, "options": options}]}))
    stage_options = [one for one in stage.overrides if "reward_kwargs" not in one]
    config = compose_config(stage_options, device="cpu")
    assert list(config.actor_rollout_ref.model.target_modules) == ["q_proj", "k_proj"]
    assert config.actor_rollout_ref.actor.use_kl_loss is True
    assert config.trainer.guardrails.rollout_gap.max_diff is None
    assert config.actor_rollout_ref.actor.optim.lr == 2e-6
    assert config.trainer.experiment_name == "a = b, c"
    assert as_hydra({"a": [1, None]}) == "{a:[1,null]}"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stage": []}, "has no key stage. Did you mean stages?"),
        ({"stages": []}, "needs a list of stages"),
        ({"stages": "initial"}, "needs a list of stages"),
        ({"stages": [{"name": "a", "step": 3}]}, r"stage 1 has no key step. Did you mean steps?"),
        ({"stages": [{"name": "a"}]}, r"stage 1 \(a\) needs steps, a whole number >= 1, got None"),
        ({"stages": [{"name": "a", "steps": 0}]}, "needs steps, a whole number >= 1, got 0"),
        ({"stages": [{"name": "../a", "steps": 1}]}, "needs a name of letters, digits, - and _, got ../a"),
        ({"stages": [{"steps": 1}]}, "needs a name .* got None"),
        ({"stages": [{"name": "a", "steps": 1}] * 2}, "has two stages of the name a"),
        ({"stages": ["a"]}, "stage 1 must have the keys name, steps, options, got a"),
        ({"options": ["a=1"]}, "options must have options as name: value"),
        (
            {"options": {"trainer.output_dir": "x"}},
            "options cannot set trainer.output_dir: every stage gets a folder of its own",
        ),
        (
            {"stages": [{"name": "a", "steps": 1, "options": {"actor_rollout_ref.model.path": "m"}}]},
            r"stage 1 \(a\) cannot set actor_rollout_ref.model.path: a stage starts from what the one before",
        ),
        ({"options": {"actor_rollout_ref.model.lora_rank": 0}}, "lora_rank: 0, which is no adapter"),
    ],
)
def test_what_is_no_file_of_stages(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        read_stages(written(tmp_path, TWO | change))


@pytest.mark.parametrize(
    ("text", "message"),
    [("a: [", "is no YAML"), ("- a", "must have the keys options and stages"), (None, "cannot be read: No such")],
)
def test_what_is_no_file(tmp_path, text, message):
    file = tmp_path / "absent.yaml" if text is None else written(tmp_path, text)
    with pytest.raises(ValueError, match=message):
        read_stages(file)
