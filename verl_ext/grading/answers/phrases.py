"""The phrases by which a text names its answer: "the answer is", "Answer:", "Ответ:", "答案是", "is the answer"."""

import re

from verl_ext.grading.answers import wording
from verl_ext.grading.answers.candidates import BOLD, candidates, is_nothing_between, pick, plain_number, says
from verl_ext.grading.answers.passages import PROSE, formulas, sentences

NOUN = wording.one_of(wording.ANSWER)
IS = wording.one_of(wording.IS)
PHRASE = re.compile(
    rf"(?:{NOUN}|\b(?:final|end)\s+(?:result|solution|value))(?:[*_]{{1,3}}|\s+[^\W\d_]{{1,15}}(?<!\bis)(?<!\bnot)(?=\s)){{0,7}}"
    rf"\s*(?:{IS}|(?P<colon>[:：=])|(?=\$|\\\(|\\\[|\n\s*\$|\n\s*\\))"
    rf"|(?:{'|'.join(wording.BEFORE_VERB.split())})\s*(?=[-−]?\d)",
    re.IGNORECASE,
)
"""The noun, a few words at most ("to the problem"), and "is" or a colon, or a formula right behind it."""
ANSWER_BEHIND = re.compile(
    rf"{IS}\s+(?:the|our|my|your|la|die|der|le|el|o|a)\s+(?:\w+\s+)?(?:{NOUN}|solution)\b", re.IGNORECASE
)
"""``$x<3$ is our answer``."""
DENIED = re.compile(r"\b(?:no|cannot|can't|without\s+an)\s*$", re.IGNORECASE)
"""Before the noun: "there is no answer"."""
BUT = re.compile(r"\b(?:but|rather|instead|sondern|mais|sino|mas|ma|maar|lecz)\b|(?<!\w)а(?!\w)|而是", re.IGNORECASE)
SUFFIX = re.compile(r"(?<=\d)['’][a-z]{2,}$")
"""Of a Turkish number: ``8'dir``."""
COLON = re.compile(r"[^\W\d_]{3,}\s*:")
UNREADABLE = re.compile(r"\$+\s*(?!\d)|\\[(\[]")
CHOICE = re.compile(
    r"(?:for sure|definitely|clearly|option|choice)?\s*\(?([A-J])\)?\s*(?:[.):]?\s*$|[,.;]\s)", re.IGNORECASE
)
KIND = re.compile(r"(?:option|choice|number|value)\s+(?=\(?[A-J\d])")
MAX_PHRASES = 12
MAX_PHRASE_CHARS = 500
MAX_WORDS_OF_TEXT = 4
MAX_SHORT_CHARS = 80


def find_phrase(text: str) -> str | None:
    """What follows the last "the answer is" (or "Answer:") in its sentence, or stands before "is the answer".

    "" where nothing can be read there, or where the text says that there is no answer.
    """
    matches = [match for pattern in (PHRASE, ANSWER_BEHIND) for match in pattern.finditer(text)]
    matches.sort(key=lambda match: match.start())
    for match in matches[: -MAX_PHRASES - 1 : -1]:
        if wording.RETRACTION.search(text, match.end()):
            return None
        answer = _at(text, match)
        if answer is not None:
            return answer
    return None


def _at(text: str, match: re.Match[str]) -> str | None:
    if match.re is ANSWER_BEHIND:
        before = sentences(text[max(0, match.start() - MAX_PHRASE_CHARS) : match.start()])
        picked = pick(before[-1].text) if before else None
        return picked.text if picked else None
    if DENIED.search(text, max(0, match.start() - 20), match.start()):
        return ""
    return _behind(text[match.end() : match.end() + MAX_PHRASE_CHARS], is_colon=bool(match["colon"]))


def _behind(rest: str, *, is_colon: bool) -> str | None:
    """The answer at the start of ``rest``, whose first sentence goes on from the phrase."""
    rest = rest.replace("`", "").lstrip(' \t\n:："“')
    rest = rest if BOLD.match(rest) else rest.lstrip('*_ \t\n:："“')
    said = sentences(f"= {rest}")  # so that "5." is no item of a list
    if not said or said[0].is_question:
        return None
    sentence = KIND.sub("", said[0].text.removeprefix("=").lstrip(), count=1)
    if UNREADABLE.match(sentence) and not formulas(sentence):
        return ""
    if negation := wording.NOT.match(sentence):
        but = BUT.search(sentence, negation.end())
        return (_behind(sentence[but.end() :], is_colon=is_colon) or "") if but else ""
    found = candidates(sentence)
    if not found and wording.NO_VALUE.match(sentence):
        return None
    if found and is_nothing_between(sentence[: found[0].start]):
        return _from_start(sentence[found[0].start :], found[0].kind)
    return _in_words(sentence, is_colon=is_colon)


def _from_start(sentence: str, kind: str) -> str:
    """The answer of a sentence that begins with it."""
    if kind not in {"formula", "bold"} and _is_short(sentence):
        return plain_number(SUFFIX.sub("", sentence.strip("*_ ").rstrip(".,;")))
    choice = CHOICE.match(sentence)
    if choice:
        return choice[1].upper()
    picked = pick(f"= {sentence}")
    return picked.text if picked else ""


def _in_words(sentence: str, *, is_colon: bool) -> str | None:
    """The answer of a sentence that begins with words: another "is", or behind a colon its only value."""
    if _is_short(sentence):
        return plain_number(sentence.strip("*_ ").rstrip(".,;"))
    choice = CHOICE.match(sentence)
    if choice:
        return choice[1].upper()
    picked = pick(sentence)
    if picked is not None:
        # "Half of 5" is not 5.
        return picked.text if is_colon or says(sentence) else ""
    words = sentence.strip('*_ ."”')
    return words if words and len(words.split()) <= MAX_WORDS_OF_TEXT else None


def _is_short(sentence: str) -> bool:
    is_plain = sentence.isascii() and len(sentence) <= MAX_SHORT_CHARS
    return is_plain and not PROSE.search(sentence) and not COLON.search(sentence)
