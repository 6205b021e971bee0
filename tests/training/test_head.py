"""Whether a run computes log-probs in chunks or from whole logits: the choice, what it says, and what is refused."""

import json

import pytest
from omegaconf import OmegaConf

from verl_ext.learner.plain_heads import PLAIN_HEADS
from verl_ext.training import head
from verl_ext.training.configuration import compose_config

PATH, ACTOR = "actor_rollout_ref.model.path", "actor_rollout_ref.actor"
GIVEN = f"{head.OPTION}=True"


@pytest.fixture
def config_of(tmp_path):
    """Composes a configuration with a model folder whose config.json holds what is given."""

    def composed(content, *overrides: str, device: str = "cpu"):
        (tmp_path / "config.json").write_text(content if isinstance(content, str) else json.dumps(content))
        return compose_config([f"{PATH}={tmp_path}", *overrides], device=device)

    return composed


def is_chunked(config) -> bool:
    return OmegaConf.select(config, head.OPTION)


@pytest.mark.parametrize("device", ["cpu", "gpu"])
@pytest.mark.parametrize("family", PLAIN_HEADS)
def test_a_plain_head_is_computed_in_chunks(config_of, family, device):
    config = config_of({"model_type": family}, device=device)
    assert is_chunked(config) is True
    head.check_head(config)
    assert head.described(config).startswith("log-probs: from hidden states in chunks")


NEEDED = {
    "a cap": ({"model_type": "gemma2", "final_logit_softcapping": 30.0}, [], "gemma2 caps its logits"),
    "a scale": ({"model_type": "granite", "logits_scaling": 8.0}, [], "granite divides its logits"),
    "an unknown family": ({"model_type": "gpt_neox"}, [], "gpt_neox is not a family"),
    "all are read": (
        {"model_type": "llama"}, [f"{ACTOR}.calculate_sum_pi_squared=True"], "calculate_sum_pi_squared=True reads all",
    ),
    "another engine": ({"model_type": "llama"}, [f"{ACTOR}.strategy=megatron"], "strategy=megatron has a head of its own"),
}  # fmt: skip


@pytest.mark.parametrize("case", NEEDED)
def test_logits_are_whole_where_they_must_be_and_the_launch_says_why(config_of, case):
    content, overrides, why = NEEDED[case]
    config = config_of(content, *overrides)
    assert is_chunked(config) is False
    head.check_head(config)
    assert head.described(config).startswith("log-probs: from whole logits, because ")
    assert why in head.described(config)


@pytest.mark.parametrize("case", NEEDED)
def test_chunks_are_refused_where_they_would_leave_something_out(config_of, case):
    content, overrides, why = NEEDED[case]
    with pytest.raises(ValueError, match=f"use_fused_kernels=True .* but .*{why}.* Leave the option out"):
        head.check_head(config_of(content, GIVEN, *overrides))


def test_whole_logits_can_be_asked_for(config_of):
    config = config_of({"model_type": "llama"}, f"{head.OPTION}=False")
    head.check_head(config)
    assert head.described(config) == f"log-probs: from whole logits ({head.OPTION}=False)"


@pytest.mark.parametrize("content", ["{", {"model_type": "llama"}])
def test_a_model_that_cannot_be_looked_at_keeps_whole_logits(config_of, tmp_path, content):
    path = tmp_path if content == "{" else "hdfs://host/model"
    config = config_of(content, f"{PATH}={path}")
    head.check_head(config)
    assert is_chunked(config) is False
    assert f"config.json of {path} cannot be looked at from here" in head.described(config)
    head.check_head(config_of(content, f"{PATH}={path}", GIVEN))  # whoever asks for it knows the model


def test_verls_own_ways_remain(config_of):
    head.check_head(config_of({"model_type": "qwen2_vl"}, GIVEN))
    config = config_of({"model_type": "llama"}, GIVEN, f"{head.BACKEND}=triton")
    head.check_head(config)
    assert "verl's triton kernels" in head.described(config)
