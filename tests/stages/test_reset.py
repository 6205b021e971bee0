"""A reset hands on the model that was trained, merged and checked, or nothing."""

import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.adapters import assert_says_the_same, logits_of, lora_shards, tiny_model, trained_adapter
from verl_ext.evaluation.model_path import fingerprint
from verl_ext.evaluation.same_logits import TOLERANCE
from verl_ext.stages import reset as module
from verl_ext.stages.reset import reset

pytestmark = pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`")

TARGETS = {"attention": ["q_proj", "k_proj"], "all linear layers": "all-linear"}


def in_precision(base, dtype):
    """The model in ``base`` with its weights stored as ``dtype``."""
    file = base / "model.safetensors"
    save_file({name: tensor.to(dtype) for name, tensor in load_file(file).items()}, file, {"format": "pt"})
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps(config | {"dtype": str(dtype).removeprefix("torch.")}))


def stage_with_adapter(folder, *, is_tied=True, targets="all-linear", dtype=torch.float32):
    """A base, the checkpoint of a stage on it, and the model that was trained."""
    base = tiny_model(folder / "base", is_tied=is_tied)
    in_precision(base, dtype)
    # bfloat16 rounds a large sum so that a model with logits of 0.1 feels it.
    model = trained_adapter(base, std=0.3 if dtype is torch.float32 else 0.1, target_modules=targets)
    return base, lora_shards(folder / "actor", base, model), model


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("is_tied", [True, False])
@pytest.mark.parametrize("targets", TARGETS.values(), ids=TARGETS)
def test_the_merged_model_says_the_same(tmp_path, targets, is_tied, dtype):
    base, actor, model = stage_with_adapter(tmp_path, is_tied=is_tied, targets=targets, dtype=dtype)
    made = reset(actor, base, tmp_path / "merged")
    assert made.logit_difference <= TOLERANCE[str(dtype).removeprefix("torch.")]
    assert (made.base, made.model) == (fingerprint(base), fingerprint(tmp_path / "merged"))
    assert made.adapter is not None
    assert json.loads((tmp_path / "merged/config.json").read_text())["dtype"] == str(dtype).removeprefix("torch.")
    if dtype is torch.float32:
        assert_says_the_same(tmp_path / "merged", model)


def test_what_is_added_is_alpha_over_r_times_b_a_and_nothing_else_changes(tmp_path):
    base, actor, model = stage_with_adapter(tmp_path, targets=["q_proj"])
    reset(actor, base, tmp_path / "merged")
    before, after = (load_file(folder / "model.safetensors") for folder in (base, tmp_path / "merged"))
    adapter = {name: tensor for name, tensor in model.state_dict().items() if ".lora_" in name}
    for name, tensor in after.items():
        stem = f"base_model.model.{name.removesuffix('.weight')}"
        if name.endswith("q_proj.weight"):
            added = adapter[f"{stem}.lora_B.default.weight"] @ adapter[f"{stem}.lora_A.default.weight"]
            torch.testing.assert_close(tensor, before[name] + 12 / 4 * added)
        else:
            assert torch.equal(tensor, before[name]), name


def test_a_whole_model_becomes_the_next_base(tmp_path):
    """Every weight trained: no adapter, and the logits are those of the weights."""
    base = tiny_model(tmp_path / "base", is_tied=True)
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1)
    made = reset(lora_shards(tmp_path / "actor", base, model), base, tmp_path / "next")
    assert (made.adapter, made.logit_difference) == (None, 0.0)
    torch.testing.assert_close(logits_of(AutoModelForCausalLM.from_pretrained(tmp_path / "next")), logits_of(model))


def test_a_merge_that_computes_something_else_is_not_put_in_place(tmp_path, monkeypatch):
    base, actor, _ = stage_with_adapter(tmp_path)
    merge = module.write_merged

    def wrong(state, folder, target):
        merge(state, folder, target)
        file = target / "model.safetensors"
        state = load_file(file)
        name = next(name for name in state if name.endswith("down_proj.weight"))
        save_file(state | {name: 1.1 * state[name]}, file, {"format": "pt"})

    monkeypatch.setattr(module, "write_merged", wrong)
    with pytest.raises(
        ValueError, match=r"The merged model's logits differ .* by .* of the largest, more than 0.0001 in float32"
    ):
        reset(actor, base, tmp_path / "merged")
    assert {path.name for path in tmp_path.iterdir()} == {"base", "actor"}


def test_a_base_that_changed_under_its_adapter_is_noticed(tmp_path):
    base, actor, _ = stage_with_adapter(tmp_path)
    file = base / "model.safetensors"
    state = load_file(file)
    name = "model.layers.1.mlp.up_proj.weight"
    state[name][0, 0] += 1e-3
    save_file(state, file, {"format": "pt"})
    with pytest.raises(ValueError, match=rf"{name} is not the base's"):
        reset(actor, base, tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_the_command_fails_with_one_line_and_leaves_nothing(tmp_path):
    base, actor, _ = stage_with_adapter(tmp_path)
    (actor / "lora_train_meta.json").write_text("{}")
    command = [sys.executable, "-m", "verl_ext.stages.reset", actor, base, tmp_path / "merged", tmp_path / "facts"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "names no r and lora_alpha" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "merged").exists()
    assert not (tmp_path / "facts").exists()
