r"""Units and words that a number may carry: ``10\text{ cm}^2``, ``64 square feet``, ``12^{\mathrm{th}} grade``."""

import re
from functools import lru_cache

CANONICAL_UNITS = {
    "mm": "mm millimeter millimetre",
    "cm": "cm centimeter centimetre",
    "m": "meter metre",
    "km": "km kilometer kilometre",
    "in": "inch inches",
    "ft": "ft foot feet",
    "yd": "yd yard",
    "mi": "mile",
    "mph": "mph",
    "g": "gram",
    "kg": "kg kilogram",
    "lb": "lb lbs pound",
    "oz": "oz ounce",
    "l": "liter litre",
    "ml": "ml milliliter",
    "gal": "gallon",
    "s": "sec second",
    "min": "min minute",
    "h": "hr hrs hour",
    "d": "day",
    "week": "week",
    "month": "month",
    "year": "year",
    "usd": "dollar usd",
    "cent": "cent",
    "deg": "deg degree",
    "rad": "radian",
    "unit": "unit",
}
WORD_OF = {
    word + ending: name for name, words in CANONICAL_UNITS.items() for word in words.split() for ending in ("", "s")
}
FILLERS = frozenset(
    "square cubic sq cu per of the a an people students ways way points point pieces apples books coins marbles tickets"
    " miles/hour feet/second miles/gallon square-units hours/day am pm p.m a.m older more less total each games cards numbers"
    " integers integer solutions times inhabitants grade graders th".split()
)
TEXT_PIECE = re.compile(
    r"(?:\\text\{([^{}]*)\}|(?<![\^_}a-zA-Z])\{([a-zA-Z]{2,}[a-zA-Z ]*)\})(?:\s*\^\s*\{?\s*[23]\s*\}?)?"
)
ORDINAL = re.compile(r"\^\s*\{?\s*(?:\\text\{)?\s*(?:st|nd|rd|th)\s*\}?\s*\}?(?![a-zA-Z])|(?<=\d)(?:st|nd|rd|th)\b")
# Possessive where one letter could belong to two words: else the time doubles with every letter.
TRAILING_WORDS = re.compile(r"^(.*?[\d)}%])\s*((?:[a-zA-Z./-]{2,}+\s*+)++)(?:\^\s*\{?\s*[23]\s*\}?)?$", re.DOTALL)
OTHER_SCRIPTS = re.compile(r"^([-+]?\d[\d,.]*)\s*[^\x00-\x7f]+$")
CONNECTIVES = frozenset("and or if when for to where with".split())
NEGATIONS = frozenset(
    "not no never isn't isnt cannot wrong incorrect false except but than almost nearly about".split()
)
"""Words that change what a number says; with one of them nothing is taken off."""
LETTERS = frozenset("mgshl")
"""Units of one letter, which are variables outside of a text."""


@lru_cache(maxsize=16384)
def without_units(text: str) -> tuple[str, str | None]:
    """A normalized scalar without its units, and the name of the unit where it is one of those with a name."""
    if text.isdigit():
        return text, None
    unit: str | None = None
    text = ORDINAL.sub("", text)
    pieces = ["".join(groups) for groups in TEXT_PIECE.findall(text)]
    if any((CONNECTIVES | NEGATIONS).intersection(piece.lower().split()) for piece in pieces):
        return text.strip(), None
    unit = None
    rest = TEXT_PIECE.sub("", text).strip() if pieces else ""
    if any(char.isdigit() for char in rest):
        text, unit = rest, _unit_of(" ".join(pieces))
    return _without_trailing_words(text, unit)


def _without_trailing_words(text: str, unit: str | None) -> tuple[str, str | None]:
    other = OTHER_SCRIPTS.match(text)
    if other:
        return other[1], unit
    match = TRAILING_WORDS.match(text)
    if match and all(word.rstrip(".") in WORD_OF or word.rstrip(".") in FILLERS for word in match[2].lower().split()):
        return match[1].strip(), unit or _unit_of(match[2])
    return text.strip(), unit


def _unit_of(words: str) -> str | None:
    """The one unit among the words."""
    words = words.strip().lower()
    names = [WORD_OF[word] for word in words.replace(".", "").split() if word in WORD_OF]
    return names[0] if len(names) == 1 else words if words in LETTERS else None
