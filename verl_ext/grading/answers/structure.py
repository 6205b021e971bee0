r"""What kind of thing an answer is: a text, a number in a base, a tuple, an interval, a set, a matrix, a relation.

Read off a normalized string by counting brackets; no LaTeX is parsed. What is inside the brackets is again such a
thing, down to scalars, which stay strings.
"""

import re
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise, product

from verl_ext.grading.answers.brackets import brackets, is_balanced, is_outer_pair, last_pair, outside, split
from verl_ext.grading.answers.nodes import (
    OTHERWISE,
    BaseNumber,
    Cases,
    Clock,
    Collection,
    Group,
    Matrix,
    Node,
    Ratio,
    Relation,
    Scalar,
    Text,
)
from verl_ext.grading.answers.number_words import number_in_chinese, number_of_words
from verl_ext.grading.answers.numbers import read_exact
from verl_ext.grading.answers.spelling import WORDS
from verl_ext.grading.answers.units import is_compound

MAX_ITEMS = 64
RELATION_TOKEN = re.compile(r"\\(?:le|ge|ne|in|approx)(?![a-zA-Z])|[=<>]")
LIST_TOKEN = re.compile(
    r"(?:\\text)?\{\s*,?\s*(?:and|or)\s*,?\s*\}|(?<![a-zA-Z\\])(?:and|or)(?![a-zA-Z])|[,;]|(?<=[)\]])\s*or\s*(?=[(\[])|(?<=[\d)\]])(?:or|and)(?=[a-zA-Z]+\()"
    r"|(?:\\text)?\{\s*(?:\u6216\u8005?|[\u548c\u4e0e\u53ca\u3001])\s*\}|\u6216\u8005?|(?<=[\d}])\s*[\u548c\u4e0e\u53ca\u3001]\s*(?=[\d\\(-])"
)
CLOCK = re.compile(
    r"(?P<hour>\d{1,2})(?:\s*:\s*(?P<minute>\d\d))?(?:\s*:\s*(?P<second>\d\d))?"
    r"\s*(?:\\text\{)?\s*(?:(?P<half>[ap])\s*\.?\s*m\.?)?\s*\}?",
    re.IGNORECASE,
)
UNION_TOKEN = re.compile(r"\\cup(?![a-zA-Z])|(?<=[)\]])\s*U\s*(?=[(\[])")
SYSTEM = re.compile(r"\\begin\{cases\}(.*)\\end\{cases\}", re.DOTALL)
CONDITION = re.compile(
    r"\\\{\s*+(?P<name>[a-zA-Z])\s*+(?:\\in\s*+(?:\{R\}|\\?R)\s*+)?(?:\||:|\\text\{such that\})(?P<condition>.*)\\\}",
    re.DOTALL,
)
r"""The set of all real numbers of which something holds: ``\{x \mid 1 < x\}``."""
OUTWARD_BRACKETS = re.compile(r"^(\])([^()\[\]]*[,;][^()\[\]]*)([\[\]])$|^(\[)([^()\[\]]*[,;][^()\[\]]*)(\[)$")
CONDITION_WORD = re.compile(r"^(?:\\text\{\s*)?(?:if|for|when|where)\s*(?:\}|(?![a-zA-Z]))")
ELSE = frozenset({"else", "otherwise", "elsewhere"})
SIGN = re.compile(r"(?<=[)\]}\w])\s*[-+]")
TIMES_UNIT_VECTOR = re.compile(r"(?P<factor>[^,]*?)\s*\*?\s*\\hat\{(?P<name>[ijk])\}")
BARE_UNIT_VECTOR = re.compile(r"(?<![a-zA-Z\\])([ijk])(?![a-zA-Z])")
ADJECTIVE = r"(odd|even|prime|composite|positive|negative|rational|irrational|real)"
PROPERTY = re.compile(rf"(?:all |every )?{ADJECTIVE} ([a-z])")
STATEMENT = re.compile(rf"([a-z]) (?:is |are |must be )?{ADJECTIVE}")
MAX_SIGNS = 3
PLUS_BEHIND_OPERATOR = re.compile(r"(?<=[=<>(])\s*\+")
PLUS_MINUS = re.compile(r"\\(pm|mp)(?![a-zA-Z])")
BASE_NUMBER = re.compile(
    r"[({]?([0-9A-Za-z]+(?:\.[0-9A-Za-z]+)?)[)}]?\s*_\s*\{?\s*(?:\\text\{)?\s*(\d+|two|three|four|five|six|seven|eight|nine|ten|sixteen)\s*\}?\s*\}?"
)
SEPARATES = re.compile(r"[,;]|\\begin|\\[{}]")
COMMA = re.compile(r"[,;]")
COLON = re.compile(":")
MATRIX = re.compile(r"[([]?\s*\\begin\{matrix\}(.*)\\end\{matrix\}\s*[)\]]?", re.DOTALL)
WORD = re.compile(r"[a-zA-Z][a-zA-Z\s'.-]*")
MIN_WORD_LETTERS = 4
BARE_WORD = re.compile(r"[^d]..|....")
"""The start of what is a word and no product of letters; three with a d may be a differential."""
THOUSANDS = re.compile(r"[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?%?")
NO_WORD = re.compile(r"(?:arc|a)?(?:sin|cos|tan|cot|sec|csc)h?|log|ln|exp|sqrt|pi|min|max|gcd|lcm|det|mod|and|or")
NUMBER_WORDS = {
    **{"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10},
    "sixteen": 16,
}
LABELED_POINT = re.compile(r"[A-Z]'?\s*(\(.*\))", re.DOTALL)
TIMES = {"noon": Clock(12, 0, 0, "p", "12 p.m."), "midnight": Clock(12, 0, 0, "a", "12 a.m.")}


@lru_cache(maxsize=16384)
def read_structure(text: str) -> Node:
    """Read a normalized answer. A bracket that is not closed makes the whole a scalar."""
    text = text.strip()
    if is_compound(text):
        return Scalar(text)
    words = _read_words(text)
    if words is not None and (number := _read_number_words(words)):
        return number
    if not words:
        text = OUTWARD_BRACKETS.sub(_with_inward_brackets, text)
    if words or not is_balanced(brackets(text)):
        return words or Scalar(text)
    node: Node | None = _read_list(text) or _read_relation(text) or _read_union(text)
    node = node or _read_matrix(text) or _read_system(text) or _read_cases(text) or _read_set(text) or _read_group(text)
    return node or _read_multiple(text) or _read_unit_vectors(text) or _read_scalar(text)


def _with_inward_brackets(match: re.Match[str]) -> str:
    """``]1,3[`` as ``(1,3)``."""
    left, inner, right = (match[1], match[2], match[3]) if match[1] else (match[4], match[5], match[6])
    return f"{'(' if left == ']' else '['}{inner}{')' if right == '[' else ']'}"


def _read_words(text: str) -> Text | None:
    plain = WORDS.sub(r" \1 ", text).strip().strip("().").strip()
    if not WORD.fullmatch(plain):
        return None
    words = plain.lower().replace(".", " ").replace("-", " ").split()
    joined = " ".join(words)
    if any(NO_WORD.fullmatch(word) for word in words):
        return None
    if r"\text{" in text:
        return Text(_as_statement(joined))
    # "x-axis" are words, x-y is a difference and a.b a product.
    if any(mark in plain for mark in "-.'") and max(map(len, words)) < MIN_WORD_LETTERS:
        return None
    return Text(joined) if BARE_WORD.match(joined) else None


def _as_statement(words: str) -> str:
    """``odd n`` as ``n is odd``."""
    if match := PROPERTY.fullmatch(words):
        return f"{match[2]} is {match[1]}"
    match = STATEMENT.fullmatch(words)
    return f"{match[1]} is {match[2]}" if match else words


def _read_number_words(text: Text) -> Scalar | Clock | None:
    """A number, noon or midnight in words."""
    if text.words in TIMES:
        return TIMES[text.words]
    number = number_of_words(text.words)
    return None if number is None else Scalar(str(number))


def _read_list(text: str) -> Collection | None:
    items = _split_list(text)
    if not 2 <= len(items) <= MAX_ITEMS or THOUSANDS.fullmatch(text):
        return None
    return Collection(_read_items(items), is_either=any("or" in match[0] for match in outside(text, LIST_TOKEN)))


def _split_list(text: str) -> list[str]:
    """The items of a list; "2, and 3" has no empty one."""
    return [item for item in split(text, LIST_TOKEN) if item]


def _read_items(items: Sequence[str]) -> tuple[Node, ...]:
    r"""Each item, of which one with ``\pm`` is several."""
    return tuple(read_structure(variant) for item in items for variant in _with_each_sign(item))[:MAX_ITEMS]


def _with_each_sign(text: str) -> list[str]:
    r"""The readings of ``\pm``: with ``\mp`` in the same text two, else each sign by itself."""
    # Without a comma, brackets only group.
    marks = PLUS_MINUS.findall(text)
    if marks and SEPARATES.search(text):
        marks = [match[1] for match in outside(text, PLUS_MINUS)]
    if not 1 <= len(marks) <= MAX_SIGNS or len(marks) != len(PLUS_MINUS.findall(text)):
        return [text]
    if "mp" in marks:
        choices = [["+" if mark == "pm" else "-" for mark in marks], ["-" if mark == "pm" else "+" for mark in marks]]
    else:
        choices = [list(signs) for signs in product("+-", repeat=len(marks))]
    return [_with_signs(text, signs) for signs in choices]


def _with_signs(text: str, signs: list[str]) -> str:
    remaining = iter(signs)
    signed = PLUS_MINUS.sub(lambda _: next(remaining), text).strip()
    return PLUS_BEHIND_OPERATOR.sub("", signed.removeprefix("+").strip())


def _read_relation(text: str) -> Relation | None:
    operators = tuple(match[0] for match in outside(text, RELATION_TOKEN))
    return Relation(operators, tuple(split(text, RELATION_TOKEN)), text) if operators else None


def _read_union(text: str) -> Collection | None:
    parts = split(text, UNION_TOKEN)
    return Collection(tuple(map(read_structure, parts)), is_union=True) if 2 <= len(parts) <= MAX_ITEMS else None


def _read_matrix(text: str) -> Matrix | None:
    match = MATRIX.fullmatch(text)
    if match is None or r"\begin" in match[1]:
        return None
    rows = [row for row in match[1].split(r"\\") if row.strip()]
    return Matrix(tuple(tuple(read_structure(cell.strip()) for cell in row.split("&")) for row in rows))


def _read_system(text: str) -> Collection | None:
    """Several equations under one brace; with conditions behind them they are the pieces of one function."""
    match = SYSTEM.fullmatch(text)
    if match is None or "&" in match[1] or r"\begin" in match[1]:
        return None
    return Collection(_read_items([row.strip(" ,;") for row in match[1].split(r"\\") if row.strip()][:MAX_ITEMS]))


def _read_cases(text: str) -> Cases | None:
    match = SYSTEM.fullmatch(text)
    if match is None or r"\begin" in match[1]:
        return None
    rows = [row.split("&") for row in match[1].split(r"\\") if row.strip()]
    if not 2 <= len(rows) <= MAX_ITEMS or any(len(row) != 2 for row in rows):
        return None
    return Cases(tuple((read_structure(value.strip(" ,;")), _read_condition(where)) for value, where in rows), text)


def _read_condition(text: str) -> Node:
    condition = read_structure(CONDITION_WORD.sub("", text.strip(" ,;.")).strip())
    return OTHERWISE if isinstance(condition, Text) and condition.words in ELSE else condition


def _read_multiple(text: str) -> Group | None:
    """``-(1,2)`` and ``2(3,4)``: a tuple, of which each entry is multiplied."""
    multiple = split_multiple(text)
    factor = read_exact(multiple[0]) if multiple else None
    if multiple is None or factor is None or factor.is_percent or THOUSANDS.fullmatch(",".join(multiple[1])):
        return None
    return Group("(", ")", tuple(_multiplied(item, factor.value) for item in multiple[1]))


def split_multiple(text: str) -> tuple[str, list[str]] | None:
    """The factor and the entries of ``2(3,4)``; None for anything but one tuple with or without a factor before it."""
    start = last_pair(text)
    if start is None or text[start] + text[-1] != "()":
        return None
    factor, entries = text[:start].rstrip(" *"), split(text[start + 1 : -1], COMMA)
    if COMMA.search(factor) or not 2 <= len(entries) <= MAX_ITEMS:
        return None
    return (f"{factor}1" if factor in {"", "+", "-"} else factor), entries


def _read_unit_vectors(text: str) -> Group | None:
    r"""``3\hat{i}-\hat{j}`` as ``(3,-1)``; with a ``\hat{k}`` there are three entries."""
    if r"\hat" not in text:
        return None
    parts: dict[str, list[str]] = {"i": [], "j": []}
    for term in signed_terms(text):
        match = TIMES_UNIT_VECTOR.fullmatch(term)
        if match is None:
            return None
        factor = match["factor"].removeprefix("+").strip()
        parts.setdefault(match["name"], []).append(f"{factor}1" if factor in {"", "-"} else factor)
    entries = ["+".join(f"({part})" for part in each) if len(each) > 1 else "".join(each) for each in parts.values()]
    return Group("(", ")", tuple(read_structure(entry or "0") for entry in entries))


def with_hats(text: str) -> str:
    r"""``3i-j`` as ``3\hat{i}-\hat{j}``; one letter alone may be anything."""
    if len(set(BARE_UNIT_VECTOR.findall(text))) < 2:
        return text
    return BARE_UNIT_VECTOR.sub(r"\\hat{\1}", text)


def signed_terms(text: str) -> list[str]:
    """The terms of a sum, each with its sign."""
    places = [0, *(match.end() - 1 for match in outside(text, SIGN)), len(text)]
    return [text[start:end].strip() for start, end in pairwise(places) if start < end]


def _multiplied(item: str, factor: Fraction) -> Scalar:
    number = read_exact(item)
    exact = number is not None and number.num_decimals is None and not number.is_percent
    return Scalar(str(number.value * factor) if number and exact else f"({factor})*({item})")


def _read_set(text: str) -> Node | None:
    if text in {r"\emptyset", r"\{\}", r"\{ \}"}:
        return Collection(())
    condition = CONDITION.fullmatch(text)
    if condition and RELATION_TOKEN.search(condition["condition"]) and condition["name"] in condition["condition"]:
        return read_structure(condition["condition"])
    if text.startswith(r"\{") and text.endswith(r"\}"):
        inner = text[2:-2]
    elif text.startswith("{") and is_outer_pair(text):
        inner = text[1:-1]
    else:
        return None
    return Collection(_read_items(_split_list(inner)[:MAX_ITEMS]), is_set=True)


def _read_group(text: str) -> Node | None:
    if not text.startswith(("(", "[")) or not is_outer_pair(text):
        return None
    items = split(text[1:-1], COMMA)
    if len(items) > 1:
        return Group(text[0], text[-1], tuple(map(read_structure, items[:MAX_ITEMS])))
    # Parentheses around one thing group; brackets around one number are a list of one.
    node = read_structure(text[1:-1])
    return node if text[0] + text[-1] == "()" and not isinstance(node, Scalar) else None


def _read_scalar(text: str) -> Node:
    base = BASE_NUMBER.fullmatch(text)
    if base and any(char.isdigit() for char in base[1]):
        return BaseNumber(base[1].upper(), NUMBER_WORDS.get(base[2]) or int(base[2]))
    number = number_in_chinese(text)
    if number is not None:
        return Scalar(str(number))
    variants = _with_each_sign(text)
    if len(variants) > 1:
        return Collection(tuple(read_structure(variant) if "," in variant else Scalar(variant) for variant in variants))
    clock = _read_clock(text)
    if clock:
        return clock
    parts = split(text, COLON)
    return Ratio(tuple(map(Scalar, parts))) if len(parts) >= 2 and all(parts) else Scalar(text)


def _read_clock(text: str) -> Clock | None:
    """A time of day. Two numbers of which the second has two digits are one, three only if one begins with a zero."""
    match = CLOCK.fullmatch(text)
    if match is None:
        return None
    half = (match["half"] or "").lower()
    numbers = [match["hour"], match["minute"], match["second"]]
    if not half and (not numbers[1] or (numbers[2] and not any(number.startswith("0") for number in numbers))):
        return None
    hour, minute, second = (int(number or 0) for number in numbers)
    is_on_dial = hour <= (12 if half else 24) and minute < 60 and second < 60
    return Clock(hour, minute, second, half, text) if is_on_dial else None
