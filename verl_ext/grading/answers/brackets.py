r"""Brackets, counted in one place: which closes which, how deep they nest, what stands outside them.

A text is read in one of two ways. To LaTeX only braces group; ``\{`` is a character, and in ``\\{``, a new row, the brace
counts: ``braces``. To mathematics all of ``([{`` open and all of ``)]}`` close, with a backslash or without, because
``\{1\}`` is a set and ``(1,2]`` an interval: ``brackets``. Both give steps, which the other functions count.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import accumulate

Step = tuple[int, int]
"""The position of a bracket, and 1 where it opens or -1 where it closes."""

ANY = re.compile(r"[(\[{)\]}]")
CURLY = re.compile(r"[{}]")
ANY_OR_ENVIRONMENT = re.compile(r"[(\[{)\]}]|\\begin|\\end")
OPENING = frozenset({"(", "[", "{", r"\begin"})
BRACE = re.compile(r"\\.|([{}])", re.DOTALL)
"""A brace as the first group, or a backslash with the character that it escapes."""


def braces(text: str, start: int = 0) -> Iterator[Step]:
    r"""The braces of LaTeX from ``start`` on, without ``\{`` and ``\}``."""
    for match in BRACE.finditer(text, start):
        if match[1]:
            yield match.start(), 1 if match[1] == "{" else -1


def brackets(text: str, kinds: re.Pattern[str] = ANY) -> Iterator[Step]:
    r"""The brackets of mathematics, also ``\{`` and ``\}``."""
    for match in kinds.finditer(text):
        yield match.start(), 1 if match[0] in OPENING else -1


def closing(steps: Iterable[Step]) -> int | None:
    """The position of what closes the first bracket, which must be an opening one; None if nothing does."""
    depth = 0
    for position, step in steps:
        depth += step
        if not depth:
            return position
    return None


def is_outer_pair(text: str, kinds: re.Pattern[str] = ANY) -> bool:
    """Whether the last character closes the first bracket."""
    return closing(brackets(text, kinds)) == len(text) - 1


def is_balanced(steps: Iterable[Step]) -> bool:
    """Whether every bracket has its partner."""
    depth = 0
    for _, step in steps:
        depth += step
        if depth < 0:
            return False
    return not depth


def deepest(steps: Iterable[Step]) -> int:
    """How many brackets are open at once."""
    return max(accumulate((step for _, step in steps), initial=0))


def last_pair(text: str) -> int | None:
    """Where the last bracket of a balanced text opens that is in no other, if the last character closes it."""
    depth, start = 0, None
    for position, step in brackets(text):
        if step > 0 and not depth:
            start = position
        depth += step
    return start if not depth and text[-1:] in set(")]}") else None


def pairs(steps: Iterable[Step]) -> Iterator[tuple[int, int]]:
    """The positions of each bracket that is closed and of its partner, in the order of the partners."""
    opened: list[int] = []
    for position, step in steps:
        if step > 0:
            opened.append(position)
        elif opened:
            yield opened.pop(), position


def outside(text: str, token: re.Pattern[str]) -> Iterator[re.Match[str]]:
    r"""The matches of ``token`` that start outside all brackets and all ``\begin``..``\end``."""
    steps = brackets(text, ANY_OR_ENVIRONMENT)
    end = len(text), 0
    position, step = next(steps, end)
    depth = 0
    for match in token.finditer(text):
        while position < match.start():
            depth += step
            position, step = next(steps, end)
        if not depth:
            yield match


def split(text: str, token: re.Pattern[str]) -> list[str]:
    """The pieces between the matches of ``token`` outside all brackets, without outer blanks."""
    pieces, start = [], 0
    for match in outside(text, token):
        pieces.append(text[start : match.start()].strip())
        start = match.end()
    return [*pieces, text[start:].strip()]
