"""Which files hold a model's weights."""

from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path

ADAPTER_WEIGHTS = "adapter_model"
SAFETENSORS, PICKLED = "*.safetensors", "pytorch_model*.bin"
"""In either there is a whole model; transformers reads the first where both are."""


def _among(names: Iterable[str]) -> list[str]:
    return sorted(
        name
        for name in names
        if "/" not in name  # transformers reads none in a folder within
        and not name.startswith(ADAPTER_WEIGHTS)
        and (fnmatch(name, SAFETENSORS) or fnmatch(name, PICKLED))
    )


def has_weights(names: Iterable[str]) -> bool:
    """Whether there are weights, of a model or an adapter, among a folder's or a repository's files."""
    names = list(names)
    return bool(_among(names)) or any(fnmatch(name, f"{ADAPTER_WEIGHTS}.*") for name in names)


def names_in(folder: Path) -> list[str]:
    return [file.name for file in folder.iterdir() if file.is_file()]


def weight_files(folder: Path) -> list[Path]:
    """Of a whole model: an adapter's weights are none. Empty where there is no folder."""
    return [folder / name for name in _among(names_in(folder))] if folder.is_dir() else []
