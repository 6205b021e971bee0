"""The comment at the top of a study's file, which says what it asks and how it is made."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from verl_ext.report.page_blocks import Block, Commands, Paragraph


class Question(NamedTuple):
    """Of a study."""

    text: str
    """The first paragraph; empty where the file begins with something else."""
    background: Sequence[Block]
    """The others; indented lines are commands."""


def question_of(path: Path) -> Question:
    """The comment."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line[1:].removeprefix(" ").rstrip())
    parts = [(kind, list(group)) for kind, group in groupby(lines, key=_kind) if kind]
    if not parts or parts[0][0] != "text":
        return Question("", [_block(*part) for part in parts])
    return Question(" ".join(parts[0][1]), [_block(*part) for part in parts[1:]])


def _kind(line: str) -> str:
    return "" if not line else "code" if line.startswith("  ") else "text"


def _block(kind: str, lines: Sequence[str]) -> Block:
    return Commands([line.removeprefix("  ") for line in lines]) if kind == "code" else Paragraph(" ".join(lines))
