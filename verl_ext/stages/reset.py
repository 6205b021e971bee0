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
from verl_ext.evaluation.model_path import find_model, fingerprint
from verl_ext.evaluation.same_logits import logit_difference, trained_model
from verl_ext.evaluation.shards import PEFT_PREFIX, joined_state, write_merged
from verl_ext.host.files import remove_unfinished, replacing, write_whole


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
        write_merged(state, actor, unfinished)
        correct_dtype(unfinished)
        if adapter:
            _check_base(state, base)
        difference = logit_difference(trained_model(actor, state, unfinished), unfinished)
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
