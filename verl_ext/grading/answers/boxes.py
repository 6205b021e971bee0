r"""Boxes: the last balanced ``\boxed{}`` of a response, and the boxes of a reference.

Every scan is linear in the text, however many boxes are open.
"""

import re
from collections import deque
from typing import NamedTuple

from verl_ext.grading.answers.brackets import braces, closing, pairs
from verl_ext.grading.answers.limits import MAX_ANSWER_CHARS

BOX = re.compile(r"\\(?:boxed|fbox|beginboxed)(?![a-zA-Z])\s*")
BOX_ARGUMENT = re.compile(r"[^\s{}$\\,.;]+|\\[a-zA-Z]+")
r"""Of ``\boxed 7`` and ``\boxed\pi``, which LaTeX also accepts."""
JOINT = re.compile(
    r"\}(?:[\s$.]|\\[,;:!() ]|\\\]|\\\[|\\q?quad)*(?:,|;|\band\b|\bor\b|\\text\{\s*,?\s*(?:and|or)\s*\})(?:[\s$]|\\[,;:!() ]|\\\]|\\\[|\\q?quad|\band\b)*"
    r"(?:[a-zA-Z](?:_\{?\w\}?)?\s*=\s*)?$"
)
"""From the brace that closes a box to the next box, where only a word or a comma joins the two, and a name it is the value of."""
NAMED = re.compile(r"(?<![a-zA-Z\\_])([a-zA-Z](?:_\{?\w\}?)?)\s*=\s*$")
MAX_GAP_CHARS = 60
MAX_WORDS_BETWEEN_BOXES = 3
MAX_JOINED_BOXES = 16


class Extracted(NamedTuple):
    text: str
    rule: str


class CutBox(NamedTuple):
    """The last box of the response is not closed."""

    before: Extracted | None
    """The last box that is."""


def find_box(text: str) -> Extracted | CutBox | None:
    r"""The content of the last ``\boxed`` or ``\fbox`` of ``text`` that is closed; CutBox if only open ones follow it.

    A CutBox still says what the last closed box holds, because only a response that was cut loses it.
    """
    match = last_match(BOX, text)
    if match is None:
        return None
    start = match.end()
    if text[start : start + 1] != "{":
        argument = BOX_ARGUMENT.match(text, start)
        return Extracted(argument[0], "box") if argument else CutBox(_last_closed_box(text))
    end = closing(braces(text, start))
    if end is None:
        return _box_with_stray_backslash(text, start) or CutBox(_last_closed_box(text))
    return _joined_boxes(text, match.start(), text[start + 1 : end].strip())


def _joined_boxes(text: str, start: int, content: str) -> Extracted:
    r"""The last box, and those before it that "and", "or" or a comma join to it: ``\boxed{1} and \boxed{-2}``."""
    contents, names = [content], [_name_of_box(text, start)]
    while len(contents) < MAX_JOINED_BOXES:
        gap = JOINT.search(text, max(0, start - MAX_GAP_CHARS), start)
        if gap is None or gap.end() != start:
            break
        # The box that ends where the gap begins is the last one before it.
        opening = text.rfind("boxed", max(0, gap.start() - MAX_ANSWER_CHARS), gap.start())
        match = BOX.match(text, opening - 1) if opening > 0 else None
        if match is None or text[match.end() : match.end() + 1] != "{":
            break
        if closing(braces(text, match.end())) != gap.start():
            break
        contents.insert(0, text[match.end() + 1 : gap.start()].strip())
        start = match.start()
        names.insert(0, _name_of_box(text, start))
    if len(contents) == 1:
        return Extracted(contents[0], "box")
    if all(names):
        contents = [f"{name}={content}" for name, content in zip(names, contents, strict=True)]
    return Extracted(", ".join(contents), "boxes")


def _name_of_box(text: str, start: int) -> str | None:
    r"""The name that a box is the value of: ``y_1 = \boxed{3}``."""
    named = NAMED.search(text[max(0, start - MAX_GAP_CHARS) : start])
    return named[1] if named else None


def _box_with_stray_backslash(text: str, start: int) -> Extracted | None:
    r"""``\boxed{185\}``: the backslash that escapes the closing brace is a slip, if the text ends there."""
    tail = text[start + 1 :].rstrip(" \n\t$.")
    return Extracted(tail[:-2].strip(), "box") if tail.endswith(r"\}") and len(tail) < 100 and "{" not in tail else None


class Box(NamedTuple):
    """A closed box: where its command starts, where its closing brace is, and what it holds."""

    start: int
    end: int
    content: str


def closed_boxes(text: str) -> list[Box]:
    """Every box whose brace is closed, by where it starts; found in one pass, however many are open."""
    starts = {match.end(): match.start() for match in BOX.finditer(text)}
    return sorted(
        Box(starts[brace], end, text[brace + 1 : end].strip()) for brace, end in pairs(braces(text)) if brace in starts
    )


def _last_closed_box(text: str) -> Extracted | None:
    boxes = closed_boxes(text)
    return Extracted(boxes[-1].content, "box") if boxes else None


def all_boxes(text: str) -> list[str]:
    """The contents of every closed box that is in no other, in order: of a solution, which is trusted."""
    contents, end = [], 0
    for box in closed_boxes(text):
        if box.start >= end:
            contents.append(box.content)
            end = box.end
    return contents


def reference_boxes(text: str) -> list[str]:
    """The boxes of a reference that belong to its answer: the last, and those before it a few words apart at most."""
    kept: list[str] = []
    position = len(text)
    for box in reversed(closed_boxes(text)):
        if box.end >= position:
            continue
        if kept and len(text[box.end + 1 : position].split()) > MAX_WORDS_BETWEEN_BOXES:
            break
        kept.insert(0, box.content)
        position = box.start
    return kept


def last_match(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    last = deque(pattern.finditer(text), maxlen=1)
    return last[0] if last else None
