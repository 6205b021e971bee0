"""From a model path of any kind to a folder that transformers and vLLM load."""

import re
from pathlib import Path

SHARD = re.compile(r"model_world_size_\d+_rank_\d+\.pt")
MERGED = "merged"


def _has_weights(folder: Path) -> bool:
    return any(folder.glob("*.safetensors")) or any(folder.glob("pytorch_model*.bin"))


def _latest_step(folder: Path) -> Path | None:
    tracker = folder / "latest_checkpointed_iteration.txt"
    return folder / f"global_step_{int(tracker.read_text())}" if tracker.is_file() else None


def loadable_model(path: str) -> str:
    """Return a folder or hub id that ``from_pretrained`` accepts.

    Args:
        path: A hub id; a model folder; or, of a training run, the output folder, its ``checkpoints``, one
            ``global_step_<N>`` or the ``actor`` in it. FSDP shards are merged once and kept beside them.

    Raises:
        ValueError: The folder is none of these; says what was looked for.
    """
    folder = Path(path).expanduser()
    if not folder.exists():
        if re.fullmatch(r"[\w.-]+/[\w.-]+", path):
            return path
        raise ValueError(f"There is no model at {path}. Give a model folder, a checkpoint of a run, or a hub id.")
    if (folder / "checkpoints").is_dir():
        folder = folder / "checkpoints"
    folder = _latest_step(folder) or folder
    if (folder / "actor").is_dir():
        folder = folder / "actor"
    for candidate in (folder, folder / "huggingface", folder / MERGED):
        if (candidate / "config.json").is_file() and _has_weights(candidate):
            return str(candidate)
    if not any(SHARD.fullmatch(file.name) for file in folder.iterdir()):
        raise ValueError(
            f"{folder} has neither weights (config.json and *.safetensors) nor FSDP shards "
            "(model_world_size_*_rank_*.pt), so there is no model to load."
        )
    return str(_merge_fsdp_shards(folder))


def _merge_fsdp_shards(actor: Path) -> Path:
    """Merge verl's FSDP shards with verl's own merger; the result appears whole or not at all."""
    from verl.model_merger.base_model_merger import ModelMergerConfig
    from verl.model_merger.fsdp_model_merger import FSDPModelMerger

    target, unfinished = actor / MERGED, actor / f".{MERGED}.unfinished"
    merger = FSDPModelMerger(
        ModelMergerConfig(
            operation="merge",
            backend="fsdp",
            local_dir=str(actor),
            target_dir=str(unfinished),
            hf_model_config_path=str(actor / "huggingface"),
        )
    )
    merger.merge_and_save()
    merger.cleanup()
    unfinished.rename(target)
    return target
