"""Where the files of a run's model are, and what its ``config.json`` says: a folder, or the cache of the hub."""

from pathlib import Path
from typing import Any

from verl_ext.host.files import read_object
from verl_ext.pretrained.hub import HUB_ID
from verl_ext.training.paths import is_remote, local_path


def model_folder(path: Any) -> Path | None:
    """The folder of the model at ``path``, or that of the hub's cache; None where it is out of reach.

    A path that is neither a folder nor the name of a model on the hub is returned as it is.
    """
    if path is None or is_remote(path):
        return None
    folder = local_path(path)
    if folder.is_dir() or not HUB_ID.fullmatch(str(path)):
        return folder
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(str(path), "config.json")
    return Path(cached).parent if isinstance(cached, str) else None


def model_config(path: Any) -> dict[str, Any] | None:
    """The content of ``config.json`` of the model at ``path``; None where it is out of reach or no such file.

    ``verl_ext.training.checks.model`` says what is wrong with it, and fetches it from the hub.
    """
    folder = model_folder(path)
    try:
        return None if folder is None else read_object(folder / "config.json", "")
    except (ValueError, OSError):
        return None
