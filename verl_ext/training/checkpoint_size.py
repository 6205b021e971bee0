"""How much disk a checkpoint takes: what the last one did, and an estimate before there is any."""

from pathlib import Path
from typing import Any

from verl_ext.pretrained.weights import weight_files
from verl_ext.training.paths import local_path

BYTES_PER_PARAMETER_SAVED = 12
"""float32 weights and AdamW's two float32 moments."""


def size_beforehand(config: Any) -> int | None:
    """Of the actor, from the files of the model; None where they are out of reach."""
    folder = local_path(config.actor_rollout_ref.model.path)
    weights = weight_files(folder)
    if not weights:
        return None
    bytes_per_weight = 2 if '"bfloat16"' in (folder / "config.json").read_text(encoding="utf-8") else 4
    return sum(file.stat().st_size for file in weights) // bytes_per_weight * BYTES_PER_PARAMETER_SAVED


def size_of(folder: Path) -> int:
    """The bytes of the files in a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def most_at_once(config: Any) -> int:
    """How many checkpoints are on the disk at the same time, at most, where their number is limited; else 1."""
    kept = config.trainer.max_actor_ckpt_to_keep
    # The last one stays until the next is whole; with more, the oldest leaves before.
    has_best = (config.trainer.get("best_checkpoint") or {}).get("metric") is not None
    return 1 if kept is None else max(kept, 2) + has_best
