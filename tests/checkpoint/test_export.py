"""A saved step becomes a model folder that computes the same, with a card, whole or not at all."""

import json

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from tests.adapters import assert_says_the_same, logits_of, lora_shards, tiny_model, trained_adapter
from tests.checkpoint.save_shards import save_on_three_ranks
from verl_ext.checkpoint import hf_folder
from verl_ext.checkpoint.__main__ import main
from verl_ext.checkpoint.model_card import card
from verl_ext.checkpoint.saved_weights import SavedWeights, find_weights
from verl_ext.evaluation import shards
from verl_ext.host import disk

RECORD = {
    "argv": ["python", "-m", "verl_ext.training.main", "trainer.experiment_name=a b", "note=```|\n"],
    "started": "2026-01-02T03:04:05+00:00",
    "git": {"commit": "abc", "is_modified": True},
    "machine": {"platform": "Linux", "num_cpus": 2},
    "versions": {"verl": "0.9.1"},
    "seeds": {"data": 1},
    "config": {
        "algorithm": {"adv_estimator": "nsr"},
        "data": {"train_files": ["math_train.parquet"]},
        "trainer": {"experiment_name": "a|b"},
        "actor_rollout_ref": {"model": {"path": "Qwen/Qwen2.5-Math-7B", "lora_rank": 4}, "rollout": {"n": 8}},
    },
}
METRICS = [
    {"step": 0, "data": {"val-core/math500/acc/mean@4": 0.25, "val-core/reasoning_gym/chain_sum/acc/mean@4": 0.5}},
    {"step": 4, "data": {"val-core/math500/acc/mean@4": 0.75, "val-core/reasoning_gym/chain_sum/acc/mean@4": 1.0}},
    {"step": 5, "data": {"val-core/math500/acc/mean@4": 0.99}},
]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("base") / "base", is_tied=True)


@pytest.fixture
def run(tmp_path, base):
    """Two steps with an adapter on one rank, of which the first is the last that is complete for the run."""
    folder = tmp_path / "run"
    model = trained_adapter(base, target_modules=["q_proj", "down_proj"])
    for step in (4, 10):
        lora_shards(folder / "checkpoints" / f"global_step_{step}" / "actor", base, model)
    (folder / "checkpoints" / "latest_checkpointed_iteration.txt").write_text("4")
    (folder / "run.json").write_text(json.dumps(RECORD))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in METRICS))
    return folder


def said(capsys, *arguments) -> tuple[int, str]:
    code = main(["export", *map(str, arguments)])
    return code, "".join(capsys.readouterr())


# ---------------------------------------------------------------------- what is made


def test_a_step_with_an_adapter(run, base, tmp_path, capsys):
    code, shown = said(capsys, run, "--to", tmp_path / "out")
    assert (code, "exporting step 4 of" in shown, "float32, logits differ" in shown) == (0, True, True), shown
    out = tmp_path / "out"
    assert_says_the_same(out, trained_adapter(base, target_modules=["q_proj", "down_proj"]))
    assert AutoTokenizer.from_pretrained(out).eos_token_id == GenerationConfig.from_pretrained(out).eos_token_id
    facts = json.loads((out / "export.json").read_text())
    assert (facts["run"], facts["step"], facts["dtype"]) == ("run", 4, "float32")
    assert 0 < facts["logit_difference"] < 1e-5
    assert not list(tmp_path.glob(".out*")), "what was written beside it is gone"


def test_the_card_is_one_of_the_hub(run, tmp_path, capsys):
    from huggingface_hub import ModelCard, metadata_load

    assert said(capsys, run, "--to", tmp_path / "out")[0] == 0
    card = ModelCard.load(tmp_path / "out" / "README.md")
    assert card.data.base_model == "Qwen/Qwen2.5-Math-7B"
    results = {
        (one.dataset_name, one.dataset_type, one.metric_name): one.metric_value for one in card.data.eval_results
    }
    assert results == {
        ("math500", "HuggingFaceH4/MATH-500", "acc mean@4"): 0.75,
        ("reasoning_gym/chain_sum", "reasoning_gym/chain_sum", "acc mean@4"): 1.0,
    }
    assert metadata_load(tmp_path / "out" / "README.md")["tags"] == ["reinforcement-learning", "verl", "nsr"]
    for text in (
        "# a|b, step 4\n",
        "| math500, acc mean@4 | 0.2500 | 0.7500 |",
        "| objective | `nsr` |",
        "| training data | `math_train.parquet` |",
        "````bash\npython -m verl_ext.training.main 'trainer.experiment_name=a b' 'note=```|\n'\n````",
        "commit abc with changes, on 2 cores of Linux",
    ):
        assert text in card.content, card.content


@pytest.mark.parametrize("step", [None, 4])
def test_scores_are_of_a_step_that_is_known(tmp_path, step):
    """A folder may have any name, and a line of metrics no step; scores before training are not those of the weights."""
    rows = [*METRICS, {"data": {"val-core/math500/acc/mean@4": 0.99}}]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    weights = SavedWeights(folder=tmp_path / "my_checkpoint", kind="shards", step=step, run=tmp_path)
    text = card(weights, {"logit_difference": None, "dtype": "float32", "made": "today"}, None)
    assert ("0.2500" in text, "0.7500" in text, "0.99" in text) == (step is not None, step is not None, False)
    assert ("## Scores" in text, "model-index" in text) == (step is not None, step is not None)


def test_a_step_by_its_number_in_another_precision(run, tmp_path, capsys):
    assert said(capsys, run, "--to", tmp_path / "out", "--step", 10, "--dtype", "bfloat16")[0] == 0
    facts = json.loads((tmp_path / "out" / "export.json").read_text())
    assert (facts["step"], facts["dtype"]) == (10, "bfloat16")
    assert json.loads((tmp_path / "out" / "config.json").read_text())["dtype"] == "bfloat16"


def test_without_a_check_and_without_a_record(run, tmp_path, capsys):
    for name in ("run.json", "metrics.jsonl"):
        (run / name).unlink()
    (run / "checkpoints/global_step_4/actor/huggingface/generation_config.json").unlink()
    code, shown = said(capsys, run / "checkpoints/global_step_4/actor", "--to", tmp_path / "out", "--no-check")
    assert (code, "not checked (--no-check)" in shown) == (0, True)
    card = (tmp_path / "out" / "README.md").read_text()
    assert "Not checked" in card
    assert "its settings are not known" in card
    assert GenerationConfig.from_pretrained(tmp_path / "out").eos_token_id is not None


def test_a_whole_model_and_an_adapter_of_peft(run, base, tmp_path, capsys):
    """As ``hf_model`` in the contents of a checkpoint has it, and as peft does."""
    actor = run / "checkpoints/global_step_4/actor"
    for name in ("model_world_size_1_rank_0.pt", "lora_train_meta.json"):
        (actor / name).unlink()
    (actor / "huggingface/model.safetensors").write_bytes((base / "model.safetensors").read_bytes())
    assert said(capsys, run, "--to", tmp_path / "whole")[0] == 0
    assert torch.equal(*(logits_of(AutoModelForCausalLM.from_pretrained(one)) for one in (tmp_path / "whole", base)))

    model = trained_adapter(base, target_modules=["q_proj", "down_proj"])
    model.save_pretrained(tmp_path / "adapter")
    assert said(capsys, tmp_path / "adapter", "--to", tmp_path / "merged")[0] == 0
    assert_says_the_same(tmp_path / "merged", model)


@pytest.mark.parametrize("targets", [["q_proj", "down_proj"], ["lm_head", "embed_tokens"]])
def test_a_checkpoint_of_the_adapter_alone(run, base, tmp_path, capsys, targets):
    """verl's save_lora_only: what is under the adapter comes from the model that the run started from."""
    actor = run / "checkpoints/global_step_4/actor"
    model = trained_adapter(base, target_modules=targets)
    alone = {name: tensor for name, tensor in model.state_dict().items() if "lora_" in name}
    torch.save(alone, actor / "model_world_size_1_rank_0.pt")
    (run / "run.json").unlink()
    code, shown = said(capsys, run, "--to", tmp_path / "out")
    assert (code, "Name it with --base MODEL" in shown) == (2, True)
    assert said(capsys, run, "--to", tmp_path / "out", "--base", base)[0] == 0
    assert_says_the_same(tmp_path / "out", model)


@pytest.fixture(scope="module")
def of_three_ranks(base, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    save_on_three_ranks(base, folder)
    return folder


def test_shards_of_three_ranks_that_verl_has_saved(of_three_ranks, base, tmp_path, capsys):
    """FSDP1 with a whole model, FSDP2 with an adapter; no size divides by 3."""
    from peft import PeftModel

    for name, model in (
        ("fsdp1", AutoModelForCausalLM.from_pretrained(base)),
        ("fsdp2", PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), of_three_ranks / "trained")),
    ):
        code, shown = said(capsys, of_three_ranks / name, "--to", tmp_path / name)
        assert (code, "the parts of 3 ranks are where they belong" in shown) == (0, True), shown
        merged = logits_of(AutoModelForCausalLM.from_pretrained(tmp_path / name))
        torch.testing.assert_close(merged, logits_of(model), rtol=1e-5, atol=1e-6)


def test_the_same_as_verls_own_merger(of_three_ranks, tmp_path, capsys):
    """verl rounds to bfloat16; of the adapter it makes a file of its own, so this is the model without one."""
    from verl.model_merger.base_model_merger import ModelMergerConfig
    from verl.model_merger.fsdp_model_merger import FSDPModelMerger

    actor = str(of_three_ranks / "fsdp1")
    config = ModelMergerConfig(
        "merge", "fsdp", target_dir=str(tmp_path / "verl"), local_dir=actor, hf_model_config_path=f"{actor}/huggingface"
    )
    FSDPModelMerger(config).merge_and_save()
    assert said(capsys, actor, "--to", tmp_path / "ours", "--dtype", "bfloat16")[0] == 0
    ours, theirs = (load_file(tmp_path / name / "model.safetensors") for name in ("ours", "verl"))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


# ---------------------------------------------------------------------- what is refused


def test_ranks_that_do_not_belong_together(of_three_ranks):
    state = shards.joined_state(of_three_ranks / "fsdp1")
    assert shards.check_joined(of_three_ranks / "fsdp1", state) == 3
    name = "model.layers.0.mlp.down_proj.weight"
    state[name] = state[name].clone()
    state[name][-1, 0] += 1
    with pytest.raises(ValueError, match=rf"{name} of .*rank_2.pt is not that part of the joined tensor"):
        shards.check_joined(of_three_ranks / "fsdp1", state)
    state[name] = state[name][:-1]
    with pytest.raises(ValueError, match=r"has the shape \(16, 24\) and its joined parts \(15, 24\)"):
        shards.check_joined(of_three_ranks / "fsdp1", state)


def test_what_computes_something_else_is_not_put_in_place(run, tmp_path, capsys, monkeypatch):
    merge = hf_folder.write_merged

    def wrong(state, *rest):
        merge({name: 1.1 * tensor if "q_proj.lora_B" in name else tensor for name, tensor in state.items()}, *rest)

    monkeypatch.setattr(hf_folder, "write_merged", wrong)
    code, shown = said(capsys, run, "--to", tmp_path / "out")
    assert (code, "more than 0.0001 in float32. Nothing is put in place" in shown) == (2, True), shown
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_folder_that_is_there(run, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    assert said(capsys, run, "--to", out)[0] == 0, "an empty folder is no folder"
    code, shown = said(capsys, run, "--to", out)
    assert (code, "is the export of these weights already: nothing to do" in shown) == (0, True)
    code, shown = said(capsys, run, "--to", out, "--dtype", "float16")
    assert (code, "holds the export of step 4 of run in float32, which is another one" in shown) == (2, True)
    actor = run / "checkpoints/global_step_4/actor"
    state = torch.load(actor / "model_world_size_1_rank_0.pt")
    torch.save({name: tensor + 1 for name, tensor in state.items()}, actor / "model_world_size_1_rank_0.pt")
    assert said(capsys, run, "--to", out)[0] == 2, "other weights of the same step"
    code, shown = said(capsys, run, "--to", run)
    assert (code, "is there already, and is no export" in shown) == (2, True)


def test_no_room(run, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(disk, "free_bytes", lambda path: 3 << 10)
    code, shown = said(capsys, run, "--to", tmp_path / "a" / "out")
    assert (code, f"KiB, and {tmp_path} has 3 KiB free. Make room" in shown) == (2, True), shown
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("5", r"--step 5: .*checkpoints has no checkpoint of that step. There are 4, 10."),
        ("last", "--step must be a number, latest or best, got 'last'"),
        ("best", r"says of no step that it is the best.* There are 4, 10."),
        ("10", r"global_step_10 is not complete: .* is cut. Complete are the steps 4."),
    ],
)
def test_a_step_that_is_not_there_or_not_complete(run, step, message):
    """A run that is killed while it saves leaves the beginning of a file."""
    file = run / "checkpoints/global_step_10/actor/model_world_size_1_rank_0.pt"
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(ValueError, match=message):
        find_weights(run, step)


def test_the_best_step(run):
    best = run / "checkpoints/best_checkpoint.json"
    best.write_text(json.dumps({"step": 10, "value": 0.5}))
    assert find_weights(run, "best").step == 10
    best.write_text(json.dumps({"step": 7, "value": 0.5}))
    with pytest.raises(ValueError, match=r"--step 7: .* There are 4, 10."):
        find_weights(run, "best")


def test_parts_of_a_checkpoint(run, base):
    actor = run / "checkpoints/global_step_4/actor"
    (actor / "model_world_size_1_rank_0.pt").rename(actor / "model_world_size_2_rank_1.pt")
    with pytest.raises(
        ValueError, match=r"the shards of 1 of 2 ranks; those of 0 are missing.* Complete are the steps 10"
    ):
        find_weights(run)
    (actor / "model_world_size_2_rank_1.pt").unlink()
    with pytest.raises(ValueError, match="neither shards .* nor the weights of a model"):
        find_weights(run)
    weights = (base / "model.safetensors").read_bytes()
    for size in (100, len(weights) - 1):
        (actor / "huggingface/model.safetensors").write_bytes(weights[:size])
        with pytest.raises(ValueError, match="model.safetensors is cut"):
            find_weights(run)
    (actor / "huggingface/config.json").unlink()
    with pytest.raises(ValueError, match="it has no huggingface/config.json"):
        find_weights(actor)


def test_the_base_of_an_adapter_is_not_what_was_trained(run, base, tmp_path, capsys):
    actor = run / "checkpoints/global_step_4/actor"
    (actor / "model_world_size_1_rank_0.pt").unlink()
    (actor / "huggingface/model.safetensors").write_bytes((base / "model.safetensors").read_bytes())
    code, shown = said(capsys, run, "--to", tmp_path / "out")
    assert (code, "without what the adapter learned" in shown) == (2, True)


def test_what_is_no_run(tmp_path):
    with pytest.raises(ValueError, match="There is no folder"):
        find_weights(tmp_path / "absent")
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(ValueError, match=r"has no checkpoint: no global_step_<N>"):
        find_weights(tmp_path)
