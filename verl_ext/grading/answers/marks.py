"""What a text without a box marks as its answer: tags, ``####``, its conclusion, choices, bold, brackets.

Each function looks for one mark and returns the answer behind it, "" where the mark is there and nothing can be read behind
it (then nothing is guessed either), or None where the text has no such mark. ``extract`` has them in a table.
"""

import re
from itertools import islice

from verl_ext.grading.answers import wording
from verl_ext.grading.answers.candidates import (
    BOLD,
    FUNCTIONS,
    NAME,
    THEREFORE,
    Picked,
    formula_answer,
    pick,
    plain_number,
)
from verl_ext.grading.answers.limits import CODE
from verl_ext.grading.answers.passages import PROSE, formulas, sentences, tail

CHOICE_PHRASE = re.compile(
    r"(?:option|choice|alternative|opción|opção|opzione|Option|вариант|选项|選択肢)\s*(?:is|es|est|ist|是|:)?\s*[*_(]{0,3}\s*([A-J])(?![a-zA-Z])[*_)]{0,3}"
    r"|\(?\b([B-J])\)?\s+is\s+(?:the\s+)?correct",
    re.IGNORECASE,
)
WORD = re.compile(r"[^\W\d_]{2,}")
COMMAND = re.compile(r"\\(?:text[a-z]*|mathrm|mbox)\s*\{[^{}]*\}|\\[a-zA-Z]+(?:\{(?:[a-z]*matrix|array|cases)\})?")
BARE_WORDS = FUNCTIONS | frozenset("and or cup infty inf pct percent cm mm km kg mod".split())
"""Words that may stand in a response that is an answer and nothing else."""
MAX_SHORT_CHARS = 80
TAG = re.compile(r"<answer>((?:[^<]|<(?!/?answer>)){0,1500})</answer>")
HASHES = re.compile(r"(?:^|\n)[ \t]*+####(?!#)[ \t]*+([^\n]*+)")
BRACKETS = re.compile(r"(?<!\\)\[([^\[\]\n]{1,80})\](?!\()")
NUMBER = re.compile(r"-?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|-?\.\d+")
CONNECTORS = re.compile(r"(?:[\s,;.]|where|with|and|or|for|if|when|all|any|every)*", re.IGNORECASE)
LAST_SENTENCES = 4


def find_tag(text: str) -> str | None:
    """The content of the last closed ``<answer>``."""
    found = TAG.findall(text)
    return found[-1].strip() if found else None


def find_hashes(text: str) -> str | None:
    """GSM8K's own mark: what follows the last ``####`` on its line. A heading of Markdown looks alike, and is prose."""
    found = HASHES.findall(text)
    if not found:
        return None
    content: str = found[-1].strip()
    is_heading = bool(content) and content[0].isalpha() and len(content) > 1
    return None if PROSE.search(content) or is_heading else content


def find_choice(text: str) -> str | None:
    """ "The correct option is (C)", in the last sentences."""
    said = sentences(tail(text))[-LAST_SENTENCES:]
    for sentence in reversed(said):
        match = CHOICE_PHRASE.search(sentence.text)
        if match and not sentence.is_question and not wording.NOT.search(sentence.text):
            return (match[1] or match[2]).upper()
    return None


def find_bare(text: str) -> str | None:
    """All of a short response that is a formula or a number, or formulas that only connecting words join."""
    bare = text.strip().strip("*`").strip()
    if not bare or len(bare) > MAX_SHORT_CHARS or "\n" in bare:
        return None
    spans = formulas(bare)
    if spans and spans[0].start == 0:
        outside, position = [], 0
        for span in spans:
            outside.append(bare[position : span.start])
            position = span.end
        tail_text = bare[position:]
        if all(CONNECTORS.fullmatch(piece) for piece in outside) and CONNECTORS.fullmatch(tail_text.split("$")[0]):
            return bare
    words = [word for word in WORD.findall(COMMAND.sub(" ", bare)) if word.lower() not in BARE_WORDS]
    if spans or (words and (len(words) > 1 or any(map(str.isdigit, bare)))):
        return None
    return plain_number(bare)


def find_conclusion(text: str) -> str | None:
    """What the last sentence, or the last that begins with "therefore" before checks and wishes, says in so many words."""
    picked = _concluded(text)
    return picked.text if picked and picked.is_sure else None


def find_last(text: str) -> str | None:
    """The last formula or number of the last sentence that has one."""
    picked = _concluded(text)
    return picked.text if picked else None


def _concluded(text: str) -> Picked | None:
    said = [each for each in sentences(tail(text)) if not each.is_question]
    last: Picked | None = None
    for sentence in islice(reversed(said), LAST_SENTENCES * 2):
        picked = Picked("", is_sure=True) if wording.REFUSAL.search(sentence.text) else pick(sentence.text)
        if picked is None:
            continue
        if CODE.search(sentence.text):
            return None
        if THEREFORE.match(sentence.text.lstrip("*_ #")) or not wording.CLOSING.match(sentence.text):
            return picked
        last = last or picked
    return last


def find_bold(text: str) -> str | None:
    """The last **bold** piece of the last sentences, which models use in place of a box."""
    for match in reversed(list(BOLD.finditer(tail(text)))):
        content = (match["stars"] or match["lines"] or match["latex"]).strip()
        if not content.endswith((":", "：")) and not PROSE.search(content):
            return formula_answer(content) if not NAME.fullmatch(content) else content
    return None


def find_brackets(text: str) -> str | None:
    """The last [bracketed] piece, a format of its own in some prompts."""
    found = [piece.strip() for piece in BRACKETS.findall(text)]
    found = [piece for piece in found if any(map(str.isdigit, piece)) or len(piece) == 1]
    return found[-1] if found else None


def find_last_number(text: str) -> str | None:
    """The last number of the text: for GSM8K, whose answers are all numbers."""
    found = NUMBER.findall(text)
    return found[-1] if found else None
