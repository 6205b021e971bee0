"""The libraries that a process with learner and vLLM wants loaded before Python: a faster malloc, and PyTorch's own OpenMP.

vLLM puts those that its wheel has into LD_PRELOAD itself, for the engine's process that it starts. An engine that is forked has
what its server was started with, or the trainer where that has the server. Where vLLM's wheel brings no malloc, it is the
jemalloc of Ray's: glibc's looks through long lists of freed blocks for every tensor of a backward pass.
"""

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

MALLOC = (("vllm", "libs/libtcmalloc*.so*"), ("ray", "core/libjemalloc*.so*"))
OPENMP = (("torch", "../torch.libs/libgomp*.so*"), ("torch", "lib/libgomp*.so*"))
_MALLOC_NAMES = ("libtcmalloc", "libjemalloc", "libmimalloc")


def ld_preload() -> str:
    """LD_PRELOAD of this process with the libraries in front that are here and not in it yet; found without importing.

    A malloc that was given stays the only one.
    """
    given = os.environ.get("LD_PRELOAD", "")
    missing = [
        file
        for file, names in ((_first(MALLOC), _MALLOC_NAMES), (_first(OPENMP), ("libgomp",)))
        if file is not None and not any(name in given for name in names)
    ]
    return ":".join([*missing, *([given] if given else [])])


def preload_for_this_process_only() -> None:
    """Leave the libraries out of LD_PRELOAD, and out of what this process starts from now on."""
    ours = {_first(MALLOC), _first(OPENMP)}
    given = [file for file in os.environ.get("LD_PRELOAD", "").split(":") if file]
    kept = [file for file in given if file not in ours]
    if kept:
        os.environ["LD_PRELOAD"] = ":".join(kept)
    else:
        os.environ.pop("LD_PRELOAD", None)


def _first(places: Sequence[tuple[str, str]]) -> str | None:
    """The first file that there is, of packages and patterns within them."""
    for package, pattern in places:
        spec = find_spec(package)
        for folder in [] if spec is None else spec.submodule_search_locations or ():
            for file in sorted(Path(folder).glob(pattern)):
                return str(file.resolve())
    return None
