"""Files and folders: written whole or not at all, and read with an error that names them."""

import glob
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a place beside ``path`` for a new file or folder, which replaces ``path`` when the block ends.

    A folder is replaced only by a folder: a file that was written instead is an IsADirectoryError. When the block
    raises, ``path`` stays as it was and what was written beside it is removed. Missing parent folders are made. Several
    files that belong together are entered into one ``contextlib.ExitStack``: none of them is put in its place before
    all are written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield unfinished
        if unfinished.is_dir() and path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)  # the system replaces a file, but no folder that holds something
        unfinished.replace(path)
    finally:
        if unfinished.is_dir():
            shutil.rmtree(unfinished)
        else:
            unfinished.unlink(missing_ok=True)


def remove_unfinished(path: Path) -> None:
    """Remove what a killed ``replacing(path)`` has left beside ``path``; for a path that nobody else is writing."""
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()


def write_whole(path: Path, text: str) -> None:
    """Replace ``path`` by a file of ``text`` in UTF-8.

    What UTF-8 cannot hold, half a pair of UTF-16, is spelled with a backslash, as JSON spells it.
    """
    with replacing(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8", errors="backslashreplace")


def read_object(path: Path, remedy: str = "Copy it again from where the folder came.") -> dict[str, Any]:
    """The JSON object in a file.

    Args:
        path: The file.
        remedy: What to do about a damaged one: a sentence, the end of the error.

    Raises:
        ValueError: The file is missing, is no JSON or holds no object; the message names it.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"There is no {path}. Copy the whole folder.") from None
    except ValueError as error:
        raise ValueError(f"{path} is empty or damaged ({error}). {remedy}") from None
    if not isinstance(value, dict):
        raise ValueError(f"{path} holds no JSON object. {remedy}")
    return value
