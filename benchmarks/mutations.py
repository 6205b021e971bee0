r"""Answers made of a reference by a kind of change: near misses, which are wrong, and rewrites, which are right.

A near miss is wrong by construction, or ``oracle`` has proven that its value differs. A rewrite is right by construction, and
the oracle has nothing against it. What a kind does not apply to, it makes None of.
"""

import random
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import oracle

MAX_ATTEMPTS = 6
"""Draws of a near miss, until one is proven to differ."""

Make = Callable[[random.Random, str], str | None]


@dataclass(frozen=True)
class Kind:
    """A row of the tables below."""

    name: str
    is_equal: bool
    """Whether the mutant is still a right answer."""
    make: Make
    is_proven: bool = False
    """A near miss that differs by construction, without the oracle's word."""
    is_composable: bool = True
    """Whether a rewrite keeps all of an answer and its form, so that it may be one of two changes."""

    def mutant(self, generator: random.Random, reference: str) -> str | None:
        """The reference changed; None if the kind does not apply to it, or nothing proves what it is."""
        for _ in range(MAX_ATTEMPTS):
            mutant = self.make(generator, reference)
            if mutant not in {None, reference} and self.is_labeled(oracle.same(reference, mutant)):
                return mutant
        return None

    def is_labeled(self, is_same: bool | None) -> bool:
        """Whether that verdict of the oracle leaves no doubt of what a mutant is."""
        if self.is_equal:
            return is_same is not False
        return is_same is False or (self.is_proven and is_same is None)


def near_miss(name: str, make: Make, *, is_proven: bool = False) -> Kind:
    return Kind(name, False, make, is_proven)


def rewrite(name: str, make: Make, *, is_composable: bool = True) -> Kind:
    return Kind(name, True, make, is_composable=is_composable)


def mutants(kinds: Sequence[Kind], references: Sequence[str], seed: int) -> Iterator[tuple[Kind, str, str]]:
    """Each reference with what each kind makes of it: kind, reference and mutant."""
    for reference in references:
        for kind in kinds:
            mutant = kind.mutant(random.Random(f"{seed} {kind.name} {reference}"), reference)
            if mutant is not None:
                yield kind, reference, mutant


def respelled(
    made: Iterable[tuple[Kind, str, str]], rewrites: Sequence[Kind], seed: int
) -> Iterator[tuple[Kind, str, str]]:
    """Mutants after one more rewrite; those to which none of a few applies are left out."""
    for kind, reference, mutant in made:
        generator = random.Random(f"{seed} {kind.name} {mutant}")
        for again in generator.sample(rewrites, MAX_ATTEMPTS * 2) if kind.is_composable else ():
            spelling = again.mutant(generator, mutant)
            if spelling is not None and again.is_composable and kind.is_labeled(oracle.same(reference, spelling)):
                yield kind, reference, spelling
                break


def pairs(references: Sequence[str], number: int, seed: int) -> list[tuple[str, str]]:
    """Pairs of different references: half of them at random, half of one shape, which differ in their digits alone."""
    generator = random.Random(seed)
    shapes: dict[str, list[str]] = {}
    for reference in references:
        shapes.setdefault(re.sub(r"\s|\d", "", reference), []).append(reference)
    alike = [shape for shape in shapes.values() if len(shape) > 1]
    chosen: set[tuple[str, str]] = set()
    for index in range(4 * number):  # some are drawn more than once
        left, right = generator.sample(generator.choice(alike) if index % 2 and alike else references, 2)
        chosen.add((left, right))
        if len(chosen) == number:
            break
    return sorted(chosen)


# Parts of a reference

INTEGER = re.compile(r"-?\d+")
DECIMAL = re.compile(r"(?P<sign>-?)(?P<whole>\d*)\.(?P<decimals>\d+)")
FRACTION = re.compile(r"(?P<sign>-?)\s*\\[dt]?frac\s*\{(?P<top>-?\d+)\}\s*\{(?P<bottom>\d+)\}")
NUMBER = re.compile(r"(?<![\d.,])\d+(?:\.\d+)?(?![\d.,])")
COMMAND_OR_NUMBER = r"\\[a-zA-Z]+|\d+(?:\.\d+)?|."
QUANTITY = re.compile(
    r"(?P<number>[^a-zA-Z]*?(?:\\(?:frac|sqrt)[^a-zA-Z]*?)*)\s*(?:\\[,; ]|\\!)*\s*"
    r"\\(?:text|mbox|mathrm|textnormal)\{\s*~?(?P<unit>[a-zA-Z. ]+?)\.?\s*\}(?P<power>\^\{?[23]\}?)?"
)
LETTERS = re.compile(r"\\text(?:bf)?\{\(?(?P<letter>[A-F])\)?\}|\(\\text\{(?P<inside>[A-F])\}\)")
WORDS = re.compile(r"\\text\{(?P<words>[A-Za-z][A-Za-z -]{2,})\}")
BASE = re.compile(r"(?P<digits>[0-9A-C]+)_\{?(?P<base>\d+)\}?")
PERCENT = re.compile(r"(?P<number>-?\d+(?:\.\d+)?)\s*\\%")
DOLLARS = re.compile(r"\\\$\s*(?P<number>\d+(?:\.\d+)?)")
MATRIX = re.compile(r"\\begin\{pmatrix\}(?P<cells>.*)\\end\{pmatrix\}", re.DOTALL)
EQUATION = re.compile(r"(?P<name>[a-z])\s*=\s*(?P<value>[^=]*)")

OTHER_BRACKET = {"(": "[", "[": "(", ")": "]", "]": ")"}
AT_MOST = {"(": "<", ")": "<", "[": r"\le", "]": r"\le"}
AT_LEAST = {"(": ">", ")": ">", "[": r"\ge", "]": r"\ge"}
"""The sign that a bracket of an interval is in an inequality."""


def kind_of(text: str) -> str:
    """What the oracle reads in a reference: a value, a list, a tuple, ..; nothing if it reads none."""
    try:
        return oracle.read(text)[0]
    except oracle.UNREAD:
        return ""


def is_value(text: str) -> bool:
    """Whether it is one formula, without its name, a list or words."""
    return kind_of(text) == "value"


def is_plain(text: str) -> bool:
    """A formula that stays one in brackets, between signs and before a power."""
    return is_value(text) and not re.search(r"\\degree|\\circ|\$|[A-Z]{2}|\.$", text)


def items_of(text: str) -> tuple[str, list[str], str] | None:
    """Opening bracket, items and closing bracket of a tuple, an interval or a list of several."""
    plain = re.sub(r"\\(?:left|right)(?![a-zA-Z])|\\,", "", text).strip()
    for opening, closing in (("(", ")"), ("[", "]"), ("(", "]"), ("[", ")"), (r"\{", r"\}")):
        if (
            plain.startswith(opening)
            and plain.endswith(closing)
            and oracle.is_one_bracket(plain.replace("\\{", "{").replace("\\}", "}"))
        ):
            items = oracle.split(plain[len(opening) : len(plain) - len(closing)], ",")
            return (opening, items, closing) if len(items) > 1 else None
    items = oracle.split(plain, ",")
    is_number = re.fullmatch(r"[^a-zA-Z]*\d{1,3}(?:,\s*(?:\\!\s*)?\d{3})+.*", plain)
    return ("", items, "") if len(items) > 1 and not is_number else None


def terms_of(text: str) -> list[str]:
    """The terms of a sum with their signs, outside all brackets; an empty list if it is none."""
    terms, depth, previous = [""], 0, ""
    for token in re.findall(COMMAND_OR_NUMBER, text, re.DOTALL):
        depth += oracle.BRACKETS.get(token, 0)
        if token in "+-" and not depth and terms[-1].strip() and previous not in "^_*/(":
            terms.append("")
        terms[-1] += token
        previous = token if token.strip() else previous
    return [term.strip() for term in terms] if len(terms) > 1 else []


def replace_one(
    generator: random.Random, pattern: str, text: str, change: Callable[[re.Match[str]], str]
) -> str | None:
    """The text with one match of the pattern changed; None without a match."""
    matches = list(re.finditer(pattern, text))
    if not matches:
        return None
    match = generator.choice(matches)
    return text[: match.start()] + change(match) + text[match.end() :]


def is_untouchable(text: str) -> bool:
    """Whether its digits are part of words or of the layout."""
    return any(mark in text for mark in (r"\text", r"\mbox", r"\begin{array}"))


def real_value(text: str) -> float | None:
    """Of a constant."""
    try:
        return oracle.real(text)
    except oracle.UNREAD:
        return None


def replaced(pattern: str, replacement: str, text: str) -> str | None:
    """The text with every match replaced; None without a match."""
    return re.sub(pattern, replacement, text) if re.search(pattern, text) else None


def balanced(text: str) -> bool:
    return sum(oracle.BRACKETS.get(char, 0) for char in text) == 0
