"""The estimate for accelerators: what one was measured to take, and what follows from each option."""

import json
from copy import deepcopy
from functools import cache

import pytest
from omegaconf import OmegaConf

from verl_ext.host.finding import Level
from verl_ext.host.free_memory import GIB
from verl_ext.training.configuration import compose_config
from verl_ext.training.device_memory import CONTEXT, UPDATE, device_memory, estimate_of_device

QWEN = {
    "model_type": "qwen2", "hidden_size": 1536, "num_hidden_layers": 28, "num_attention_heads": 12,
    "num_key_value_heads": 2, "intermediate_size": 8960, "vocab_size": 151936, "tie_word_embeddings": True,
    "max_position_embeddings": 4096,
}  # fmt: skip


ACTOR, ROLLOUT = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("qwen")
    (folder / "config.json").write_text(json.dumps(QWEN))
    return folder


@cache
def composed(model):
    return compose_config([f"actor_rollout_ref.model.path={model}", f"critic.model.path={model}"], device="gpu")


def configured(model, **options):
    """As ``benchmarks/gpu.py learner`` has it: 64 samples of 256 + up to 1,024 tokens, 16,384 in a micro-batch."""
    config = deepcopy(composed(model))
    given = {
        "data.train_batch_size": 64,
        "data.max_prompt_length": 256,
        "data.max_response_length": 1024,
        "trainer.n_gpus_per_node": 1,
        f"{ACTOR}.ppo_max_token_len_per_gpu": 16384,
    }
    for option, value in (given | options).items():
        OmegaConf.update(config, option, value)
    return config


@pytest.mark.parametrize(("fused", "measured"), [(False, 39.0), (True, 28.8)])
def test_an_update_takes_what_was_measured(model, fused, measured):
    """docs/gpu.md, one H200: whole logits, and verl's fused log-probs; torch's count has no context."""
    found = estimate_of_device(configured(model, **{"actor_rollout_ref.model.use_fused_kernels": fused}), 140 * GIB)
    assert (found.peak_of(UPDATE) - CONTEXT) / GIB == pytest.approx(measured, rel=0.1)


def test_ranks_share_and_offloading_takes_away(model):
    one, eight, offloaded, adapter = (
        estimate_of_device(configured(model, **options), 80 * GIB)
        for options in (
            {},
            {"trainer.n_gpus_per_node": 8},
            {f"{ACTOR}.fsdp_config.optimizer_offload": True},
            {"actor_rollout_ref.model.lora_rank": 8},
        )
    )
    assert eight.resident["optimizer"] == one.resident["optimizer"] // 8
    assert "optimizer" not in offloaded.resident
    assert offloaded.peak_of(UPDATE) == one.peak_of(UPDATE)
    assert offloaded.peak_of("rollout") == one.peak_of("rollout") - one.resident["optimizer"]
    assert adapter.resident["optimizer"] == 0
    assert "gradients" not in adapter.phases[UPDATE]


def test_vllm_that_stays_awake_is_there_in_the_update(model):
    stays = estimate_of_device(configured(model, **{f"{ROLLOUT}.free_cache_engine": False}), 80 * GIB)
    sleeps = estimate_of_device(configured(model), 80 * GIB)
    assert stays.peak_of(UPDATE) - sleeps.peak_of(UPDATE) == 40 * GIB


def test_a_critic_is_a_second_model(model):
    found = estimate_of_device(configured(model, **{"algorithm.adv_estimator": "gae"}), 80 * GIB)
    assert found.resident["critic's optimizer"] == found.resident["optimizer"]
    assert "critic's update" in found.phases


@pytest.mark.parametrize(
    ("gib", "options", "level", "remedy"),
    [
        (80, {}, Level.OK, ""),
        (32, {}, Level.FAIL, "gpu_memory_utilization"),
        (24, {f"{ROLLOUT}.gpu_memory_utilization": 0.1}, Level.FAIL, "Raise it, or"),
        (24, {f"{ROLLOUT}.gpu_memory_utilization": 0.2}, Level.FAIL, "optimizer_offload=True, lower"),
    ],
)
def test_what_does_not_fit_is_said_with_the_way_out(model, gib, options, level, remedy):
    found = device_memory(configured(model, **options), gib * GIB, "GPU")
    assert (found.level, remedy in found.remedy) == (level, True)


def test_a_model_of_unknown_sizes_is_not_estimated(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    assert device_memory(configured(tmp_path), GIB, "GPU").level is Level.WARN
