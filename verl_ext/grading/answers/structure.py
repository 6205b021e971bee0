r"""What kind of thing an answer is: a text, a number in a base, a tuple, an interval, a set, a matrix, a relation.

Read off a normalised string by counting brackets; no LaTeX is parsed. What is inside the brackets is again such a
thing, down to scalars, which stay strings.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from verl_ext.grading.answers.brackets import brackets, is_balanced, is_outer_pair, outside

MAX_ITEMS = 64
RELATION_TOKEN = re.compile(r"\\(?:le|ge|ne|in|approx)(?![a-zA-Z])|[=<>]")
LIST_TOKEN = re.compile(
    r"(?:\\text)?\{\s*,?\s*(?:and|or)\s*,?\s*\}|(?<![a-zA-Z\\])(?:and|or)(?![a-zA-Z])|[,;]|(?<=[)\]])\s*or\s*(?=[(\[])|(?<=[\d)\]])(?:or|and)(?=[a-zA-Z]+\()"
)
UNION_TOKEN = re.compile(r"\\cup(?![a-zA-Z])|(?<=[)\]])\s*U\s*(?=[(\[])")
PLUS_MINUS = re.compile(r"\\(pm|mp)(?![a-zA-Z])")
BASE_NUMBER = re.compile(
    r"[({]?([0-9A-Za-z]+(?:\.[0-9A-Za-z]+)?)[)}]?\s*_\s*\{?\s*(?:\\text\{)?\s*(\d+|two|three|four|five|six|seven|eight|nine|ten|sixteen)\s*\}?\s*\}?"
)
MATRIX = re.compile(r"[([]?\s*\\begin\{matrix\}(.*)\\end\{matrix\}\s*[)\]]?", re.DOTALL)
SUBSCRIPT = re.compile(r"_\s*(?:\{[^{}]*\}|[0-9a-zA-Z]|\\[a-zA-Z]+)")
NAME = re.compile(
    r"(?:[a-zA-Z]|\\(?!frac|sqrt|binom|sum|prod|int|sin|cos|tan|log|ln|exp|pi(?![a-zA-Z]))[a-zA-Z]++|[|'():,\s{}\]\[])+"
)
WORD = re.compile(r"[a-zA-Z][a-zA-Z\s'.-]*")
MIN_WORD_LETTERS = 4
MATH_WORD = re.compile(r"(?:arc|a)?(?:sin|cos|tan|cot|sec|csc)h?|log|ln|exp|sqrt|pi|min|max|gcd|lcm|det|mod")
BOUND = re.compile(r"\\(?:lim|sum|prod|int)(?![a-zA-Z])")
COMMAND_OR_CONSTANT = re.compile(r"\\[a-zA-Z]+|(?<![a-zA-Z])[ei](?![a-zA-Z])")
LETTER = re.compile(r"[a-zA-Z]")
NUMBER_WORDS = {
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
    "ten": 10,
    "sixteen": 16,
}


@dataclass(frozen=True)
class Scalar:
    text: str


@dataclass(frozen=True)
class Text:
    """Words, in lower case and without punctuation."""

    words: str


@dataclass(frozen=True)
class BaseNumber:
    digits: str
    base: int


@dataclass(frozen=True)
class Group:
    """A tuple, a point, a vector or an interval: ordered, with the brackets that make an interval open or closed."""

    opening: str
    closing: str
    items: tuple["Node", ...]


@dataclass(frozen=True)
class Collection:
    """A set or a list of several answers: order does not matter."""

    items: tuple["Node", ...]


@dataclass(frozen=True)
class Matrix:
    rows: tuple[tuple["Node", ...], ...]


@dataclass(frozen=True)
class Ratio:
    parts: tuple["Node", ...]


@dataclass(frozen=True)
class Relation:
    """``parts[0] operators[0] parts[1] operators[1] ...``, each part a normalised string."""

    operators: tuple[str, ...]
    parts: tuple[str, ...]
    text: str


Node = Scalar | Text | BaseNumber | Group | Collection | Matrix | Ratio | Relation


@lru_cache(maxsize=16384)
def read_structure(text: str) -> Node:
    """Read a normalised answer. A bracket that is not closed makes the whole a scalar."""
    text = text.strip()
    word = _as_text(text)
    if word is not None:
        return word
    if not is_balanced(brackets(text)):
        return Scalar(text)
    items = _split(text, LIST_TOKEN)
    if 2 <= len(items) <= MAX_ITEMS and not _is_thousands(text):
        return Collection(tuple(read_structure(item) for item in items if item))
    parts = _split(text, RELATION_TOKEN)
    if len(parts) >= 2:
        return Relation(tuple(match[0] for match in outside(text, RELATION_TOKEN)), tuple(parts), text)
    parts = _split(text, UNION_TOKEN)
    if 2 <= len(parts) <= MAX_ITEMS:
        return Collection(tuple(read_structure(part) for part in parts))
    return _read_bracketed(text) or _read_scalar(text)


def _read_bracketed(text: str) -> Node | None:
    matrix = MATRIX.fullmatch(text)
    if matrix and r"\begin" not in matrix[1]:
        rows = [row for row in matrix[1].split(r"\\") if row.strip()]
        return Matrix(tuple(tuple(read_structure(cell.strip()) for cell in row.split("&")) for row in rows))
    if text in {r"\emptyset", r"\{\}", r"\{ \}"}:
        return Collection(())
    if text.startswith(r"\{") and text.endswith(r"\}"):
        return _collection(text[2:-2])
    if len(text) < 2 or text[0] not in "([{" or text[-1] not in ")]}" or not is_outer_pair(text):
        return None
    inner = text[1:-1]
    if text[0] == "{":
        return _collection(inner)
    items = _split(inner, re.compile(r"[,;]"))
    if len(items) == 1:
        node = read_structure(inner)
        # Parentheses around one thing group; brackets around one number are a list of one.
        return node if text[0] == "(" and text[-1] == ")" and not isinstance(node, Scalar) else None
    return Group(text[0], text[-1], tuple(read_structure(item) for item in items[:MAX_ITEMS]))


def _collection(inner: str) -> Collection:
    items = [item for item in _split(inner, LIST_TOKEN) if item]
    return Collection(tuple(read_structure(item) for item in items[:MAX_ITEMS]))


def _read_scalar(text: str) -> Node:
    base = BASE_NUMBER.fullmatch(text)
    if base and any(char.isdigit() for char in base[1]):
        return BaseNumber(base[1].upper(), NUMBER_WORDS.get(base[2]) or int(base[2]))
    if len(PLUS_MINUS.findall(text)) == 1 and any(outside(text, PLUS_MINUS)):
        plus, minus = PLUS_MINUS.sub("+", text).strip(), PLUS_MINUS.sub("-", text).strip()
        return Collection((Scalar(plus.removeprefix("+").strip()), Scalar(minus)))
    parts = _split(text, re.compile(":"))
    if len(parts) >= 2 and all(parts):
        return Ratio(tuple(Scalar(part) for part in parts))
    return Scalar(text)


def _as_text(text: str) -> Text | None:
    words = re.sub(r"\\text\{([^{}]*)\}", r" \1 ", text)
    was_text = r"\text{" in text
    plain = words.strip().strip("().").strip()
    if not plain or not WORD.fullmatch(plain):
        return None
    lowered = " ".join(plain.lower().replace(".", " ").replace("-", " ").split())
    # "x-axis" are words, x-y is a difference and a.b a product.
    if not was_text and any(mark in plain for mark in "-.'") and max(map(len, lowered.split())) < MIN_WORD_LETTERS:
        return None
    if any(MATH_WORD.fullmatch(word) for word in lowered.split()) or lowered in {"and", "or", "x and y"}:
        return None
    if any(word in {"and", "or"} for word in lowered.split()):
        return None
    if was_text or (len(lowered) >= 3 and not lowered.startswith("d")) or len(lowered) >= 4:
        return Text(lowered)
    return None


def _is_thousands(text: str) -> bool:
    return bool(re.fullmatch(r"[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?%?", text))


def _split(text: str, token: re.Pattern[str]) -> list[str]:
    """Split at the tokens that stand outside all brackets."""
    pieces, start = [], 0
    for match in outside(text, token):
        pieces.append(text[start : match.start()].strip())
        start = match.end()
    pieces.append(text[start:].strip())
    return [piece for piece in pieces if piece] if token is LIST_TOKEN else pieces


def is_name(text: str) -> bool:
    r"""Whether a side of an equation only names the other: ``x``, ``f(x)``, ``a_{37}``, ``(p,q)``, ``V_1:V_2``."""
    bare = SUBSCRIPT.sub("", text).strip()
    return bool(bare) and bool(NAME.fullmatch(bare)) and any(char.isalpha() for char in bare)


def interval_of(relation: Relation) -> Group | None:
    """The interval that an inequality in one name describes: ``2 < x <= 7`` is ``(2,7]``."""
    if any(operator not in {"<", ">", r"\le", r"\ge"} for operator in relation.operators):
        return None
    parts: Sequence[str] = relation.parts
    operators = list(relation.operators)
    if operators[0] in {">", r"\ge"}:
        parts = parts[::-1]
        operators = [{">": "<", r"\ge": r"\le"}.get(operator, operator) for operator in operators[::-1]]
    if any(operator not in {"<", r"\le"} for operator in operators):
        return None
    opening, closing = ("(" if operators[0] == "<" else "["), (")" if operators[-1] == "<" else "]")
    infinity = r"\infty"
    if len(parts) == 3 and is_name(parts[1]):
        return Group(opening, closing, (read_structure(parts[0]), read_structure(parts[2])))
    if len(parts) == 2 and is_name(parts[0]) and not is_name(parts[1]):
        return Group("(", closing, (Scalar("-" + infinity), read_structure(parts[1])))
    if len(parts) == 2 and is_name(parts[1]) and not is_name(parts[0]):
        return Group(opening, ")", (read_structure(parts[0]), Scalar(infinity)))
    return None


def value_of(relation: Relation) -> str | None:
    r"""What an equation says its name is: ``x = 5 + 5 = 10 \approx 9.9`` is 10, ``2 = x`` is 2, ``c \in A`` is A."""
    operators, parts = list(relation.operators), list(relation.parts)
    if len(operators) > 1 and operators[-1] == r"\approx":
        operators, parts = operators[:-1], parts[:-1]
    if operators == [r"\approx"]:
        return parts[1] if is_name(parts[0]) else parts[0]
    if operators == [r"\in"]:
        return parts[1] if is_name(parts[0]) else None
    if any(operator != "=" for operator in operators):
        return None
    if is_name(parts[0]):
        return parts[-1]
    if len(parts) == 2 and is_name(parts[1]):
        return parts[0]
    # An identity between numbers, such as 17 mod 5 = 2: what it ends on is the answer.
    is_closed = BOUND.search(parts[0]) or not any(LETTER.search(COMMAND_OR_CONSTANT.sub("", part)) for part in parts)
    return parts[-1] if is_closed else None


def name_of(relation: Relation) -> str | None:
    for part in (relation.parts[0], relation.parts[-1]):
        if is_name(part):
            return "".join(part.split())
    return None
