"""What commands need to run under any locale: files are UTF-8, and their names may be any bytes."""

import argparse
import io
import os
import sys
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
