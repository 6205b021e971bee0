r"""What an author adds to an answer: the letter of a choice, a condition, an approximation.

``\text{(C)} 14`` is C and is 14; ``x^2 \text{ for all } x`` is ``x^2``; ``\frac{1}{3} \text{ (about 0.333)}`` is a third
that is about 0.333. An addition that both sides make is part of the answer.
"""

import re

from verl_ext.grading.answers.brackets import brackets, is_balanced, outside
from verl_ext.grading.answers.unit_table import MAGNITUDES

LABELED = re.compile(
    r"(?:\\text\{\s*)?(?:\(\s*(?P<enclosed>[A-J])\s*\)|(?P<marked>[A-J])\s*[).:])\s*+\}?+\s*+(?P<content>(?!\\(?:cup|cap|le|ge|ne|in|approx|pm|mp|setminus|to)(?![a-zA-Z]))[^\s,;:+*/^=<>|_].*)",
    re.DOTALL,
)
LETTER_ALONE = re.compile(r"(?:\\text\{\s*)?\(?\s*(?P<letter>[A-Ja-dfghj])\s*[).:]?\s*\}?")
LABEL_INSIDE = re.compile(r"\([A-Ja-j]\)|(?<![a-zA-Z\\])[A-J]\s*[).:]")
INTRODUCTION = re.compile(
    r"(?:\\text\{\s*+)?(?:(?:the\s++)?(?:final\s++|correct\s++)?(?:answer|option\b|choice\b)(?:\s++is)?"
    r"|\u7b54\u6848[\u662f\u4e3a]?)\s*+[:=]?\s*+\}?\s*+[:=]?\s*+(?=\S)",
    re.IGNORECASE,
)
CONDITION = re.compile(
    r"\\text\{\s*+\(?\s*+(?:for\s++(?:all|any|every|each)|where)\b|(?<![a-zA-Z\\{])for\s++(?:all|any|every|each)\b"
)
"""Where a condition starts that says for which values an answer holds."""
DOMAIN = re.compile(
    r"(?:(?P<mark>[,;(])|\\text\{\s*\(?(?:for|if|when|with)\s*\})\s*+"
    r"(?P<name>[a-zA-Z])\s*+(?P<operator>\\ne|\\ge|\\le|<|>)\s*+-?[^,;()=<>]+\)?$"
)
"""An exception behind an answer, or a bound; "if x > 0" may be one piece of several."""
MEMBERSHIP = re.compile(
    r"[,;]\s*+(?:\\text\{(?:with|where|for)\}\s*+)?(?P<name>[a-zA-Z])\s*+\\in\s*+\{?[ZNQR]\}?(?:[\^_](?:\{[^{}]*\}|[+*0-9]))*$"
)
NO_CONTENT = re.compile(rf"(?:more|less|fewer|(?:\\text\{{\s*)?(?:{'|'.join(MAGNITUDES)})\s*\}}?)")
"""What follows a letter and is no text of a choice: it would be more or a multiple of something."""
COMMA_OR_INEQUALITY = re.compile(r"[,;<>]|\\(?:le|ge|ne|in)(?![a-zA-Z])")
NAME_LETTERS = re.compile(r"(?<![a-zA-Z\\])[a-zA-Z](?![a-zA-Z])|(?<=[a-zA-Z])[xyznt](?![a-zA-Z])")
COMMAND = re.compile(r"\\[a-zA-Z]+")
CONSTANT = re.compile(r"\+\s*(?P<name>[cCkK]|\\text\{const(?:ant)?\.?\})$")
APPROXIMATION = re.compile(
    r"(?<![\\a-zA-Z])(?:approximately|approx|about|roughly)\.?\s*+\}?\s*+(?P<number>\d[\d.,]*+%?)\s*+\)?$"
)


def choice_letters(reference: str, answer: str) -> tuple[str, str] | None:
    """The letters of two choices of which one or both are only a letter, in capitals; None if they are not that."""
    alone = LETTER_ALONE.fullmatch(reference), LETTER_ALONE.fullmatch(answer)
    if alone[0] is None and alone[1] is None:
        return None
    letters = [_letter(text, match) for text, match in zip((reference, answer), alone, strict=True)]
    return (letters[0], letters[1]) if letters[0] and letters[1] else None


def _letter(text: str, alone: re.Match[str] | None) -> str | None:
    if alone:
        return alone["letter"].upper()
    match = _labeled(text)
    return (match["enclosed"] or match["marked"]) if match else None


def _labeled(text: str) -> re.Match[str] | None:
    """The letter of one choice and its content."""
    match = LABELED.fullmatch(text)
    if match is None or LABEL_INSIDE.search(match["content"]) or NO_CONTENT.fullmatch(match["content"]):
        return None
    return match


def without_label(text: str) -> str:
    """The content of a choice."""
    return match["content"] if (match := _labeled(text)) else text


def without_introduction(text: str) -> str:
    """Without "the final answer is" before the answer."""
    return text.removeprefix(match[0]) if (match := INTRODUCTION.match(text)) else text


def without_condition(text: str) -> str:
    """Without the words that say for which values of a name the answer holds."""
    match = CONDITION.search(text)
    shorter = text[: match.start()].rstrip(" ,;(") if match else text
    match = MEMBERSHIP.search(shorter)
    if match and match["name"] in shorter[: match.start()]:
        shorter = shorter[: match.start()]
    match = DOMAIN.search(shorter)
    if (
        match
        and (match["mark"] or match["operator"] == r"\ne")
        and _is_formula_in(match["name"], shorter[: match.start()])
    ):
        shorter = shorter[: match.start()]
    return shorter.strip()


def _is_formula_in(name: str, text: str) -> bool:
    """Whether a text is one formula in the name, or an equation that gives something else in terms of it."""
    if not is_balanced(brackets(text)) or any(outside(text, COMMA_OR_INEQUALITY)):
        return False
    left, equals, right = text.rpartition("=")
    return name in NAME_LETTERS.findall(right) and (not equals or left.strip() != name)


def with_one_constant(reference: str, answer: str) -> str:
    """The answer with the reference's letter for a constant of integration: ``x^2+c`` for ``x^2+C``."""
    if not reference.endswith("C"):
        return answer
    ends = CONSTANT.search(reference), CONSTANT.search(answer)
    if not ends[0] or not ends[1] or ends[1]["name"] in COMMAND.sub("", answer[: ends[1].start()]):
        return answer
    return answer[: ends[1].start()] + ends[0][0]


def with_approximation(text: str) -> str:
    r"""``1/3 (about 0.333)`` as ``1/3 \approx 0.333``."""
    match = APPROXIMATION.search(text)
    if match is None:
        return text
    exact = text[: match.start()].rstrip(" (").removesuffix(r"\text{").rstrip(" (")
    exact = exact.removesuffix("or").removesuffix(r"\text{").rstrip(" ,(")
    return rf"{exact} \approx {match['number']}" if any(map(str.isdigit, exact)) else text
