r"""Find the answer in a response: the last balanced ``\boxed{}`` behind the reasoning, or what a task allows instead.

Every scan is linear in the response, and only the end of a long response is looked at. The rule that found the answer
is part of the verdict: the share of boxed answers is a measure of its own.
"""

import re
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from verl_ext.grading.answers.brackets import braces, closing, pairs
from verl_ext.grading.answers.limits import MAX_ANSWER_CHARS, MAX_RESPONSE_CHARS

BOX = re.compile(r"\\(?:boxed|fbox|beginboxed)(?![a-zA-Z])\s*")
BOX_ARGUMENT = re.compile(r"[^\s{}$\\,.;]+|\\[a-zA-Z]+")
r"""Of ``\boxed 7`` and ``\boxed\pi``, which LaTeX also accepts."""
JOINT = re.compile(
    r"\}(?:[\s$.]|\\[,;:!() ]|\\\]|\\\[|\\q?quad)*(?:,|;|\band\b|\bor\b|\\text\{\s*,?\s*(?:and|or)\s*\})(?:[\s$]|\\[,;:!() ]|\\\]|\\\[|\\q?quad|\band\b)*$"
)
"""From the brace that closes a box to the next box, where only a word or a comma joins the two."""
MAX_GAP_CHARS = 60
MAX_WORDS_BETWEEN_BOXES = 3
MAX_JOINED_BOXES = 16
BRACKETS = re.compile(r"(?<!\\)\[([^\[\]\n]{1,80})\](?!\()")
THINK_END = "</think>"
PHRASE = re.compile(
    r"(?:final\s+answer|answer|result|solution|r[ée]ponse|答案)\s*+(?:\*\*\s*+)?(?:is|=|:|：|est)(?:\s*for\s+sure)?\s*:?\s*",
    re.IGNORECASE,
)
SENTENCE_END = re.compile(r"\.(?=\s|$)|[\n。!?]|,\s+(?=[a-z]{2})|\s+because\b")
INLINE_MATH = re.compile(r"\$\$((?s:.+?))\$\$|\$([^$\n]+)\$|\\\(([^\n]+?)\\\)|\\\[((?s:.+?))\\\]")
MATH_MARKS = {"$$": "$$", "$": "$", r"\(": r"\)", r"\[": r"\]"}
MATH_OPENING = re.compile(r"\$\$?|\\[(\[]")
BOLD = re.compile(r"\*\*([^*\n]{1,200})\*\*")
HASHES = re.compile(r"####[ \t]*([^\n]*)")
NUMBER = re.compile(r"-?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|-?\.\d+")
MAX_BARE_CHARS = 80
"""A response no longer than this that is one line and holds mathematics is an answer and nothing else."""
PROSE = re.compile(r"(?<![\\a-zA-Z{])[a-zA-Z]{3,}\s+[a-zA-Z]{2,}")


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
    match = _last_match(BOX, text)
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
    contents = [content]
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
    return Extracted(", ".join(contents), "box" if len(contents) == 1 else "boxes")


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


def find_hashes(text: str) -> Extracted | None:
    """GSM8K's own mark: what follows the last ``####`` on its line."""
    found = HASHES.findall(text)
    return Extracted(found[-1].strip(), "hashes") if found else None


def find_phrase(text: str) -> Extracted | None:
    """What follows the last "the answer is" (or "Answer:") up to the end of its sentence."""
    match = _last_match(PHRASE, text)
    if match is None:
        return None
    rest = text[match.end() : match.end() + 400].lstrip("* \t\n")
    math = INLINE_MATH.match(rest)
    if math:
        return Extracted(_content(math), "phrase")
    end = SENTENCE_END.search(rest)
    answer = rest[: end.start()] if end else rest
    if PROSE.search(answer) and " is " in answer:
        answer = answer[answer.rfind(" is ") + 4 :]  # "Final answer: the number of points is 19"
    return Extracted(answer.strip().strip("*").strip(), "phrase") if answer.strip() else None


def find_inline_math(text: str) -> Extracted | None:
    """The last formula of a text that has no other mark. An opening mark without a closing one is passed over."""
    last_closing = {closing: text.rfind(closing) for closing in MATH_MARKS.values()}
    position, formula = 0, None
    while match := MATH_OPENING.search(text, position):
        closing, start = MATH_MARKS[match[0]], match.end()
        if last_closing[closing] <= start:  # known beforehand, or a text of opening marks would take quadratic time
            position = match.start() + 1
            continue
        end = text.index(closing, start + 1)
        if closing in {"$", r"\)"} and "\n" in text[start:end]:  # a formula in a line does not break it
            position = match.end()
            continue
        formula, position = text[start:end].strip(), end + len(closing)
    return None if formula is None else Extracted(formula, "math")


def find_bold(text: str) -> Extracted | None:
    """The last **bold** piece, which models use in place of a box."""
    found = BOLD.findall(text)
    return Extracted(found[-1].strip(), "bold") if found else None


def find_bare(text: str) -> Extracted | None:
    """All of a short response that is no sentence."""
    bare = text.strip()
    if not bare or len(bare) > MAX_BARE_CHARS or "\n" in bare or PROSE.search(bare):
        return None
    return Extracted(bare, "bare")


def find_brackets(text: str) -> Extracted | None:
    """The last [bracketed] piece, a format of its own in some prompts."""
    found = BRACKETS.findall(text)
    return Extracted(found[-1].strip(), "brackets") if found else None


def find_last_number(text: str) -> Extracted | None:
    """The last number of the text: for GSM8K, whose answers are all numbers."""
    found = NUMBER.findall(text)
    return Extracted(found[-1], "last_number") if found else None


def _last_match(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    last = deque(pattern.finditer(text), maxlen=1)
    return last[0] if last else None


def _content(match: re.Match[str]) -> str:
    return next(group for group in match.groups() if group is not None).strip()


FINDERS = {
    "hashes": find_hashes,
    "phrase": find_phrase,
    "bold": find_bold,
    "math": find_inline_math,
    "bare": find_bare,
    "brackets": find_brackets,
    "last_number": find_last_number,
}


def after_reasoning(response: str) -> str:
    """The end of the response, without a ``<think>`` part that is closed: what was boxed while thinking is a draft."""
    tail = response[-MAX_RESPONSE_CHARS:]
    return tail[tail.rfind(THINK_END) + len(THINK_END) :] if THINK_END in tail else tail


def extract_answer(response: str, fallbacks: Sequence[str]) -> Extracted | CutBox | None:
    """Find the answer by the last box, else by the first of ``fallbacks`` (names of ``FINDERS``) that finds one."""
    text = after_reasoning(response)
    box = find_box(text)
    if box is not None:
        return box
    for name in fallbacks:
        found = FINDERS[name](text)
        if found is not None:
            return found
    return None
