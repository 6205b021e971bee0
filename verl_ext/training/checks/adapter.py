"""LoRA: what is trained reaches the rollout and can be made into a model afterwards."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from verl_ext.host.files import read_object
from verl_ext.host.tensor_files import tensors_in
from verl_ext.pretrained.hub import HUB_ID
from verl_ext.training.paths import is_remote, local_path

EMBEDDINGS = ("lm_head", "model.embed_tokens", "embed_out", "transformer.wte")
"""What transformers' models call their embeddings."""
UNMERGEABLE = (
    "use_dora",
    "use_rslora",
    "lora_bias",
    "rank_pattern",
    "alpha_pattern",
    "modules_to_save",
    "target_parameters",
)
MODEL = "actor_rollout_ref.model"


def check_adapter(config: Any) -> None:
    """The adapter is on layers that verl brings to the rollout, and is one that verl reads."""
    model = config.actor_rollout_ref.model
    path = model.get("lora_adapter_path")
    if model.lora_rank < 1:
        if path is not None:
            raise ValueError(
                f"{MODEL}.lora_adapter_path={path} is only read with {MODEL}.lora_rank above 0: set it to the adapter's r."
            )
        if model.lora.get("rank", 0) > 0:
            raise ValueError(
                f"{MODEL}.lora.rank={model.lora.rank} is an option of Megatron, so all weights would be trained: set "
                f"{MODEL}.lora_rank (and lora_alpha) for an adapter."
            )
        return
    if path is not None:
        _check_given_adapter(local_path(path), model.lora_rank)
        return
    _check_targets(f"{MODEL}.target_modules", model.target_modules, model.get("exclude_modules"))
    _check_there(model)


def _check_targets(option: str, targets: Any, excluded: Any) -> None:
    found = [name for name in EMBEDDINGS if _matches(targets, name) and not _matches(excluded, name)]
    if found and targets != "all-linear":
        raise ValueError(
            f"{option}={targets} puts an adapter on {found[0]}, which verl 0.9.1 does not bring to the rollout: with "
            f"{MODEL}.lora.merge=True only adapters within a layer are merged, and vLLM applies one of an embedding for "
            "some models only. The run would sample from another model than it trains. Leave it out, as all-linear does."
        )


def _check_there(model: Any) -> None:
    """The model has every layer that is named; seen in its weights, where they are on this machine."""
    targets = model.target_modules
    if targets is None or targets == "all-linear" or is_remote(model.path):
        return
    modules = _modules_with_weights(local_path(model.path))
    if not modules:
        return
    wanted = [targets] if isinstance(targets, str) else [[target] for target in targets]
    for one in wanted:
        if not any(_matches(one, module) for module in modules):
            own = sorted({module.rpartition(".")[2] for module in modules if re.search(r"\.layers\.\d+\.", module)})
            raise ValueError(
                f"{MODEL}.target_modules: {model.path} has no layer {one if isinstance(one, str) else one[0]}. It has "
                f"{', '.join(own)}."
            )


def _modules_with_weights(folder: Path) -> list[str]:
    """The names of the modules that multiply by a matrix, embeddings too; none where there are no safetensors."""
    return [
        name.removesuffix(".weight")
        for file in folder.glob("*.safetensors")
        for name, tensor in tensors_in(file).items()
        if name.endswith(".weight") and len(tensor["shape"]) > 1
    ]


def _matches(targets: Any, name: str) -> bool:
    """As peft reads ``target_modules`` and ``exclude_modules``."""
    if targets is None:
        return False
    if isinstance(targets, str):
        return re.fullmatch(targets, name) is not None
    return any(name == target or name.endswith(f".{target}") for target in targets)


def _check_given_adapter(folder: Path, rank: int) -> None:
    option = f"{MODEL}.lora_adapter_path={folder}"
    file = folder / "adapter_config.json"
    if not folder.exists():
        if HUB_ID.fullmatch(str(folder)):
            return  # left to the hub
        raise ValueError(f"{option} does not exist. Name the folder of an adapter of peft.")
    if not file.is_file():
        raise ValueError(f"{option} has no adapter_config.json, so it is not an adapter of peft.")
    try:
        adapter = read_object(file, "Copy it again.")
    except ValueError as error:
        raise ValueError(f"{option}: {error}") from None
    if adapter.get("r") != rank:
        raise ValueError(f"{option} has r={adapter.get('r')}, and {MODEL}.lora_rank={rank}: set it to the adapter's.")
    odd: Sequence[str] = [name for name in UNMERGEABLE if adapter.get(name)]
    if odd:
        raise ValueError(
            f"{option} has {odd[0]}={adapter[odd[0]]}. A checkpoint of the run keeps r and lora_alpha alone, so it could "
            "not be made into a model again. Merge the adapter first (python -m verl_ext.checkpoint export FOLDER --to DIR), "
            "and train from that."
        )
    _check_targets(f"{file}: target_modules", adapter.get("target_modules"), adapter.get("exclude_modules"))
