"""From saved weights to a folder of the Hugging Face kind, written beside its place, checked, and moved into it."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from verl_ext.checkpoint.model_card import card
from verl_ext.checkpoint.saved_weights import SavedWeights
from verl_ext.cpu.precision import correct_dtype, stored_dtype
from verl_ext.evaluation.model_path import base_of_adapter, find_model, merge_adapter
from verl_ext.evaluation.same_logits import TOLERANCE, logit_difference, trained_model
from verl_ext.evaluation.shards import LORA_FACTS, PEFT_PREFIX, check_joined, joined_state, write_merged
from verl_ext.host.disk import check_room
from verl_ext.host.files import read_object, remove_unfinished, replacing
from verl_ext.host.provenance import versions
from verl_ext.pretrained.weights import weight_files
from verl_ext.training.run_record import read_run_record

FACTS = "export.json"
CARD = "README.md"
DTYPES = tuple(TOLERANCE)


def present_export(target: Path, weights: SavedWeights, dtype: str | None) -> dict[str, Any] | None:
    """What ``target`` says of itself where it is an export of these weights; None where there is room for one.

    Raises:
        ValueError: Something else is there.
    """
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return None
    if not (target / FACTS).is_file():
        raise ValueError(f"--to {target} is there already, and is no export. Choose another folder.")
    facts = read_object(target / FACTS, "Delete the folder, or choose another one.")
    if facts.get("weights") != weights.digest() or facts.get("asked_dtype") != dtype:
        raise ValueError(
            f"--to {target} holds the export of step {facts.get('step')} of {facts.get('run')} in "
            f"{facts.get('dtype')}, which is another one. Choose another folder, or delete that one."
        )
    return facts


def export(
    weights: SavedWeights, target: Path, *, is_checked: bool = True, dtype: str | None = None, base: str | None = None
) -> dict[str, Any]:
    """Make the model's folder; returns what its ``export.json`` says.

    Args:
        weights: From ``find_weights``.
        target: The folder, which appears whole and checked or not at all.
        is_checked: Compare the ranks' parts and the logits with the weights that it came from.
        dtype: One of ``DTYPES``; None: the precision that the weights have.
        base: The model that an adapter was trained on, where a checkpoint holds nothing but the adapter; None: what the
            run's record says.

    Raises:
        NoRoomError: It would not fit on the disk.
        ValueError: The checkpoint cannot be made into a model, or it would compute something else.
    """
    check_room(target, sum(file.stat().st_size for file in weights.files), f"The export to {target}")
    remove_unfinished(target)
    with replacing(target) as unfinished:
        write = _write_adapter if weights.kind == "adapter" else _write_state
        checked = write(weights, unfinished, is_checked, dtype, base)
        facts = {
            "run": (weights.run or weights.folder).resolve().name,
            "weights": weights.digest(),
            "step": weights.step,
            "dtype": stored_dtype(unfinished),
            "asked_dtype": dtype,
            **checked,
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": versions(),
        }
        (unfinished / CARD).write_text(card(weights, facts, read_run_record(weights.run)), encoding="utf-8")
        (unfinished / FACTS).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return facts


def _write_state(
    weights: SavedWeights, target: Path, is_checked: bool, dtype: str | None, base: str | None
) -> dict[str, Any]:
    """A model from tensors, those of shards or of a whole model."""
    import torch

    actor = weights.folder if weights.kind == "shards" else weights.folder.parent
    num_ranks = None
    if weights.kind == "shards":
        state = joined_state(actor)
        num_ranks = check_joined(actor, state) if is_checked else None
        if all(".lora_" in name for name in state):
            state = with_base(state, _base(weights, base))
    else:
        if (actor / LORA_FACTS).is_file():
            raise ValueError(
                f"{weights.folder} is the base of the adapter that was trained, without what the adapter learned, and there "
                "are no shards beside it. Save the model too (actor_rollout_ref.actor.checkpoint.save_contents)."
            )
        state = _loaded(weights)
    write_merged(state, actor, target, None if dtype is None else getattr(torch, dtype))
    _complete(target)
    if not is_checked:
        return {"logit_difference": None, "num_ranks": None}
    difference = logit_difference(trained_model(actor, state, target), target)
    return {"logit_difference": difference, "num_ranks": num_ranks}


def _write_adapter(
    weights: SavedWeights, target: Path, is_checked: bool, dtype: str | None, base: str | None
) -> dict[str, Any]:
    """A model from an adapter of peft."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    if base is not None or dtype is not None:
        raise ValueError(
            f"{weights.folder} is an adapter, which names its base and keeps its precision. Leave --base and --dtype out."
        )
    merge_adapter(weights.folder, target)
    _complete(target)
    if not is_checked:
        return {"logit_difference": None, "num_ranks": None}
    model = AutoModelForCausalLM.from_pretrained(base_of_adapter(weights.folder), dtype=torch.float32)
    difference = logit_difference(PeftModel.from_pretrained(model, weights.folder), target)
    return {"logit_difference": difference, "num_ranks": None}


def _complete(target: Path) -> None:
    """What transformers and vLLM read beside the weights: the precision, a tokenizer, how answers end."""
    from transformers import AutoConfig, AutoTokenizer, GenerationConfig

    correct_dtype(target)
    try:
        tokenizer = AutoTokenizer.from_pretrained(target)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"The checkpoint's huggingface folder has no tokenizer that can be loaded ({' '.join(str(error).split())[:200]}). "
            "Copy the base model's into it."
        ) from None
    has_one = (target / "generation_config.json").is_file()
    generation = (
        GenerationConfig.from_pretrained(target)
        if has_one
        else GenerationConfig.from_model_config(AutoConfig.from_pretrained(target))
    )
    if generation.eos_token_id is None:
        generation.eos_token_id = tokenizer.eos_token_id  # without one an answer has no end
        has_one = False
    if not has_one:
        generation.save_pretrained(target)


def _loaded(weights: SavedWeights) -> dict[str, Any]:
    """The tensors of a whole model."""
    import torch
    from safetensors.torch import load_file

    state: dict[str, Any] = {}
    for file in weight_files(weights.folder):
        is_safe = file.suffix == ".safetensors"
        state |= load_file(file) if is_safe else torch.load(file, map_location="cpu", weights_only=True)
    return state


def _base(weights: SavedWeights, base: str | None) -> Path:
    """The model under the adapter of a checkpoint that holds nothing else."""
    record = read_run_record(weights.run)
    path = (
        base
        if base is not None
        else (record or {}).get("config", {}).get("actor_rollout_ref", {}).get("model", {}).get("path")
    )
    if path is None:
        raise ValueError(
            f"{weights.folder} holds an adapter alone (save_lora_only), and no run.json says on which model it was trained. "
            "Name it with --base MODEL."
        )
    found = find_model(path)
    if found.to_merge is not None:
        raise ValueError(f"--base {path} is a checkpoint that is not merged yet. Export it first, and name the export.")
    return found.folder


def with_base(state: Mapping[str, Any], base: Path) -> dict[str, Any]:
    """The tensors of peft's whole model from its adapter's and the weights of ``base``, in the adapter's precision."""
    from transformers import AutoModelForCausalLM

    stems = {name.partition(".lora_")[0] for name in state}
    dtype = next(iter(state.values())).dtype
    whole = dict(state)
    for name, tensor in AutoModelForCausalLM.from_pretrained(base, dtype=dtype).state_dict().items():
        module, _, kind = f"{PEFT_PREFIX}{name}".rpartition(".")
        whole[f"{module}.base_layer.{kind}" if module in stems else f"{module}.{kind}"] = tensor
    return whole
