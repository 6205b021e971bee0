"""Models of the Hugging Face hub."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path

from verl_ext.pretrained.weights import ADAPTER_WEIGHTS, PICKLED, SAFETENSORS, has_weights, names_in
from verl_ext.tasks.table import DATA_SOURCES

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
HUB_FILES = ("*.json", SAFETENSORS, "*.txt", "*.jinja", "*.model", f"{ADAPTER_WEIGHTS}.bin")
"""What a model needs to be loaded, of the files that its repository may hold; ``PICKLED`` too where these hold no weights."""
HUB_SECONDS = 10
"""To wait for the list of a repository's files."""
NO_WEIGHTS = f"weights ({SAFETENSORS} or {PICKLED})"
MOST_NAMES = 12
"""Of a repository's files in an error."""


def dataset_name(source: str) -> str:
    """The name on the hub of a data source's data set, where this package knows it; else the source."""
    name = DATA_SOURCES[source].repo_id if source in DATA_SOURCES else source
    return name if HUB_ID.fullmatch(name) else source


@contextmanager
def _asked_for(hub_id: str) -> Iterator[None]:
    import httpx

    try:
        yield
    except (OSError, httpx.HTTPError) as error:  # all of the hub's own are an OSError
        said = " ".join(str(error).split())[:300] or type(error).__name__
        raise OSError(f"{hub_id} cannot be had from the hub: {said}") from None


def files_of(hub_id: str) -> dict[str, int]:
    """The files of a model's repository and their bytes, 0 where the hub does not say.

    Raises:
        OSError: There is no such model, no hub, or a setting that forbids to ask it.
    """
    from huggingface_hub import HfApi

    with _asked_for(hub_id):
        siblings = HfApi().model_info(hub_id, files_metadata=True, timeout=HUB_SECONDS).siblings or []
        return {file.rfilename: file.size or 0 for file in siblings}


def wanted(hub_id: str, files: Mapping[str, int]) -> list[str]:
    """Those of a repository's files that ``download`` fetches.

    Raises:
        ValueError: They make no model that transformers reads; says what the repository holds.
    """
    chosen = _matching(files, HUB_FILES)
    if not has_weights(chosen):
        chosen += _matching(files, (PICKLED,))
    missing = [] if "config.json" in files else ["config.json"]
    missing += [] if has_weights(chosen) else [NO_WEIGHTS]
    if not missing:
        return chosen
    others = f" and {len(files) - MOST_NAMES} more" if len(files) > MOST_NAMES else ""
    holds = ", ".join(sorted(files)[:MOST_NAMES]) + others if files else "nothing"
    has_gguf = any(name.endswith(".gguf") for name in files)
    raise ValueError(
        f"{hub_id} is on the hub, but it holds no model that transformers reads: it has no {' and no '.join(missing)}. "
        f"It holds {holds}. Name a repository with the model in transformers' format"
        f"{', or download one of its .gguf files and name that' if has_gguf else ''}."
    )


def _matching(names: Mapping[str, int], patterns: tuple[str, ...]) -> list[str]:
    return [name for name in names if any(fnmatch(name, pattern) for pattern in patterns)]


def download(hub_id: str, folder: Path | None = None) -> Path:
    """Download a model, or take it from the hub's cache, and return its folder.

    Args:
        hub_id: Its name.
        folder: Where to; the hub's cache, by default.

    Raises:
        OSError: It cannot be had: there is no such model, no hub, or a setting that forbids to ask it; or no room.
        ValueError: It has no weights that transformers reads.
    """
    from huggingface_hub import snapshot_download

    with _asked_for(hub_id):
        found = Path(snapshot_download(hub_id, allow_patterns=list(HUB_FILES), local_dir=folder))
        if not has_weights(names_in(found)):  # an old model, whose weights are pickled
            snapshot_download(hub_id, allow_patterns=[PICKLED], local_dir=folder)
    if not has_weights(names_in(found)):
        raise ValueError(f"{hub_id} is on the hub, but it has no {NO_WEIGHTS}, so there is no model to load.")
    return found
