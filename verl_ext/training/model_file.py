"""What a model's ``config.json`` says, where it is here: in a folder, or in the cache of the hub."""

from typing import Any

from verl_ext.host.files import read_object
from verl_ext.pretrained.hub import HUB_ID
from verl_ext.training.paths import is_remote, local_path


def model_config(path: Any) -> dict[str, Any] | None:
    """The content of the file of the model at ``path``; None where it is out of reach or no such file.

    ``verl_ext.training.checks.model`` says what is wrong with it, and fetches it from the hub.
    """
    if path is None or is_remote(path):
        return None
    file = local_path(path) / "config.json"
    if not file.is_file():
        if not HUB_ID.fullmatch(str(path)):
            return None
        from huggingface_hub import try_to_load_from_cache

        cached = try_to_load_from_cache(str(path), "config.json")
        if not isinstance(cached, str):
            return None
        file = local_path(cached)
    try:
        return read_object(file, "")
    except ValueError:
        return None
