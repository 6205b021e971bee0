r"""Sets of real numbers with exact ends, in whatever notation: ``(1,3] \cup [2,5)``, ``|x|<3``, ``x \ne 2``, ``\mathbb{R}``.

Each is read as its intervals, joined where they touch, so that two notations of one set are equal. Nothing is said of a
set with an end that is no rational number.
"""

import re
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import NamedTuple

from verl_ext.grading.answers.nodes import Collection, Group, Node, Relation, Scalar, Text
from verl_ext.grading.answers.numbers import read_exact
from verl_ext.grading.answers.statements import interval_of, is_variable, without_blanks
from verl_ext.grading.answers.structure import read_structure

INFINITY = Fraction(10) ** 500
"""Beyond every number that ``numbers`` reads."""
INFINITIES = {r"\infty": INFINITY, r"+\infty": INFINITY, r"-\infty": -INFINITY}
REALS = re.compile(r"\{?R\}?|\\R|\\Re")
REALS_WITHOUT = re.compile(r"\{?\\?R\}?\s*(?:\\setminus|\\backslash|-|\\)\s*(\\\{.*\\\})", re.DOTALL)
REALS_IN_WORDS = frozenset(
    {"all real numbers", "all reals", "real numbers", "the real numbers", "all real", "any real number"}
)
ABSOLUTE = re.compile(r"\|\s*(?P<name>[a-zA-Z])\s*(?:(?P<sign>[-+])\s*(?P<shift>[\d./]+)\s*)?\|")
NAME = re.compile(r"[a-zA-Z]")


class Interval(NamedTuple):
    low: Fraction
    is_open_below: bool
    high: Fraction
    is_open_above: bool


Intervals = tuple[Interval, ...]
LINE: Intervals = (Interval(-INFINITY, True, INFINITY, True),)


def same_set(reference: Node, answer: Node) -> bool:
    """Whether both are sets of reals in one notation or two, and the same."""
    names = {_name(node) for node in (reference, answer)} - {None}
    if len(names) > 1:
        return False
    left = read_intervals(reference)
    return left is not None and left == read_intervals(answer)


def _name(node: Node) -> str | None:
    """What the relations of a node are about."""
    relations = node.items if isinstance(node, Collection) else (node,)
    names = {name for item in relations if isinstance(item, Relation) for name in NAME.findall(_without_commands(item))}
    return "".join(sorted(names)) or None


def _without_commands(relation: Relation) -> str:
    parts = relation.parts[:1] if relation.operators == (r"\in",) else relation.parts
    return re.sub(r"\\[a-zA-Z]+", "", " ".join(parts))


def read_intervals(node: Node) -> Intervals | None:
    """The intervals of a set of reals; None if it is none, or its ends are no rational numbers."""
    match node:
        case Group():
            return _interval(node)
        case Relation():
            return _of_relation(node)
        case Collection() if node.is_union:
            return _union(map(_member, node.items))
        case Collection():
            return _of_conditions(node)
        case Scalar():
            return _of_reals(node.text)
        case Text():
            return LINE if node.words in REALS_IN_WORDS else None
    return None


def remaining(conditions: Sequence[Node]) -> Intervals | None:
    """The reals that fulfill none of several conditions on one name; None if one of them is no set of reals."""
    names = {_name(condition) for condition in conditions}
    together = _union(map(read_intervals, conditions))
    return _complement(together) if together is not None and len(names) == 1 else None


def _interval(group: Group) -> Intervals | None:
    if len(group.items) != 2:
        return None
    ends = [_end(item) for item in group.items]
    if ends[0] is None or ends[1] is None:
        return None
    interval = Interval(ends[0], group.opening == "(", ends[1], group.closing == ")")
    is_empty = ends[0] > ends[1] or (ends[0] == ends[1] and (interval.is_open_below or interval.is_open_above))
    return None if is_empty else (interval,)


def _end(node: Node) -> Fraction | None:
    if not isinstance(node, Scalar):
        return None
    number = read_exact(node.text)
    if number is not None:
        return None if number.is_percent else number.value
    return INFINITIES.get(without_blanks(node.text))


def _member(node: Node) -> Intervals | None:
    """An interval of a union, or a set of points in it."""
    return _points(node) if isinstance(node, Collection) and not node.is_union else read_intervals(node)


def _points(collection: Collection) -> Intervals | None:
    values = [_end(item) for item in collection.items]
    return _union((Interval(value, False, value, False),) if value is not None else None for value in values)


def _of_reals(text: str) -> Intervals | None:
    if REALS.fullmatch(text.strip()):
        return LINE
    match = REALS_WITHOUT.fullmatch(text.strip())
    points = read_structure(match[1]) if match else None
    without = _points(points) if isinstance(points, Collection) else None
    return _complement(without) if without is not None else None


def _of_relation(relation: Relation) -> Intervals | None:
    if relation.operators == (r"\in",):
        return read_intervals(read_structure(relation.parts[1])) if is_variable(relation.parts[0]) else None
    absolute = _of_absolute(relation)
    if absolute is not None:
        return absolute
    if relation.operators == (r"\ne",) and NAME.fullmatch(relation.parts[0]):
        value = _end(read_structure(relation.parts[1]))
        return None if value is None else _complement((Interval(value, False, value, False),))
    interval = interval_of(relation)
    return _interval(interval) if interval is not None else None


def _of_absolute(relation: Relation) -> Intervals | None:
    r"""``|x-1| \le 3`` and ``|x| > 2``."""
    match = ABSOLUTE.fullmatch(relation.parts[0].strip())
    radius = read_exact(relation.parts[-1])
    if match is None or radius is None or len(relation.parts) != 2 or radius.value <= 0:
        return None
    shift = read_exact(match["shift"] or "0")
    if shift is None:
        return None
    center = -shift.value if match["sign"] == "+" else shift.value
    low, high = center - radius.value, center + radius.value
    inside = {
        "<": Interval(low, True, high, True),
        r"\le": Interval(low, False, high, False),
        ">": Interval(low, False, high, False),
        r"\ge": Interval(low, True, high, True),
    }.get(relation.operators[0])
    if inside is None:
        return None
    return (inside,) if relation.operators[0] in {"<", r"\le"} else _complement((inside,))


def _of_conditions(collection: Collection) -> Intervals | None:
    r"""Several conditions on one name: all of them where they exclude points or overlap, else one of them.

    ``1 < x < 3, x \ne 2`` and ``k > 2, k < 5`` hold together; ``x < 1, x > 3`` cannot, and with an "or" one is enough.
    """
    relations = _repeated(collection.items)
    if not relations or len({_name(relation) for relation in relations}) != 1:
        return None
    sets = [_of_relation(relation) for relation in relations]
    if any(item is None for item in sets):
        return None
    if collection.is_either:
        return _union(sets)
    together = LINE
    for item in sets:
        together = _intersection(together, item or ())
    exclude = [relation.operators == (r"\ne",) for relation in relations]
    return together if any(exclude) or (together and _union(sets) == LINE) else _union(sets)


def _repeated(items: Iterable[Node]) -> list[Relation]:
    r"""``x \ne 2, 3`` as two relations; nothing if an item is no relation and follows none."""
    relations: list[Relation] = []
    for item in items:
        if isinstance(item, Scalar) and relations and relations[-1].operators == (r"\ne",):
            name = relations[-1].parts[0]
            item = Relation((r"\ne",), (name, item.text), rf"{name}\ne {item.text}")
        if not isinstance(item, Relation):
            return []
        relations.append(item)
    return relations


def _union(sets: Iterable[Intervals | None]) -> Intervals | None:
    """All intervals in order, joined where they overlap or touch."""
    intervals: list[Interval] = []
    for item in sets:
        if item is None:
            return None
        intervals += item
    joined: list[Interval] = []
    for interval in sorted(intervals):
        last = joined[-1] if joined else None
        if last and (
            interval.low < last.high
            or (interval.low == last.high and not (interval.is_open_below and last.is_open_above))
        ):
            high, is_closed = max((last.high, not last.is_open_above), (interval.high, not interval.is_open_above))
            joined[-1] = Interval(last.low, last.is_open_below, high, not is_closed)
        else:
            joined.append(interval)
    return tuple(joined)


def _complement(intervals: Intervals) -> Intervals:
    """What is left of the line; the intervals are in order and apart."""
    gaps: list[Interval] = []
    low, is_open = -INFINITY, True
    for interval in intervals:
        if low < interval.low or (low == interval.low and not is_open and interval.is_open_below):
            gaps.append(Interval(low, is_open, interval.low, not interval.is_open_below))
        low, is_open = interval.high, not interval.is_open_above
    if low < INFINITY:
        gaps.append(Interval(low, is_open, INFINITY, True))
    return tuple(gaps)


def _intersection(left: Intervals, right: Intervals) -> Intervals:
    outside = _union((_complement(left), _complement(right)))
    return _complement(outside or ())
