"""From a model path of any kind to a folder that can be loaded."""

import json
import os

import pytest

from tests.adapters import assert_says_the_same, lora_shards, tiny_model, trained_adapter
from verl_ext.evaluation import model_path
from verl_ext.evaluation.model_path import Model, find_model, fingerprint

CONFIG = json.dumps({"model_type": "qwen2", "tie_word_embeddings": True})


def model_at(folder, weights=b"w" * 100):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(CONFIG)
    (folder / "model.safetensors").write_bytes(weights)
    return folder


def shards_at(actor, ranks, size):
    (actor / "huggingface").mkdir(parents=True)
    (actor / "huggingface" / "config.json").write_text(CONFIG)
    for rank in ranks:
        (actor / f"model_world_size_{size}_rank_{rank}.pt").write_bytes(b"")
    return actor


def test_a_model_folder(tmp_path):
    folder = model_at(tmp_path / "m")
    assert find_model(str(folder)) == Model(folder, folder)


def test_every_way_to_name_a_checkpoint_of_a_run(tmp_path):
    checkpoints = tmp_path / "checkpoints"
    actor = checkpoints / "global_step_4" / "actor"
    model = model_at(actor / "huggingface")
    shards_at_step_2 = shards_at(checkpoints / "global_step_2" / "actor", [0], 1)
    (checkpoints / "latest_checkpointed_iteration.txt").write_text("4")
    for path in (tmp_path, checkpoints, checkpoints / "global_step_4", actor):
        assert find_model(str(path)) == Model(model, model), path
    assert find_model(str(checkpoints / "global_step_2")).to_merge == shards_at_step_2


def test_merged_shards_are_used_until_the_shards_are_newer(tmp_path):
    actor = shards_at(tmp_path / "actor", [0, 1], 2)
    assert find_model(str(actor)) == Model(actor / "merged", actor / "huggingface", to_merge=actor)
    merged = model_at(actor / "merged")
    assert find_model(str(actor)) == Model(merged, merged)
    later = merged.stat().st_mtime + 10
    os.utime(actor / "model_world_size_2_rank_1.pt", (later, later))
    assert find_model(str(actor)).to_merge == actor


def test_with_lora_the_weights_beside_the_shards_are_not_the_model(tmp_path):
    actor = shards_at(tmp_path / "actor", [0], 1)
    (actor / "huggingface" / "model.safetensors").write_bytes(b"base")
    assert find_model(str(actor)).to_merge is None
    (actor / "lora_train_meta.json").write_text('{"r": 8, "lora_alpha": 16}')
    assert find_model(str(actor)).to_merge == actor


def test_an_adapter_is_merged_with_its_base(tmp_path):
    base, adapter = model_at(tmp_path / "base"), tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_model.safetensors").write_bytes(b"")
    (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(base)}))
    assert find_model(str(adapter)) == Model(adapter / "merged", base, to_merge=adapter)
    (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "/not/there"}))
    with pytest.raises(ValueError, match=r"The base model of the adapter .*, /not/there, does not exist"):
        find_model(str(adapter))


def adapter_at(folder, base):
    folder.mkdir(parents=True)
    (folder / "adapter_model.safetensors").write_bytes(b"a" * 100)
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(base)}))
    return folder


def test_a_configuration_beside_an_adapter_makes_it_no_model(tmp_path):
    base, adapter = model_at(tmp_path / "base"), adapter_at(tmp_path / "adapter", tmp_path / "base")
    (adapter / "config.json").write_text(CONFIG)
    assert find_model(str(adapter)) == Model(adapter / "merged", base, to_merge=adapter)


def test_an_adapter_beside_a_whole_model_is_refused(tmp_path):
    adapter = adapter_at(tmp_path / "adapter", model_at(tmp_path / "base"))
    (adapter / "config.json").write_text(CONFIG)
    (adapter / "model.safetensors").write_bytes(b"w")
    with pytest.raises(ValueError, match=r"holds a whole model \(model.safetensors\) and an adapter .*not clear which"):
        find_model(str(adapter))


def test_an_adapter_without_its_weights_is_refused(tmp_path):
    adapter = adapter_at(tmp_path / "adapter", model_at(tmp_path / "base"))
    (adapter / "adapter_model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"has adapter_config.json but no adapter_model.safetensors"):
        find_model(str(adapter))


@pytest.mark.parametrize("content", ["", "{", "[]", "\N{LATIN SMALL LETTER E WITH ACUTE}"])
def test_a_damaged_file_is_named(tmp_path, content):
    folder = model_at(tmp_path / "m")
    (folder / "config.json").write_text(content, encoding="latin-1")
    with pytest.raises(ValueError, match=rf"{folder}/config.json (is empty or damaged|holds no JSON object)"):
        find_model(str(folder)).config  # noqa: B018
    adapter = adapter_at(tmp_path / "adapter", folder)
    (adapter / "adapter_config.json").write_text(content, encoding="latin-1")
    with pytest.raises(ValueError, match=rf"{adapter}/adapter_config.json (is empty or damaged|holds no JSON object)"):
        find_model(str(adapter))


@pytest.mark.parametrize("content", ["", " \n", "four", "-1", "4.0"])
def test_a_damaged_tracker_is_named(tmp_path, content):
    tracker = tmp_path / "latest_checkpointed_iteration.txt"
    tracker.write_text(content)
    with pytest.raises(ValueError, match=rf"{tracker} should hold the number of the latest step, and holds"):
        find_model(str(tmp_path))


def test_what_is_no_model_is_said(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"There is no model at /not/there. Give a model folder"):
        find_model("/not/there")
    with pytest.raises(ValueError, match=r"has neither weights .* nor FSDP shards"):
        find_model(str(tmp_path))
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="is a file"):
        find_model(str(tmp_path / "file"))
    (tmp_path / "latest_checkpointed_iteration.txt").write_text("7")
    with pytest.raises(ValueError, match="There is no checkpoint .*global_step_7"):
        find_model(str(tmp_path))


def test_missing_ranks_are_named(tmp_path):
    actor = shards_at(tmp_path / "actor", [0, 3], 4)
    with pytest.raises(ValueError, match="the shards of 2 of 4 ranks; those of 1, 2 are missing"):
        find_model(str(actor))
    (actor / "model_world_size_1_rank_0.pt").touch()
    with pytest.raises(ValueError, match="shards of runs on 1 and 4 ranks"):
        find_model(str(actor))


def test_a_fingerprint_follows_weights_and_tokenizer_and_no_name(tmp_path):
    first = fingerprint(model_at(tmp_path / "a", b"x" * 3_000_000))
    assert first == fingerprint(model_at(tmp_path / "b", b"x" * 3_000_000))
    assert first != fingerprint(model_at(tmp_path / "c", b"y" * 3_000_000))
    assert first != fingerprint(model_at(tmp_path / "d", b"x" * 3_000_001))
    (tmp_path / "b" / "chat_template.jinja").write_text("{{ messages }}")
    assert first != fingerprint(tmp_path / "b")


TARGETS = {
    "the layers": ["q_proj", "down_proj"],
    "the head": ["lm_head"],
    "the embedding": ["embed_tokens"],
    "both": ["lm_head", "embed_tokens"],
    "the head and the layers": ["q_proj", "lm_head"],
}


@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`")
@pytest.mark.parametrize("is_tied", [True, False])
@pytest.mark.parametrize("targets", TARGETS.values(), ids=TARGETS)
def test_an_adapter_merges_to_the_same_logits(tmp_path, is_tied, targets):
    """On one of two tied embeddings, peft's own merging changes both: logits were off by up to 14."""
    base = tiny_model(tmp_path / "base", is_tied=is_tied)
    model = trained_adapter(base, target_modules=targets)
    model.save_pretrained(tmp_path / "adapter")
    model_path._merge_here(find_model(str(tmp_path / "adapter")).to_merge)
    assert_says_the_same(tmp_path / "adapter" / "merged", model)


@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`")
def test_an_adapter_that_is_tied_itself_merges_to_the_same_logits(tmp_path):
    base = tiny_model(tmp_path / "base", is_tied=True)
    model = trained_adapter(base, target_modules=["embed_tokens"], ensure_weight_tying=True)
    model.save_pretrained(tmp_path / "adapter")
    model_path._merge_here(tmp_path / "adapter")
    assert_says_the_same(tmp_path / "adapter" / "merged", model)


@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`")
@pytest.mark.parametrize("is_tied", [True, False])
@pytest.mark.parametrize("targets", TARGETS.values(), ids=TARGETS)
def test_shards_with_lora_merge_to_the_same_logits(tmp_path, is_tied, targets):
    base = tiny_model(tmp_path / "base", is_tied=is_tied)
    model = trained_adapter(base, target_modules=targets)
    actor = lora_shards(tmp_path / "actor", base, model)
    model_path._merge_here(find_model(str(actor)).to_merge)
    assert_says_the_same(actor / "merged", model)


def test_a_merged_model_needs_no_kernel_of_ours(tmp_path):
    """verl writes the run's attn_implementation into the configuration; transformers refuses one that it does not know."""
    base = tiny_model(tmp_path / "base", is_tied=True)
    model = trained_adapter(base, target_modules=["q_proj", "down_proj"])
    actor = lora_shards(tmp_path / "actor", base, model)
    file = actor / "huggingface" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"attn_implementation": "unknown_to_transformers"}))
    model_path._merge_here(actor)
    assert_says_the_same(actor / "merged", model)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"use_dora": True}, r"cannot be merged: .*lora_magnitude_vector"),
        ({"lora_bias": True}, r"cannot be merged: .*lora_B.default.bias"),
        ({"rank_pattern": {"q_proj": 2}}, r"q_proj.lora_A.default.weight has rank 2, and lora_train_meta.json says 4"),
    ],
)
def test_an_adapter_of_another_kind_is_refused(tmp_path, options, message):
    base = tiny_model(tmp_path / "base", is_tied=True)
    actor = lora_shards(tmp_path / "actor", base, trained_adapter(base, target_modules=["q_proj"], **options))
    with pytest.raises(ValueError, match=message):
        model_path._merge_here(actor)
    assert not (actor / "merged").exists()
