r"""Units and words that a number carries: ``10\text{ cm}^2``, ``64 square feet``, ``1.5\text{ million}``, ``5 apples``.

What stands beside a number is dropped only if it is known to carry no value. A unit has a size and dimensions, so that
60 minutes are an hour and 15 km/h are not 15 mph; a magnitude multiplies; a counted thing only names what was counted;
every other word is kept, and a number with such a word is another answer than the number alone.
"""

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from verl_ext.grading.answers.conventions import DEFAULTS, Conventions
from verl_ext.grading.answers.unit_table import COUNTED, FILLERS, MAGNITUDES, OTHER_SCRIPTS, SINGULARS, UNITS

Dimensions = tuple[tuple[str, int], ...]


class Unit(NamedTuple):
    """A product of powers of units."""

    scale: Fraction
    """Its size in base units."""
    dimensions: Dimensions
    """The powers of base units, by name; none of them zero."""


class Quantity(NamedTuple):
    """A number with what stands beside it."""

    number: str
    magnitude: Fraction
    unit: Unit | None
    counted: frozenset[str]
    """What was counted, in the singular."""
    words: tuple[str, ...]
    """The words that may carry a value, in their order."""

    def mark(self) -> frozenset[str] | str:
        """What kind of thing the number counts or measures, or nothing."""
        if self.unit is not None:
            return "unit"
        return "%" if self.number.endswith("%") else self.counted


class _Words(NamedTuple):
    """What a sequence of words says."""

    magnitude: Fraction = Fraction(1)
    unit: Unit | None = None
    counted: frozenset[str] = frozenset()
    unknown: tuple[str, ...] = ()


NO_WORDS = _Words()
NO_QUANTITY = Quantity("", Fraction(1), None, frozenset(), ())
POWER = r"(?:\s*\^\s*(?:\{\s*(?P<braced>-?\d)\s*\}|(?P<bare>-?\d)))?"
PIECE = re.compile(
    r"(?P<joint>[*/]\s*)?(?:(?<![_^])(?<![_^]\{)(?P<micro>\\mu\s*)?(?:\\text\{(?P<text>[^{}]*)\}"
    r"|(?<![\^_}\]a-zA-Z])\{\s*(?P<braces>[a-zA-Z]{2,}[a-zA-Z ./]*|[a-zA-Z]/[a-zA-Z]+)\}"
    r"|(?<=[\s*/])\{\s*(?P<letter>[a-zA-Z])\s*\})|(?P<ohm>\\Omega(?![a-zA-Z])))" + POWER
)
MEASURE = re.compile(
    r"(?P<number>\d{1,9}(?:\.\d{1,9})?)\s*(?:\\text\{\s*)?(?P<unit>[a-zA-Z]{2,12}|(?<=[\s{])[a-zA-Z])\.?(?:\s+and)?\s*\}?(?:\s*(?:,|and|\\text\{and\}))*\s*"
)
COMPOUND = re.compile(rf"(?:{MEASURE.pattern.replace('?P<number>', '').replace('?P<unit>', '')}){{2,4}}")
ORDINAL = re.compile(r"\^\s*\{?\s*(?:\\text\{)?\s*(?:st|nd|rd|th)\s*\}?\s*\}?(?![a-zA-Z])|(?<=\d)(?:st|nd|rd|th)\b")
# Possessive where one letter could belong to two words: else the time doubles with every letter.
TRAILING_WORDS = re.compile(r"^(?P<number>.*?[\d)}%])\s*(?P<words>(?:[a-zA-Z./-]{2,}+\s*+)++)" + POWER + "$", re.DOTALL)
LEADING_WORDS = re.compile(r"^(?P<words>(?:[a-zA-Z.']{2,}+\s++)++)(?P<number>[-+]?\s*[\d.].*)$", re.DOTALL)
FOREIGN_WORDS = re.compile(r"^(?P<number>[-+]?\d[\d,.]*)\s*(?P<words>[^\x00-\x7f]+[a-zA-Z]*)$")
TOKEN = re.compile(r"[a-zA-Z\u03bc\u03a9']+(?:\.[a-zA-Z]+)*|\^-?\d|[/*]|[^\x00-\x7f]+|\d+|[^\s\w]")
SHORTEST_WORD = 4
"""Letters of a word outside of a text that is no unit: fewer are a product."""
FUNCTIONS = re.compile(r"(?:arc|a)?(?:sin|cos|tan|cot|csc)h?|log|ln|exp|sqrt|max|gcd|lcm|det|mod|choose|re|im|arg|sgn")
POWER_BEFORE = {"square": 2, "sq": 2, "cubic": 3, "cu": 3}
POWER_AFTER = {"squared": 2, "cubed": 3}
PUNCTUATION = frozenset(".,;:!()-&")
KNOWN = FILLERS | PUNCTUATION | {"/", "*", "per"} | MAGNITUDES.keys() | POWER_BEFORE.keys() | POWER_AFTER.keys()
LEADING = frozenset("the is are answer final total exactly equals rs usd eur inr year".split())
"""Words before a number that say nothing about it. ``multiples of``, ``at most`` and ``negative`` do."""


@lru_cache(maxsize=16384)
def read_quantity(text: str) -> Quantity:
    """Read a normalized scalar. Without a digit there is no quantity, and what is no word stays in the number."""
    whole = Quantity(text.strip(), Fraction(1), None, frozenset(), ())
    if text.isdigit():
        return whole
    compound = read_compound(text)
    if compound is not None:
        return compound
    text = ORDINAL.sub("", text)
    pieces = [match for match in PIECE.finditer(text) if match["text"] is not None or _is_unit(match)]
    rest = _without(text, pieces)
    number_starts = next((index for index, char in enumerate(rest) if char.isdigit()), None)
    if number_starts is None:
        return whole
    leading = [token for match in pieces if match.start() < number_starts for token in _tokens_of_piece(match)]
    trailing = [token for match in pieces if match.start() > number_starts for token in _tokens_of_piece(match)]
    if any(FUNCTIONS.fullmatch(token.lower()) for token in (*leading, *trailing)):
        return whole
    if pieces:
        rest = " ".join(rest.replace("{}", " ").split())
    number, bare_leading, bare_trailing = _without_bare_words(rest.strip())
    read = _read_tokens(trailing + bare_trailing)
    words = [word for word in map(str.lower, leading + bare_leading) if word not in LEADING | PUNCTUATION]
    return Quantity(number, read.magnitude, read.unit, read.counted, (*words, *read.unknown))


def is_compound(text: str) -> bool:
    """Whether a normalized text is one quantity in several units, such as ``2 hours and 30 minutes``."""
    return read_compound(text) is not None


@lru_cache(maxsize=16384)
def read_compound(text: str) -> Quantity | None:
    """A quantity in several units, each smaller than the one before, in the first of them."""
    if not COMPOUND.fullmatch(text):
        return None
    parts = [(Fraction(match["number"]), unit_of(match["unit"])) for match in MEASURE.finditer(text)]
    units = [unit for _, unit in parts if unit is not None]
    if len(units) < len(parts) or len({unit.dimensions for unit in units}) > 1:
        return None
    if any(larger.scale <= smaller.scale for larger, smaller in pairwise(units)):
        return None
    base = sum((number * unit.scale for (number, _), unit in zip(parts, units, strict=True)), Fraction(0))
    return Quantity(str(base / units[0].scale), Fraction(1), units[0], frozenset(), ())


def _is_unit(match: re.Match[str]) -> bool:
    """Whether what stands in braces that are no text is a unit, and no argument or factor."""
    return all(token in "*/" or unit_of(token) or token.startswith("^") for token in _tokens_of_piece(match))


def _without(text: str, pieces: Sequence[re.Match[str]]) -> str:
    """The text with blanks for the pieces."""
    for match in pieces:
        text = text[: match.start()] + " " * len(match[0]) + text[match.end() :]
    return text


def _tokens_of_piece(match: re.Match[str]) -> list[str]:
    word = match["text"] or match["braces"] or match["letter"] or ("ohm" if match["ohm"] else "")
    tokens = [(match["joint"] or "").strip(), *TOKEN.findall(("\u03bc" if match["micro"] else "") + word)]
    power = match["braced"] or match["bare"]
    return [token for token in (*tokens, f"^{power}" if power else "") if token]


def _without_bare_words(text: str) -> tuple[str, list[str], list[str]]:
    """A number without the words around it that are in no text, which are only taken for words if none is a product."""
    foreign = FOREIGN_WORDS.match(text)
    if foreign:
        return foreign["number"], [], [foreign["words"]]
    leading: list[str] = []
    match = LEADING_WORDS.match(text)
    if match and all(word.lower() in LEADING or _may_be_word(word) for word in TOKEN.findall(match["words"])):
        text, leading = match["number"], TOKEN.findall(match["words"])
    match = TRAILING_WORDS.match(text)
    if match is None:
        return text.strip(), leading, []
    words = TOKEN.findall(match["words"])
    is_apart = text[len(match["number"]) :].startswith(" ")
    if not all(_is_known(word) or (is_apart and _may_be_word(word)) for word in words):
        return text.strip(), leading, []
    power = match["braced"] or match["bare"]
    return match["number"].strip(), leading, [*words, *([f"^{power}"] if power else [])]


def _is_known(token: str) -> bool:
    word = token.lower()
    return word in KNOWN or _singular(word) in COUNTED or unit_of(token) is not None


def _may_be_word(token: str) -> bool:
    return len(token) >= SHORTEST_WORD and not FUNCTIONS.fullmatch(token.lower())


def _read_tokens(tokens: list[str]) -> _Words:
    if not tokens:
        return NO_WORDS
    magnitude, counted, unknown = Fraction(1), set(), []
    scale, powers = Fraction(1), dict[str, int]()
    power, sign, has_unit = 1, 1, False
    stream = _Peekable(_in_english(tokens))
    for token in stream:
        word = token.lower()
        if word in {"/", "per"}:
            sign = -1
        elif word in POWER_BEFORE:
            power = POWER_BEFORE[word]
        elif word in MAGNITUDES:
            magnitude *= MAGNITUDES[word]
        elif (unit := unit_of(token)) is not None and not (word == "in" and stream.has_word()):
            exponent = sign * stream.power(power)
            scale *= unit.scale**exponent
            for name, count in unit.dimensions:
                powers[name] = powers.get(name, 0) + count * exponent
            power, sign, has_unit = 1, 1, True
        elif _singular(word) in COUNTED:
            counted.add(_singular(word))
            sign = 1
        elif word not in FILLERS and word not in PUNCTUATION and word != "*":
            unknown.append(word)
    dimensions = tuple(sorted((name, count) for name, count in powers.items() if count))
    return _Words(magnitude, Unit(scale, dimensions) if has_unit else None, frozenset(counted), tuple(unknown))


class _Peekable:
    """Tokens, with a look at the next one."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens[::-1]

    def __iter__(self) -> Iterator[str]:
        while self._tokens:
            yield self._tokens.pop()

    def power(self, default: int) -> int:
        """The power that follows a unit, which is then taken."""
        following = self._tokens[-1] if self._tokens else ""
        if following.lower() in POWER_AFTER:
            return POWER_AFTER[self._tokens.pop().lower()]
        return int(self._tokens.pop()[1:]) if following.startswith("^") and len(following) > 1 else default

    def has_word(self) -> bool:
        return bool(self._tokens) and self._tokens[-1][0].isalpha()


def _in_english(tokens: list[str]) -> list[str]:
    """With units, magnitudes and counted things of other scripts by their English names, longest first."""
    english: list[str] = []
    for token in tokens:
        while token and not token.isascii() and unit_of(token) is None:
            prefix = next((token[:size] for size in range(len(token), 0, -1) if token[:size] in OTHER_SCRIPTS), None)
            if prefix is None:
                break
            english += OTHER_SCRIPTS[prefix].split()
            token = token[len(prefix) :]
        english += [token] if token else []
    return english


def unit_of(word: str) -> Unit | None:
    """The unit of that name or symbol; only a symbol of one letter has to keep its case."""
    plain = word.rstrip(".")
    row = UNITS.get(plain) or (UNITS.get(plain.lower()) if len(plain) > 1 else None)
    return Unit(*row) if row else None


def _singular(word: str) -> str:
    if word in SINGULARS:
        return SINGULARS[word]
    for ending, replacement in (("ies", "y"), ("ses", "s"), ("xes", "x"), ("ches", "ch"), ("shes", "sh"), ("s", "")):
        if word.endswith(ending) and len(word) > len(ending) + 1:
            singular = word[: -len(ending)] + replacement
            if singular in COUNTED:
                return singular
    return word


def common_factors(
    reference: Quantity, answer: Quantity, conventions: Conventions = DEFAULTS
) -> tuple[Fraction, Fraction] | None:
    """What to multiply both numbers with so that they can be compared; None if the quantities are of two kinds.

    By default a unit that only one side carries is the one that the question has asked for, and so is what only one
    side says was counted. Two sides that both say it have to say the same.
    """
    if reference.words != answer.words or lacks_something(reference, answer, conventions):
        return None
    marks = reference.mark(), answer.mark()
    if all(marks) and marks[0] != marks[1] and not reference.counted & answer.counted:
        return None
    factors = reference.magnitude, answer.magnitude
    if reference.unit is None or answer.unit is None:
        return factors
    if reference.unit.dimensions != answer.unit.dimensions:
        return None
    return factors[0] * reference.unit.scale, factors[1] * answer.unit.scale


def lacks_something(reference: Quantity, answer: Quantity, conventions: Conventions) -> bool:
    """Whether the answer leaves out what ``conventions`` require it to carry as the reference does."""
    lacks_unit = reference.unit is not None and answer.unit is None
    lacks_counted = bool(reference.counted) and not answer.counted
    return (lacks_unit and conventions.units == "required") or (lacks_counted and conventions.counted == "required")
