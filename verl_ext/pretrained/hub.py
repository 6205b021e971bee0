"""Models of the Hugging Face hub."""

import re
from pathlib import Path

from verl_ext.tasks.table import DATA_SOURCES

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
ADAPTER_WEIGHTS = "adapter_model"
HUB_FILES = ("*.json", "*.safetensors", "*.txt", "*.jinja", "*.model", f"{ADAPTER_WEIGHTS}.bin")
"""What a model needs to be loaded, of the files that its repository may hold."""


def dataset_name(source: str) -> str:
    """The name on the hub of a data source's data set, where this package knows it; else the source."""
    name = DATA_SOURCES[source].repo_id if source in DATA_SOURCES else source
    return name if HUB_ID.fullmatch(name) else source


def fetch(hub_id: str, folder: Path) -> None:
    """Download a model into ``folder``.

    Raises:
        OSError: It cannot be had: there is no such model, no hub, or a setting that forbids to ask it; or no room.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        snapshot_download(hub_id, allow_patterns=list(HUB_FILES), local_dir=folder)
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise OSError(f"{hub_id} cannot be had from the hub: {' '.join(str(error).split())[:300]}") from None
