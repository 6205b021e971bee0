"""What commands share: any locale (files are UTF-8, and their names may be any bytes), and mistakes that are one line."""

import argparse
import io
import os
import sys
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn


class CommandParser(argparse.ArgumentParser):
    """A parser that answers a mistake with one line, exit code 2 and the nearest option, where argparse prints its usage."""

    def parse_args(self, args: Iterable[str] | None = None, namespace: Any = None) -> Any:
        words = list(sys.argv[1:] if args is None else args)
        self._refuse_unknown(words)  # before argparse misses a required option that was only mistyped
        return super().parse_args(words, namespace)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message.rstrip('.')}. --help lists the options.\n")

    def _refuse_unknown(self, words: Sequence[str]) -> None:
        options, allows_short = self._known_options(words)
        for word in words[: words.index("--")] if "--" in words else words:
            name = word.partition("=")[0]
            if not name.startswith("--") or " " in name or name in options:
                continue
            if not (allows_short and any(option.startswith(name) for option in options)):
                near = get_close_matches(name[2:], [option[2:] for option in options], n=1)
                hint = f"Did you mean --{near[0]}?" if near else "--help lists the options."
                self.exit(2, f"error: There is no option {name}. {hint}\n")

    def _known_options(self, words: Sequence[str]) -> tuple[list[str], bool]:
        """The options of the subcommand that was typed, else of the whole, and whether they may be shortened."""
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                for word in words:
                    if word in action.choices:
                        chosen = action.choices[word]
                        return _long_options(chosen), chosen.allow_abbrev
        return _long_options(self), self.allow_abbrev


def _long_options(parser: argparse.ArgumentParser) -> list[str]:
    return [option for option in parser._option_string_actions if option.startswith("--")]


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
