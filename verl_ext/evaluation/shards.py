"""One model's weights from the FSDP shards of all ranks, with what LoRA learned added to them.

verl's own merger (``python -m verl.model_merger``) rounds the weights to bfloat16 and leaves LoRA apart; this one does neither.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from verl_ext.host.files import read_object
from verl_ext.host.rank_files import files_of_ranks

LORA_FACTS = "lora_train_meta.json"
PEFT_PREFIX, BASE_WEIGHT, LM_HEAD = "base_model.model.", ".base_layer.weight", "lm_head.weight"


def merge_shards(folder: Path, target: Path) -> None:
    """Make the model's folder ``target`` from the FSDP shards in ``folder``, an adapter merged into it.

    Raises:
        ValueError: The shards, or an adapter in them, are of a kind that does not merge.
    """
    write_merged(joined_state(folder), folder, target)


def write_merged(state: Mapping[str, Any], folder: Path, target: Path, dtype: Any = None) -> None:
    """``merge_shards`` where the shards are joined already: ``state`` is ``joined_state(folder)``.

    Args:
        state: The tensors.
        folder: Holds ``huggingface`` and says how large the adapter is.
        target: The new folder.
        dtype: torch's, to round the merged weights to; None: as they are.
    """
    from huggingface_hub import save_torch_state_dict

    config = read_object(folder / "huggingface" / "config.json")
    # verl writes how the run attended into it, which may be a kernel that only this package has.
    config.pop("attn_implementation", None)
    is_tied = bool(config.get("tie_word_embeddings"))
    if any(".lora_" in name for name in state):
        facts = read_object(folder / LORA_FACTS)
        if not all(type(facts.get(name)) is int and facts[name] > 0 for name in ("r", "lora_alpha")):
            raise ValueError(f"{folder / LORA_FACTS} names no r and lora_alpha, so the adapter's size is unknown.")
        plain = add_lora(state, rank=facts["r"], alpha=facts["lora_alpha"])
        if is_tied and _adapts_embedding(state):
            # Two matrices now: what was learned was added to one of them.
            is_tied = config["tie_word_embeddings"] = False
            plain.setdefault(LM_HEAD, _base_embedding(state))
        state = plain
    if is_tied:
        state = {name: tensor for name, tensor in state.items() if name != LM_HEAD}
    target.mkdir(parents=True)
    for file in (folder / "huggingface").iterdir():
        if file.is_file() and file.suffix not in (".safetensors", ".bin"):
            shutil.copy(file, target)
    (target / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    (target / "model.safetensors.index.json").unlink(missing_ok=True)
    stored = {name: _rounded(tensor, dtype).contiguous() for name, tensor in state.items()}
    save_torch_state_dict(stored, target)


def _rounded(tensor: Any, dtype: Any) -> Any:
    return tensor.to(dtype) if dtype is not None and tensor.is_floating_point() else tensor


def joined_state(folder: Path) -> dict[str, Any]:
    """Every tensor of the model, from the shards of all ranks, in the precision they have."""
    import torch
    from torch.distributed.tensor import DTensor

    # weights_only: a checkpoint is data, and nothing in it is run.
    ranks = [torch.load(file, map_location="cpu", weights_only=True, mmap=True) for file in files_of_ranks(folder)]
    state = {}
    for name, first in ranks[0].items():
        if not isinstance(first, DTensor):
            state[name] = first
            continue
        placements: Any = first.placements
        # A mesh of (replicas, shards) has the first replica's shards on its first ranks.
        num_shards = first.device_mesh.mesh.shape[-1]
        parts = [rank[name].to_local() for rank in ranks[:num_shards]]
        if any(placement.is_shard() for placement in placements[:-1]) or not (
            placements[-1].is_shard() or placements[-1].is_replicate()
        ):
            raise ValueError(f"{name} in {folder} is spread over ranks in a way that is not supported: {placements}.")
        state[name] = torch.cat(parts, dim=placements[-1].dim) if placements[-1].is_shard() else parts[0]
    return state


def check_joined(folder: Path, state: Mapping[str, Any]) -> int:
    """Compare every rank's part of every tensor with the place in ``state`` that it is of; returns the number of ranks.

    Replicas of a part, and what is not spread at all, must be equal on all ranks. The place comes from the tensor's size,
    the ``joined_state`` from what the ranks hold.

    Raises:
        ValueError: They differ.
    """
    import torch
    from torch.distributed.tensor import DTensor

    files = files_of_ranks(folder)
    for rank, file in enumerate(files):
        for name, part in torch.load(file, map_location="cpu", weights_only=True, mmap=True).items():
            whole = state[name]
            if isinstance(part, DTensor):
                if part.shape != whole.shape:
                    raise ValueError(
                        f"{name} has the shape {tuple(part.shape)} and its joined parts {tuple(whole.shape)}."
                    )
                whole, part = _place_of(rank, part, whole), part.to_local()
            if not torch.equal(part, whole):
                raise ValueError(
                    f"{name} of {file} is not that part of the joined tensor: the ranks are not of one step."
                )
    return len(files)


def _place_of(rank: int, part: Any, whole: Any) -> Any:
    """The part of ``whole`` that a rank has: PyTorch gives each the same number of rows, rounded up, and the last the rest."""
    placement = part.placements[-1]
    if placement.is_replicate():
        return whole
    num_shards = part.device_mesh.mesh.shape[-1]
    rows = whole.shape[placement.dim]
    begin = min(rows, rank % num_shards * -(-rows // num_shards))
    return whole.narrow(placement.dim, begin, min(rows - begin, -(-rows // num_shards)))


def add_lora(state: Mapping[str, Any], *, rank: int, alpha: int) -> dict[str, Any]:
    """The plain model's tensors from those of peft's, under the plain names: W + alpha / rank * B @ A.

    Raises:
        ValueError: A part of the adapter has another rank, or is of a kind that does not merge like this.
    """
    left = {name for name in state if ".lora_" in name}
    plain = {}
    for name, tensor in state.items():
        if ".lora_" in name:
            continue
        stem = name.removesuffix(BASE_WEIGHT)
        delta = None
        for down_name, up_name, is_embedding in _adapter_names(stem) if stem != name else ():
            if down_name in state and up_name in state:
                down, up = state[down_name].float(), state[up_name].float()
                if down.shape[0] != rank:
                    raise ValueError(f"{down_name} has rank {down.shape[0]}, and {LORA_FACTS} says {rank}.")
                delta = (up @ down).T if is_embedding else up @ down
                left -= {down_name, up_name}
        if delta is not None:
            tensor = (tensor.float() + alpha / rank * delta).to(tensor.dtype)
        plain[name.removeprefix(PEFT_PREFIX).replace(".base_layer.", ".")] = tensor
    if left:
        raise ValueError(
            f"The adapter has tensors that cannot be merged: {', '.join(sorted(left)[:3])}. Only plain LoRA of linear and "
            "embedding layers can be."
        )
    return plain


def _adapter_names(stem: str) -> Iterator[tuple[str, str, bool]]:
    """Under which names the two factors of a layer may be, and whether they are those of an embedding."""
    for middle in (".default", ""):
        yield f"{stem}.lora_A{middle}.weight", f"{stem}.lora_B{middle}.weight", False
        yield f"{stem}.lora_embedding_A{middle}", f"{stem}.lora_embedding_B{middle}", True


def _adapts_embedding(state: Mapping[str, Any]) -> bool:
    return any(".lora_embedding_A" in name or name.startswith(f"{PEFT_PREFIX}lm_head.lora_A") for name in state)


def _base_embedding(state: Mapping[str, Any]) -> Any:
    names = [name for name in state if name.endswith((f"embed_tokens{BASE_WEIGHT}", "embed_tokens.weight"))]
    return state[names[0]]
