"""Small files of text: written whole or not at all, and read with an error that names them."""

import json
import os
from pathlib import Path
from typing import Any


def write_whole(path: Path, text: str) -> None:
    """Write ``text`` beside its place in UTF-8 and put it there in one piece; its folder is made where it is missing.

    What UTF-8 cannot hold, half a pair of UTF-16, is spelt with a backslash, as JSON spells it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    unfinished.write_text(text, encoding="utf-8", errors="backslashreplace")
    unfinished.replace(path)


def read_object(path: Path, remedy: str = "Copy it again from where the folder came.") -> dict[str, Any]:
    """The JSON object in a file.

    Args:
        path: The file.
        remedy: What to do about a damaged one: a sentence, the end of the error.

    Raises:
        ValueError: It is not there, is no JSON, or holds something else; the file is named.
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
