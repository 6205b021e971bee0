"""What commands need to run under any locale: files are UTF-8, and their names may be any bytes."""

import argparse
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path


def print_any_text() -> None:
    """Make print write what the terminal's encoding lacks as an escape, instead of failing in the middle of a run."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def shown(path: str | Path) -> str:
    """A file's name as text that can be written as UTF-8, whatever the locale made of it."""
    return os.fsencode(path).decode("utf-8", errors="replace")


def typed_path(text: str | Path) -> Path:
    """The path that was typed. ~ is the home folder, unless a file has that name or the home is unknown."""
    path = Path(text)
    if path.exists():
        return path
    try:
        return path.expanduser()
    except RuntimeError:  # no such user, or the home folder is unknown
        return path


def path_option(text: str) -> Path:
    """``typed_path``, as the type of an option of argparse."""
    if not text.strip():
        raise argparse.ArgumentTypeError("expected a path, got an empty text")
    return typed_path(text)


def named_path(text: str, option: str, example: str) -> tuple[str, str]:
    """The name and the path of ``NAME=PATH``, as ``option`` takes it; raises ValueError where it is something else."""
    name, mark, path = text.partition("=")
    if not mark or not name.strip() or not path.strip():
        raise ValueError(f"{option} takes NAME=PATH, such as {example}, got {text!r}.")
    return name.strip(), path


def check_names_differ(names: Sequence[str], option: str) -> None:
    """Raises ValueError where ``option`` names something twice."""
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{option} names {name} twice. Give every run a name of its own.")
