"""The hard reset: from a stage's checkpoint to the model that the next one starts from, merged, checked, then put in place.

    python -m verl_ext.stages.reset ACTOR_FOLDER BASE TARGET FACTS

writes the model's folder and, into the file FACTS, what ``Reset`` holds. A process of its own, for it takes torch and
as much memory as three models; it ends with an error, and with nothing written, where the check fails.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from verl_ext.cpu.precision import correct_dtype, stored_dtype
from verl_ext.evaluation.checkpoint import (
    LORA_FACTS,
    find_model,
    fingerprint,
    joined_state,
    merge_shards,
)
from verl_ext.host.files import read_object, remove_unfinished, replacing, write_whole

NUM_PROMPTS, PROMPT_TOKENS, SEED = 4, 32, 0
"""The check's prompts: random tokens, which reach more of the embedding than a text does."""
TOLERANCE = {"float32": 1e-4, "bfloat16": 0.05, "float16": 0.01}
"""Largest difference of two logits, as a share of the largest logit, by the precision in which the merged weights are kept.

The sum W + alpha / r * B @ A is rounded to it once. SmolLM2-135M with adapters on all linear layers: 8e-6 and 0.014.
"""
PEFT_PREFIX = "base_model.model."


@dataclass(frozen=True, kw_only=True)
class Reset:
    """What a reset was."""

    base: str
    adapter: str | None
    model: str
    logit_difference: float
    """The largest, as a share of the largest logit."""


def reset(actor: Path, base: Path, target: Path) -> Reset:
    """Make the model that ``actor``'s weights are in ``target``, which appears whole and checked or not at all.

    Args:
        actor: The ``actor`` folder of a checkpoint, with FSDP shards of a whole model or of one with an adapter.
        base: The model that the stage started from.
        target: The new folder.

    Raises:
        ValueError: The shards are no model, the base has changed under an adapter, or the merged model computes
            something else than the one with the adapter.
    """
    remove_unfinished(target)
    state = joined_state(actor)
    adapter = {name: tensor for name, tensor in state.items() if ".lora_" in name}
    with replacing(target) as unfinished:
        merge_shards(actor, unfinished)
        correct_dtype(unfinished)
        if adapter:
            _check_base(state, base)
        difference = _logit_difference(actor, state, unfinished)
        digest = fingerprint(unfinished)
    return Reset(
        base=fingerprint(base),
        adapter=_digest(adapter) if adapter else None,
        model=digest,
        logit_difference=difference,
    )


def _check_base(state: Mapping[str, Any], base: Path) -> None:
    """Under an adapter the weights below it are those of the base, to the bit."""
    import torch
    from transformers import AutoModelForCausalLM

    weights = AutoModelForCausalLM.from_pretrained(base, dtype=stored_dtype(base) or "auto").state_dict()
    for name, tensor in state.items():
        plain = name.removeprefix(PEFT_PREFIX).replace(".base_layer.", ".")
        if ".lora_" in name or plain not in weights:
            continue
        if not torch.equal(tensor, weights[plain].to(tensor.dtype)):
            raise ValueError(
                f"{plain} is not the base's ({base}), although an adapter was trained. The reset is not made."
            )


def _logit_difference(actor: Path, state: Mapping[str, Any], merged: Path) -> float:
    """The largest between the trained model and ``merged``, as a share; raises ValueError beyond the tolerance."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    precision = stored_dtype(merged) or "float32"
    after = AutoModelForCausalLM.from_pretrained(merged, dtype=torch.float32, attn_implementation="sdpa")
    config = AutoConfig.from_pretrained(merged, attn_implementation="sdpa")
    before = _with_adapter(AutoModelForCausalLM.from_config(config, dtype=torch.float32), actor, state)
    generator = torch.Generator().manual_seed(SEED)
    tokens = torch.randint(after.config.get_text_config().vocab_size, (NUM_PROMPTS, PROMPT_TOKENS), generator=generator)
    with torch.no_grad():
        logits, others = before(input_ids=tokens).logits, after(input_ids=tokens).logits
    difference = float((logits - others).abs().max() / logits.abs().max())
    tolerance = TOLERANCE[precision]
    if not difference <= tolerance:
        raise ValueError(
            f"The merged model's logits differ from those of the model that was trained by {difference:.2g} of the largest, "
            f"more than {tolerance} in {precision}. Nothing is put in place; the checkpoint in {actor} stays as it is."
        )
    return difference


def _with_adapter(model: Any, actor: Path, state: Mapping[str, Any]) -> Any:
    """``model`` with the weights of ``state``, its adapter beside them and not in them."""
    stems = {name.partition(".lora_")[0].removeprefix(PEFT_PREFIX) for name in state if ".lora_" in name}
    if stems:
        from peft import LoraConfig, get_peft_model

        facts = read_object(actor / LORA_FACTS)
        lora = LoraConfig(r=facts["r"], lora_alpha=facts["lora_alpha"], target_modules=sorted(stems))
        model = get_peft_model(model, lora)
    # Tied embeddings are one tensor, under either name.
    missing, unexpected = model.load_state_dict({name: tensor.float() for name, tensor in state.items()}, strict=False)
    missing = [name for name in missing if not name.endswith("lm_head.weight")]
    if missing or unexpected:
        raise ValueError(f"The checkpoint's tensors are not the model's: {[*missing, *unexpected][:3]}.")
    return model.eval()


def _digest(tensors: Mapping[str, Any]) -> str:
    """Of every tensor's name and bytes."""
    import torch

    digest = sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:32]


if __name__ == "__main__":
    actor_folder, base_path, target_folder, facts_file = sys.argv[1:]
    try:
        made = reset(Path(actor_folder), find_model(base_path).folder, Path(target_folder))
    except ValueError as error:
        sys.exit(f"error: {error}")
    write_whole(Path(facts_file), json.dumps(asdict(made)) + "\n")
