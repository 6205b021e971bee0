r"""The end of a response: its sentences, with formulas whole.

Only the last characters are looked at, so whatever is done to a sentence costs a bounded time.
"""

import re
from typing import NamedTuple

MAX_TAIL_CHARS = 3000
MATH = re.compile(
    r"\$\$(?P<display>[^$]{1,1500})\$\$|(?<!\\)\$(?P<inline>(?:[^$\n\\]|\\.){1,800}?)\$"
    r"|\\\((?P<parentheses>(?:[^\\\n]|\\(?!\)).){1,800}?)\\\)|\\\[(?P<brackets>(?:[^\\]|\\(?!\])){1,1500})\\\]"
    r"|\\begin\{(?P<name>align|equation|gather|aligned|eqnarray|multline)(?P<star>\*?)\}(?P<environment>(?:[^\\]|\\(?!end\{)){1,1500})"
    r"\\end\{(?P=name)(?P=star)\}",
    re.DOTALL,
)
PROSE = re.compile(r"(?<![\\{\w])[^\W\d_]{3,}\s+[^\W\d_]{2,}")
"""Two words in a row."""
TEXT = re.compile(r"\\(?:text[a-z]*|mathrm|mbox|operatorname)\s*\{[^{}]*\}|\\[a-zA-Z]+")
CURRENCY = re.compile(r"\d[^$]*(?:\s[a-zA-Z]{2,}|[-+*/×x=(,.;:\s])$|\d[\d,.]*\s+[a-zA-Z]{2,}")
"""What stands between two dollar signs that are no marks of mathematics: ``$10 and then $``, ``$50 - $``."""
CALCULATION = re.compile(r"<<[^<>\n]{0,200}>>")
"""The notes of a calculator in GSM8K's solutions."""
TURN_END = re.compile(r"<\|(?:im_start|im_end|eot_id|endoftext|end_of_text)\|>|</s>")
ITEM = re.compile(r"(?:^|\n)\s*\d{1,2}$")
ABBREVIATION = re.compile(
    r"(?:^|[\s(])(?:approx|ca|e\.g|i\.e|vs|mr|mrs|ms|dr|st|no|fig|eq|resp|cf|bzw|z\.b|p\.ex|etc|a\.m|p\.m)$", re.I
)
SENTENCE_START = re.compile(r"\n|[.!?]\s+(?=[A-Z\u0080-\uffff])|[。！？]")
NEW_SENTENCE = re.compile(r"\s+[A-Z\u00c0-\uffff]")
END = re.compile(r"[.!?](?=[\s*_)\"'”»]|$)|[。！？।]|\n")


class Formula(NamedTuple):
    """A formula between marks of mathematics, and where the marks begin and end."""

    start: int
    end: int
    content: str


class Sentence(NamedTuple):
    text: str
    is_question: bool


def own_turn(text: str) -> str:
    """Without what follows the end of the author's turn."""
    match = TURN_END.search(text, next((index for index, char in enumerate(text[:200]) if not char.isspace()), 0) + 1)
    return text if match is None or not text[: match.start()].strip() else text[: match.start()]


def formulas(text: str) -> list[Formula]:
    """The formulas of a text of bounded length, in order."""
    found: list[Formula] = []
    position = 0
    while match := MATH.search(text, position):
        content = next(
            match[name] for name in ("display", "inline", "parentheses", "brackets", "environment") if match[name]
        )
        if match["inline"] and (CURRENCY.match(content) or PROSE.search(TEXT.sub(" ", content))):
            position = match.start() + 1
            continue
        found.append(Formula(match.start(), match.end(), content.strip()))
        position = match.end()
    return found


def tail(text: str) -> str:
    """The end of a text, from the start of a line on, else from that of a sentence outside a formula."""
    text = text.rstrip()
    if len(text) <= MAX_TAIL_CHARS:
        return CALCULATION.sub("", text)
    first = len(text) - MAX_TAIL_CHARS
    starts = [match.end() for match in SENTENCE_START.finditer(text, first)]
    lines = [start for start in starts if text[start - 1] == "\n"]
    outside = [start for start in starts[:20] if text.count("$", 0, start) % 2 == 0]
    return CALCULATION.sub("", text[(lines or outside or starts or [first])[0] :])


def sentences(text: str) -> list[Sentence]:
    """The sentences of a text of bounded length. A displayed formula belongs to the sentence that introduces it."""
    inside = [False] * (len(text) + 1)
    ends = set()
    for span in formulas(text):
        inside[span.start : span.end] = [True] * (span.end - span.start)
        if span.content.endswith((".", "!")) and NEW_SENTENCE.match(text, span.end):
            ends.add(span.end)
    pieces: list[Sentence] = []
    start = 0
    for match in END.finditer(text):
        # A sentence that ends inside its last formula: $$x = 3.$$ Then
        for end in sorted(each for each in ends if each <= match.start()):
            _add(pieces, text[start:end], ".")
            start = end
            ends.discard(end)
        if inside[match.start()] or (match[0] == "." and _is_no_end(text, match.start())):
            continue
        if match[0] == "\n" and _goes_on(text, start, match.end()):
            continue
        _add(pieces, text[start : match.start()], match[0])
        start = match.end()
    for end in sorted(ends):
        _add(pieces, text[start:end], ".")
        start = end
    _add(pieces, text[start:], "")
    return pieces


def _is_no_end(text: str, point: int) -> bool:
    """Whether the point belongs to an abbreviation or to the number of an item in a list."""
    before = text[max(0, point - 12) : point]
    return bool(ABBREVIATION.search(before)) or bool(ITEM.search(text[max(0, point - 4) : point]))


def _goes_on(text: str, start: int, end: int) -> bool:
    """Whether the line that ends here introduces a displayed formula, or what follows a colon."""
    line, following = text[start:end].strip(" \n*_"), text[end:].lstrip()
    introduces = line.endswith((":", "：", ",", "is", "="))
    return bool(line) and introduces and len(following) > 0 and not following.startswith(("- ", "* ", "1."))


def _add(pieces: list[Sentence], text: str, end: str) -> None:
    stripped = text.strip()
    if stripped:
        pieces.append(Sentence(stripped, end in {"?", "？"}))
