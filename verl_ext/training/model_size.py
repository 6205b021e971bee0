"""How many parameters the model of a run has, read from the headers of its files in milliseconds."""

from pathlib import Path
from typing import Any

from verl_ext.cpu.precision import parameters_in
from verl_ext.pretrained.hub import HUB_ID
from verl_ext.training.paths import is_remote, local_path


def num_parameters(path: Any) -> int | None:
    """Numbers in the model's safetensors files; None where they are not here yet, are pickled, or cannot be read."""
    folder = _folder(path)
    try:
        return None if folder is None else parameters_in(folder)
    except (ValueError, KeyError):  # no such file after all: whoever loads it says so
        return None


def _folder(path: Any) -> Path | None:
    """Where the model's files are: the folder itself, or the hub's cache."""
    if path is None or is_remote(path):
        return None
    folder = local_path(path)
    if folder.is_dir() or not HUB_ID.fullmatch(str(path)):
        return folder
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(str(path), "config.json")
    return Path(cached).parent if isinstance(cached, str) else None
