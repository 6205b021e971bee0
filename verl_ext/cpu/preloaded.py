"""The libraries that vLLM's CPU build wants loaded before Python: a faster malloc, and PyTorch's own OpenMP.

vLLM puts them into LD_PRELOAD itself, for the engine's process that it starts. An engine that is forked from the server
has what the server was started with.
"""

import os
from importlib.util import find_spec
from pathlib import Path

PATTERNS = {"vllm": ("libs/libtcmalloc*.so*",), "torch": ("../torch.libs/libgomp*.so*", "lib/libgomp*.so*")}


def ld_preload() -> str:
    """LD_PRELOAD of this process with the libraries in front that are here and not in it yet; found without importing."""
    found = []
    given = os.environ.get("LD_PRELOAD", "")
    for package, patterns in PATTERNS.items():
        spec = find_spec(package)
        folders = [] if spec is None else [Path(folder) for folder in spec.submodule_search_locations or ()]
        files = [file for folder in folders for pattern in patterns for file in sorted(folder.glob(pattern))]
        if files and files[0].name.partition(".so")[0].partition("-")[0] not in given:
            found.append(str(files[0].resolve()))
    return ":".join([*found, *([given] if given else [])])
