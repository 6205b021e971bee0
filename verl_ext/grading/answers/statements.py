r"""What an equation or an inequality says: the name it is about, its value, the interval it describes."""

import re
from collections.abc import Sequence

from verl_ext.grading.answers.nodes import Collection, Group, Node, Relation, Scalar
from verl_ext.grading.answers.numbers import compare_exact, read_exact
from verl_ext.grading.answers.spelling import WORDS
from verl_ext.grading.answers.structure import read_structure

SUBSCRIPT = re.compile(r"_\s*(?:\{[^{}]*\}|[0-9a-zA-Z]|\\[a-zA-Z]+)")
NAME = re.compile(
    r"(?:[a-zA-Z]|\\(?!frac|sqrt|binom|sum|prod|int|sin|cos|tan|log|ln|exp|pi(?![a-zA-Z]))[a-zA-Z]++|[|'():,\s{}\]\[])+"
)
DERIVATIVE = re.compile(r"\\frac\{d(?:\^\d)?\s*[a-zA-Z]?\}\{d\s*[a-z](?:\^\d)?\}")
BOUND = re.compile(r"\\(?:lim|sum|prod|int)(?![a-zA-Z])")
COMMAND_OR_CONSTANT = re.compile(r"\\[a-zA-Z]+|(?<![a-zA-Z])[ei](?![a-zA-Z])")
LETTER = re.compile(r"[a-zA-Z]")
INFINITY = r"\infty"
GREEK = re.compile(r"\\(?:alpha|beta|gamma|delta|epsilon|theta|phi|psi|omega|lambda|mu|rho|sigma|tau)(?![a-zA-Z])")
SIMPLE_NAME = re.compile(GREEK.pattern + r"|[a-zA-Z](?:_(?:\{[^{}]*\}|[0-9a-zA-Z]))?")
COEFFICIENT = re.compile(r"[\d}]\s*\*?\s*[xyz]")
SUBSCRIPTED = re.compile(r"[a-zA-Z]_(?:\{[^{}]*\}|[0-9a-zA-Z])")
MISMATCHED = re.compile(r"\[[^\[\]()]*\)|\([^\[\]()]*\]")
"""Two brackets that are no pair, other than around an interval."""
MEASURED = re.compile(
    r"[A-Z]{2,}|(?<![a-zA-Z])[a-zA-Z]'?\s*\(\s*-?[\d.,/\s]+\)|^\s*\\(?:sin|cos|tan|cot|sec|csc)(?![a-zA-Z])"
)
"""A length between two points, a function of numbers, a ratio of a right triangle."""
REVERSED = {">": "<", r"\ge": r"\le"}


def is_name(text: str) -> bool:
    r"""Whether a side of an equation only names the other: ``x``, ``f(x)``, ``a_{37}``, ``(p,q)``, ``V_1:V_2``."""
    bare = SUBSCRIPT.sub("", text).strip()
    if DERIVATIVE.fullmatch(bare):
        return True
    is_spelled = bool(NAME.fullmatch(bare)) and any(char.isalpha() for char in bare)
    return is_spelled and not MISMATCHED.search(bare)


def is_variable(text: str) -> bool:
    """Whether a side of an inequality only says what it is about: "even integers" restrict it as well."""
    return is_name(text) and r"\text" not in text


def interval_of(relation: Relation) -> Group | None:
    """The interval that an inequality in one variable describes: ``2 < x <= 7`` is ``(2,7]``."""
    parts: Sequence[str] = relation.parts
    operators: Sequence[str] = relation.operators
    if set(operators) <= {">", r"\ge"}:
        parts, operators = parts[::-1], [REVERSED[operator] for operator in reversed(operators)]
    if not set(operators) <= {"<", r"\le"}:
        return None
    opening, closing = ("(" if operators[0] == "<" else "["), (")" if operators[-1] == "<" else "]")
    match [is_variable(part) for part in parts]:
        case [_, True, _]:
            return Group(opening, closing, (read_structure(parts[0]), read_structure(parts[2])))
        case [True, False]:
            return Group("(", closing, (Scalar("-" + INFINITY), read_structure(parts[1])))
        case [False, True]:
            return Group(opening, ")", (read_structure(parts[0]), Scalar(INFINITY)))
    return None


def interval_between(bounds: Collection) -> Group | None:
    """The interval between two bounds on one name, ``x > 2, x < 5``; None for anything else. It may be empty."""
    relations = [item for item in bounds.items if isinstance(item, Relation)]
    if bounds.is_either or len(relations) < len(bounds.items) or len(set(map(interval_name, relations))) != 1:
        return None
    match sorted(
        map(interval_of, relations), key=lambda interval: interval is not None and interval.items[1] != Scalar(INFINITY)
    ):
        case [Group(opening, ")", (low, Scalar(r"\infty"))), Group("(", closing, (Scalar(r"-\infty"), high))]:
            return Group(opening, closing, (low, high))
    return None


def interval_name(relation: Relation) -> str | None:
    """What an inequality that is an interval is about."""
    parts = relation.parts[1:2] if len(relation.parts) == 3 else relation.parts
    return next((without_blanks(part) for part in parts if is_name(part)), None)


def value_of(relation: Relation) -> str | None:
    r"""What an equation says its name is: ``x = 5 + 5 = 10 \approx 9.9`` is 10, ``2 = x`` is 2, ``c \in A`` is A."""
    operators, parts = list(relation.operators), list(relation.parts)
    if len(parts) == 2 and not parts[0] and operators[0] in {"=", r"\approx"}:
        return parts[1]
    if len(operators) > 1 and operators[-1] == r"\approx":
        operators, parts = operators[:-1], parts[:-1]
    if operators == [r"\approx"]:
        return parts[1] if is_variable(parts[0]) else parts[0]
    if operators == [r"\in"]:
        return parts[1] if is_variable(parts[0]) else None
    return _value_of_equation(parts) if set(operators) == {"="} else None


def _value_of_equation(parts: Sequence[str]) -> str | None:
    if is_name(parts[0]):
        return parts[-1]
    if len(parts) == 2 and is_name(parts[1]):
        return parts[0]
    # An identity between numbers, such as 17 mod 5 = 2: what it ends on is the answer.
    is_closed = BOUND.search(parts[0]) or not any(map(has_names, parts))
    return parts[-1] if is_closed else None


def measured_value(relation: Relation) -> str | None:
    r"""What an equation says of what is no simple name: ``m+n=7``, ``f(5)=6``, ``\tan\theta=2``, ``AB/CD=\frac12``.

    None where the left side leaves a step to be taken: ``2x=6``, ``x^2=4``, ``x+1=5``, and any equation with zero.
    """
    left, last = relation.parts[0], relation.parts[-1]
    if set(relation.operators) != {"="} or has_names(WORDS.sub("", last)) or not last.strip("0 ."):
        return None
    return last if _is_measured(left) else None


def has_names(text: str) -> bool:
    """Whether a text has letters that are no constant."""
    return bool(LETTER.search(COMMAND_OR_CONSTANT.sub("", text))) or bool(GREEK.search(text))


def _is_measured(text: str) -> bool:
    """Whether a side of an equation is a quantity with a value of its own, and no unknown in disguise."""
    if MEASURED.search(text):
        return True
    names = {*LETTER.findall(COMMAND_OR_CONSTANT.sub(" ", text)), *GREEK.findall(text)}
    names |= {match[0] for match in SUBSCRIPTED.finditer(text)}
    if names <= {"x", "y", "z"} and COEFFICIENT.search(text):  # a line or a plane
        return False
    return len(names) > 1


def named_parts(collection: Collection) -> dict[str, Node] | None:
    """The value of each name, of several equations that each give one; None if they are anything else."""
    values: dict[str, Node] = {}
    for item in collection.items:
        if (
            not isinstance(item, Relation)
            or item.operators != ("=",)
            or not SIMPLE_NAME.fullmatch(item.parts[0].strip())
        ):
            return None
        values[without_blanks(item.parts[0])] = read_structure(item.parts[1])
    return values if len(values) == len(collection.items) else None


def name_of(relation: Relation) -> str | None:
    """The name at the left or the right end, without blanks."""
    for part in (relation.parts[0], relation.parts[-1]):
        if is_name(part):
            return without_blanks(part)
    return None


def without_blanks(text: str) -> str:
    return "".join(text.split())


def is_refuted(relation: Relation) -> bool:
    r"""Whether a relation says nothing, such as ``x=`` or ``-\approx 8``, or that a number is another."""
    first, *others = (part.strip(" +-*/") for part in relation.parts)
    if not all(others) or (not first and relation.parts[0]):
        return True
    if relation.operators != ("=",):
        return False
    left, right = map(read_exact, relation.parts)
    return left is not None and right is not None and not compare_exact(left, right)


def is_rounded(relation: Relation) -> bool:
    r"""Whether a number stands behind a last ``\approx``, about what stands before it; not in ``x \approx 5``."""
    left = relation.parts[-2]
    return relation.operators[-1] == r"\approx" and bool(left) and (len(relation.parts) > 2 or not is_variable(left))
