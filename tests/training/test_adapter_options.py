"""LoRA that verl would not bring to the rollout is refused before anything starts."""

import json
import re

import pytest
from omegaconf import OmegaConf
from peft.utils.other import match_target_against_key

from tests.adapters import tiny_model
from tests.training.learner import only_rank
from verl_ext.training.checks.adapter import EMBEDDINGS, check_adapter
from verl_ext.training.configuration import compose_config

MODEL = "actor_rollout_ref.model"


def config_of(**model):
    defaults = {"lora_rank": 8, "target_modules": "all-linear", "exclude_modules": None, "lora_adapter_path": None}
    settings = {"path": "absent"} | defaults | {"lora": {"rank": 0, "merge": False}} | model
    return OmegaConf.create({"actor_rollout_ref": {"model": settings}})


def adapter_at(folder, **options):
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({"r": 8, "target_modules": ["q_proj"]} | options))
    return str(folder)


@pytest.mark.parametrize(
    "model",
    [
        {},
        {"lora_rank": 0, "target_modules": ["lm_head"]},  # no adapter
        {"target_modules": ["q_proj", "v_proj"]},
        {"target_modules": r".*\.(q|v)_proj"},
        {"target_modules": ["q_proj", "lm_head"], "exclude_modules": ["lm_head"]},
        {"lora_adapter_path": "someone/an-adapter"},
    ],
)
def test_adapters_of_layers_pass(model):
    check_adapter(config_of(**model))


@pytest.mark.parametrize("merge", [True, False])
@pytest.mark.parametrize(
    ("targets", "found"),
    [
        (["q_proj", "lm_head"], "lm_head"),
        (["embed_tokens"], "model.embed_tokens"),
        (["model.embed_tokens"], "model.embed_tokens"),
        (r".*(q_proj|lm_head)", "lm_head"),
        ("lm_head", "lm_head"),
    ],
)
def test_an_adapter_of_an_embedding_is_refused(targets, found, merge):
    with pytest.raises(ValueError, match=rf"{MODEL}.target_modules=.* puts an adapter on {found}, which verl 0.9.1"):
        check_adapter(config_of(target_modules=targets, lora={"rank": 0, "merge": merge}))


@pytest.mark.parametrize("targets", ["lm_head", r".*head", r"model\..*", "head", r".*embed.*", "all"])
def test_a_pattern_is_read_as_peft_reads_it(targets):
    expected = any(match_target_against_key(targets, name) for name in EMBEDDINGS)
    if expected:
        with pytest.raises(ValueError, match="puts an adapter on"):
            check_adapter(config_of(target_modules=targets))
    else:
        check_adapter(config_of(target_modules=targets))


def test_a_good_adapter_passes(tmp_path):
    check_adapter(config_of(lora_adapter_path=adapter_at(tmp_path / "a")))


@pytest.mark.parametrize(
    ("options", "rank", "message"),
    [
        (
            {"target_modules": ["embed_tokens"]},
            8,
            r"adapter_config.json: target_modules=.* puts an adapter on model.embed",
        ),
        ({"r": 4}, 8, rf"has r=4, and {MODEL}.lora_rank=8: set it to the adapter's"),
        ({"use_rslora": True}, 8, r"has use_rslora=True. A checkpoint of the run keeps r and lora_alpha alone"),
        ({"use_dora": True}, 8, "has use_dora=True"),
        ({"rank_pattern": {"q_proj": 2}}, 8, "has rank_pattern="),
        ({"modules_to_save": ["lm_head"]}, 8, "has modules_to_save="),
        ({}, 0, rf"lora_adapter_path=.* is only read with {MODEL}.lora_rank above 0"),
    ],
)
def test_an_adapter_that_verl_would_lose_or_ignore_is_refused(tmp_path, options, rank, message):
    with pytest.raises(ValueError, match=message):
        check_adapter(config_of(lora_rank=rank, lora_adapter_path=adapter_at(tmp_path / "a", **options)))


def test_a_folder_that_is_no_adapter_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"/not/there does not exist"):
        check_adapter(config_of(lora_adapter_path="/not/there"))
    with pytest.raises(ValueError, match=r"has no adapter_config.json"):
        check_adapter(config_of(lora_adapter_path=str(tmp_path)))
    (tmp_path / "adapter_config.json").write_text("{")
    with pytest.raises(ValueError, match=r"adapter_config.json is empty or damaged"):
        check_adapter(config_of(lora_adapter_path=str(tmp_path)))


def test_megatrons_option_does_not_train_all_weights_in_silence():
    with pytest.raises(
        ValueError, match=rf"{MODEL}.lora.rank=8 is an option of Megatron, so all weights would be trained"
    ):
        check_adapter(config_of(lora_rank=0, lora={"rank": 8, "merge": False}))


def test_the_checks_options_are_verls():
    check_adapter(compose_config([f"{MODEL}.lora_rank=8"], device="cpu"))


def test_verl_still_merges_adapters_within_layers_only():
    """The reason for the refusal with lora.merge=True: once this fails, ask again what is wrong with it."""
    from peft import LoraConfig, get_peft_model
    from torch.distributed.device_mesh import init_device_mesh
    from transformers import Qwen2Config, Qwen2ForCausalLM
    from verl.utils.fsdp_utils import apply_fsdp2, fsdp_merge_unmerge

    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = Qwen2ForCausalLM(Qwen2Config(vocab_size=40, num_key_value_heads=1, tie_word_embeddings=True, **sizes))
    model = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", r=4, target_modules=["q_proj", "lm_head"]))
    policy = {"transformer_layer_cls_to_wrap": ["Qwen2DecoderLayer"]}
    with only_rank():
        apply_fsdp2(model, {"mesh": init_device_mesh("cpu", (1,))}, {"wrap_policy": policy})
        fsdp_merge_unmerge(model, do_merge=True)
    layers = {name.rpartition(".")[2]: module for name, module in model.named_modules() if hasattr(module, "lora_A")}
    assert {name for name, layer in layers.items() if layer.merged} == {"q_proj"}
    assert layers.keys() == {"q_proj", "lm_head"}


@pytest.mark.parametrize(
    ("targets", "missing"),
    [(["q_proj", "query"], "query"), (r".*\.(query|key)", r".*\.(query|key)"), (["mlp.q_proj"], "mlp.q_proj")],
)
def test_layers_that_the_model_lacks_are_named_with_those_it_has(tmp_path, targets, missing):
    model = tiny_model(tmp_path, is_tied=True)
    own = "down_proj, gate_proj, k_proj, o_proj, q_proj, up_proj, v_proj"
    with pytest.raises(ValueError, match=f"has no layer {re.escape(missing)}. It has {own}"):
        check_adapter(config_of(path=str(model), target_modules=targets))


@pytest.mark.parametrize("targets", [["q_proj", "mlp.up_proj"], r".*\.(q|v)_proj", "all-linear", None])
def test_layers_that_it_has_pass(tmp_path, targets):
    check_adapter(config_of(path=str(tiny_model(tmp_path, is_tied=True)), target_modules=targets))
