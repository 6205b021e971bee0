"""The libraries that vLLM's CPU build wants loaded before Python: a faster malloc, and PyTorch's own OpenMP.

vLLM puts them into LD_PRELOAD itself, for the engine's process that it starts. An engine that is forked has what its server
was started with, or the trainer where that has the server.
"""

import os
from importlib.util import find_spec
from pathlib import Path

PATTERNS = {"vllm": ("libs/libtcmalloc*.so*",), "torch": ("../torch.libs/libgomp*.so*", "lib/libgomp*.so*")}


def ld_preload() -> str:
    """LD_PRELOAD of this process with the libraries in front that are here and not in it yet; found without importing."""
    given = os.environ.get("LD_PRELOAD", "")
    missing = [file for file in _libraries() if _name_of(file) not in given]
    return ":".join([*missing, *([given] if given else [])])


def preload_for_this_process_only() -> None:
    """Leave the libraries out of LD_PRELOAD, and out of what this process starts from now on."""
    names = [_name_of(file) for file in _libraries()]
    given = [file for file in os.environ.get("LD_PRELOAD", "").split(":") if file]
    kept = [file for file in given if not any(name in file for name in names)]
    if kept:
        os.environ["LD_PRELOAD"] = ":".join(kept)
    else:
        os.environ.pop("LD_PRELOAD", None)


def _libraries() -> list[str]:
    """Files, at most one for each package."""
    found = []
    for package, patterns in PATTERNS.items():
        spec = find_spec(package)
        folders = [] if spec is None else [Path(folder) for folder in spec.submodule_search_locations or ()]
        files = [file for folder in folders for pattern in patterns for file in sorted(folder.glob(pattern))]
        found += [str(file.resolve()) for file in files[:1]]
    return found


def _name_of(file: str) -> str:
    """Of a library, without version and hash: ``libgomp``."""
    return Path(file).name.partition(".so")[0].partition("-")[0]
