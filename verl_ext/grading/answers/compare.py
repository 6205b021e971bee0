"""Are two typed answers the same? A walk through both, part by part, down to scalars.

The same walk serves the caller's process and the worker's: what differs is the leaf, the comparison of two scalars
that no rule here decides. In the caller's process the leaf is ``UNDECIDED``, and only then a worker is asked.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

from verl_ext.grading.answers.additions import (
    choice_letters,
    with_approximation,
    with_one_constant,
    without_condition,
    without_introduction,
    without_label,
)
from verl_ext.grading.answers.clocks import as_ratio, same_clock
from verl_ext.grading.answers.conventions import Conventions
from verl_ext.grading.answers.leaf import UNDECIDED, Leaf
from verl_ext.grading.answers.matching import matched
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
    to_latex,
)
from verl_ext.grading.answers.numbers import are_near, read_exact, same_number
from verl_ext.grading.answers.real_sets import INFINITIES, read_intervals, remaining, same_set
from verl_ext.grading.answers.spelling import key
from verl_ext.grading.answers.statements import (
    has_names,
    interval_between,
    interval_name,
    interval_of,
    is_name,
    is_refuted,
    is_rounded,
    measured_value,
    name_of,
    named_parts,
    value_of,
    without_blanks,
)
from verl_ext.grading.answers.structure import LABELED_POINT, read_structure, with_hats
from verl_ext.grading.answers.texts import NOTHING, same_scalar_and_words, same_words
from verl_ext.grading.answers.units import NO_QUANTITY, Quantity, common_factors, lacks_something, read_quantity
from verl_ext.grading.verdict import all_true

SETS = (Group, Collection, Relation, Scalar, Text)


def same_structure(reference: str, answer: str, leaf: Leaf) -> bool | None:
    """Compare two normalized answers; None where that hangs on scalars that ``leaf`` cannot tell apart."""
    letters = choice_letters(reference, answer)
    if letters is not None:
        return letters[0] == letters[1]
    rounded = with_approximation(reference), with_approximation(answer)
    if rounded != (reference, answer):  # "1/3 or about 0.33" offers a second answer, which has to be as good
        leaf = replace(leaf, conventions=replace(leaf.conventions, rounding="near"))
    reference, answer = rounded
    answer = with_one_constant(reference, answer)
    is_same = _same_node(read_structure(reference), read_structure(answer), leaf)
    stripped = None if is_same else _without_additions(reference, answer, leaf.conventions)
    if stripped is None:
        return is_same
    outcome = same_structure(*stripped, leaf)
    return is_same if outcome is False else outcome


def _without_additions(reference: str, answer: str, conventions: Conventions) -> tuple[str, str] | None:
    """Both without what only one side adds, where it may be left out; None if there is no such thing."""
    strips = [without_introduction]
    strips += [without_label] if conventions.choice == "letter_or_text" else []
    strips += [without_condition] if conventions.condition == "optional" else []
    for strip in strips:
        left, right = strip(reference), strip(answer)
        if left and right and (left == reference) != (right == answer):
            return left, right
    return None


def _same_node(reference: Node, answer: Node, leaf: Leaf) -> bool | None:
    if reference == answer:
        return True
    is_same = _same_nodes_by_type(reference, answer, leaf)
    if is_same is True or not isinstance(reference, SETS) or not isinstance(answer, SETS):
        return is_same
    # A set of reals has many notations, which the types do not tell apart.
    return True if same_set(reference, answer) else is_same


def _same_nodes_by_type(reference: Node, answer: Node, leaf: Leaf) -> bool | None:
    if isinstance(reference, Relation) and isinstance(answer, Relation):
        return _same_relation(reference, answer, leaf)
    if isinstance(reference, Relation):
        return _same_relation_and_other(reference, answer, leaf, is_swapped=False)
    if isinstance(answer, Relation):
        return _same_relation_and_other(answer, reference, leaf, is_swapped=True)
    # A set of one and a list of one are that one.
    if isinstance(reference, Collection) and len(reference.items) == 1:
        return _same_node(reference.items[0], answer, leaf)
    if isinstance(answer, Collection) and len(answer.items) == 1:
        return _same_node(reference, answer.items[0], leaf)
    compare = COMPARISONS.get((type(reference), type(answer)))
    return compare(reference, answer, leaf) if compare else False


def _same_pair(left: Node, right: Node, leaf: Leaf, *, is_swapped: bool) -> bool | None:
    """Compare with the reference first, which is ``right`` if they are swapped."""
    return _same_node(right, left, leaf) if is_swapped else _same_node(left, right, leaf)


def _all_same(reference: Sequence[Node], answer: Sequence[Node], leaf: Leaf) -> bool | None:
    """Whether two sequences are the same, item by item."""
    if len(reference) != len(answer):
        return False
    return all_true(_same_node(left, right, leaf) for left, right in zip(reference, answer, strict=True))


def _same_scalar(reference: Scalar, answer: Scalar, leaf: Leaf) -> bool | None:
    quantities = read_quantity(reference.text), read_quantity(answer.text)
    factors = common_factors(*quantities, leaf.conventions)
    if factors is None or not quantities[0].number or not quantities[1].number:
        return False
    left, right = map(_multiplied, quantities, (Fraction(1), Fraction(1)) if factors[0] == factors[1] else factors)
    if without_blanks(left) == without_blanks(right) and key(left) == key(right):
        return True
    is_same = same_number(left, right, leaf.conventions)
    if is_same is not None:
        return is_same
    if (left, right) != (reference.text, answer.text):
        return same_structure(left, right, leaf)
    is_same = _same_infinity(left, right)
    return leaf(left, right) if is_same is None else is_same


def _multiplied(quantity: Quantity, factor: Fraction) -> str:
    """A text of the number times ``factor``."""
    if factor == 1:
        return quantity.number
    number = read_exact(quantity.number)
    if number is None:
        return f"\\frac{{{factor.numerator}}}{{{factor.denominator}}}*({quantity.number})"
    return f"{number.value * factor}%" if number.is_percent else str(number.value * factor)


def _same_infinity(left: str, right: str) -> bool | None:
    """Whether two ends of intervals, of which one is infinite, are the same; None if neither is or one is a formula."""
    ends = INFINITIES.get(without_blanks(left)), INFINITIES.get(without_blanks(right))
    if any(ends) and (all(ends) or read_exact(left) or read_exact(right)):
        return ends[0] == ends[1]
    return None


def _are_both_nothing(reference: Node, answer: Node, _leaf: Leaf) -> bool:
    r"""``\emptyset`` against "no solution"."""
    words, collection = (reference, answer) if isinstance(reference, Text) else (answer, reference)
    assert isinstance(words, Text)
    assert isinstance(collection, Collection)
    return words.words in NOTHING and not collection.items


def _same_words_and_scalar(reference: Text, answer: Scalar, leaf: Leaf) -> bool | None:
    return same_scalar_and_words(answer, reference, leaf)


def _same_base_number(reference: BaseNumber, answer: BaseNumber, _leaf: Leaf) -> bool:
    return reference.digits.lstrip("0") == answer.digits.lstrip("0") and reference.base == answer.base


def _same_base_number_and_digits(reference: Node, answer: Node, leaf: Leaf) -> bool | None:
    """A problem that asks for a number in base 5 is answered by its digits."""
    number, scalar = (reference, answer) if isinstance(reference, BaseNumber) else (answer, reference)
    assert isinstance(number, BaseNumber)
    assert isinstance(scalar, Scalar)
    if number.base == 10:
        return _same_pair(Scalar(number.digits), scalar, leaf, is_swapped=scalar is reference)
    # x_1 is a name, 12_3 a number.
    return key(scalar.text).upper() == number.digits if number.digits.isdigit() or read_exact(scalar.text) else None


def _same_group(reference: Group, answer: Group, leaf: Leaf) -> bool | None:
    # Two entries may be an interval, whose brackets say what belongs to it. More are a vector in either.
    brackets = [group.opening + group.closing for group in (reference, answer)]
    is_half_open = not {"(]", "[)"}.isdisjoint(brackets)
    are_brackets_same = brackets[0] == brackets[1]
    if (len(reference.items) == 2 or is_half_open) and not are_brackets_same:
        return False
    return _all_same(reference.items, answer.items, leaf)


def _same_bounds_or_parts(reference: Node, answer: Node, leaf: Leaf) -> bool | None:
    """Two bounds against the interval between them, and named parts against a tuple."""
    is_swapped = isinstance(answer, Collection)
    collection, group = (answer, reference) if is_swapped else (reference, answer)
    assert isinstance(collection, Collection)
    interval = interval_between(collection)
    if interval is not None:
        return _same_pair(interval, group, leaf, is_swapped=is_swapped)
    return _same_named_parts(reference, answer, leaf)


def _same_named_parts(reference: Node, answer: Node, leaf: Leaf) -> bool | None:
    """``x=3, y=-1`` against ``(3,-1)``: a tuple has its parts in the order of their names."""
    if leaf.conventions.named_parts == "names":
        return False
    is_swapped = isinstance(answer, Collection)
    collection, group = (answer, reference) if is_swapped else (reference, answer)
    assert isinstance(collection, Collection)
    assert isinstance(group, Group)
    named = named_parts(collection)
    if named is None or group.opening + group.closing != "()" or len(named) != len(group.items):
        return False
    values = [named[name] for name in sorted(named)]
    pairs = zip(values, group.items, strict=True)
    return all_true(_same_pair(value, item, leaf, is_swapped=is_swapped) for value, item in pairs)


def _same_collection(reference: Collection, answer: Collection, leaf: Leaf) -> bool | None:
    """Match the items one to one, in any order; as sets, a repetition counts once, unless each has a name of its own."""
    if leaf.conventions.list_order == "as_given" and _has_order(reference) and _has_order(answer):
        return _all_same(reference.items, answer.items, leaf)
    left, right = _distinct(reference.items), _distinct(answer.items)
    if len(left) != len(right):
        left, right = list(reference.items), list(answer.items)
    if len(left) != len(right):
        return False
    table = [[_same_node(item, other, leaf) for other in right] for item in left]
    return matched(table)


def _has_order(collection: Collection) -> bool:
    """Whether the order of the items may count: of a set, a union and named values it never does."""
    return not (collection.is_set or collection.is_union) and named_parts(collection) is None


def _distinct(items: Sequence[Node]) -> list[Node]:
    distinct: list[Node] = []
    for item in items:
        if not any(_same_node(item, other, UNDECIDED) for other in distinct):
            distinct.append(item)
    return distinct


def _same_cases(reference: Cases, answer: Cases, leaf: Leaf) -> bool | None:
    """Match the pieces one to one, in any order: the same value under the same condition."""
    if len(reference.pieces) != len(answer.pieces):
        return False
    wheres = [remaining([where for _, where in cases.pieces if where != OTHERWISE]) for cases in (reference, answer)]

    def is_same_piece(piece: tuple[Node, Node], other: tuple[Node, Node]) -> bool | None:
        is_same = _same_node(piece[0], other[0], leaf)
        return all_true([is_same, is_same_condition(piece[1], other[1])]) if is_same is not False else False

    def is_same_condition(where: Node, other: Node) -> bool | None:
        if where == other:
            return True
        if where == OTHERWISE:
            return wheres[0] is not None and wheres[0] == read_intervals(other)
        if other == OTHERWISE:
            return wheres[1] is not None and wheres[1] == read_intervals(where)
        return _same_node(where, other, leaf)

    return matched([[is_same_piece(piece, other) for other in answer.pieces] for piece in reference.pieces])


def _same_matrix(reference: Matrix, answer: Matrix, leaf: Leaf) -> bool | None:
    if [len(row) for row in reference.rows] != [len(row) for row in answer.rows]:
        return False
    left, right = ([cell for row in matrix.rows for cell in row] for matrix in (reference, answer))
    return _all_same(left, right, leaf)


def _same_vector(reference: Group | Matrix, answer: Group | Matrix, leaf: Leaf) -> bool | None:
    """A column or a row written as a matrix against the same written as a tuple."""
    if leaf.conventions.vector == "as_written":
        return False
    matrix, group = (reference, answer) if isinstance(reference, Matrix) else (answer, reference)
    rows = _rows(group)
    if rows is not None and isinstance(matrix, Matrix):
        return _same_matrix(*((matrix, rows) if matrix is reference else (rows, matrix)), leaf)
    left, right = _entries(reference), _entries(answer)
    return False if left is None or right is None else _all_same(left, right, leaf)


def _rows(node: Node) -> Matrix | None:
    """``[[1,2],[3,4]]`` as a matrix."""
    if not isinstance(node, Group) or node.opening != "[":
        return None
    rows = [item.items for item in node.items if isinstance(item, Group) and item.opening == "["]
    return Matrix(tuple(rows)) if len(rows) == len(node.items) else None


def _entries(node: Group | Matrix) -> Sequence[Node] | None:
    """The entries of a vector; None if it is none."""
    if isinstance(node, Group):
        return node.items if node.opening + node.closing == "()" else None
    if len(node.rows) == 1:
        return node.rows[0]
    return [row[0] for row in node.rows] if all(len(row) == 1 for row in node.rows) else None


def _same_ratio(reference: Ratio, answer: Ratio, leaf: Leaf) -> bool | None:
    left, right = reference.parts, answer.parts
    if len(left) != len(right):
        return False
    values = [number.value for part in (*left, *right) if (number := read_exact(part.text))]
    if len(values) < len(left) + len(right) or 0 in values:
        return _all_same(left, right, leaf)
    tops, bottoms = values[: len(left)], values[len(left) :]
    return all(top * bottoms[0] == bottom * tops[0] for top, bottom in zip(tops, bottoms, strict=True))


def _same_clock_and_ratio(reference: Clock | Ratio, answer: Clock | Ratio, leaf: Leaf) -> bool | None:
    """``10:15`` is 2:3, unless it is half past something."""
    left, right = as_ratio(reference), as_ratio(answer)
    return left is not None and right is not None and _same_ratio(left, right, leaf)


def _same_clock_and_scalar(reference: Node, answer: Node, leaf: Leaf) -> bool | None:
    """``9 a.m.`` against 9, a time whose half is left out."""
    clock, scalar = (reference, answer) if isinstance(reference, Clock) else (answer, reference)
    assert isinstance(clock, Clock)
    assert isinstance(scalar, Scalar)
    if clock.half:
        if clock is reference and leaf.conventions.half_of_day == "required":
            return False
        return not (clock.minute or clock.second) and scalar.text == str(clock.hour)
    ratio = as_ratio(clock)
    return ratio is not None and _same_pair(ratio, scalar, leaf, is_swapped=clock is answer)


def _same_scalar_and_other(reference: Node, answer: Node, leaf: Leaf) -> bool | None:
    """A scalar against a ratio, a matrix, a tuple or a set."""
    scalar, other = (reference, answer) if isinstance(reference, Scalar) else (answer, reference)
    assert isinstance(scalar, Scalar)
    quantity = read_quantity(scalar.text)
    if quantity.words or quantity.magnitude != 1:
        return False
    if scalar is reference and lacks_something(quantity, NO_QUANTITY, leaf.conventions):
        return False
    text = quantity.number
    node = read_structure(text)
    if isinstance(other, Group) and isinstance(node, Scalar):
        node = read_structure(with_hats(text))
    if not isinstance(node, Scalar):  # "(1,2) cm", 3i + 4j
        return _same_pair(node, other, leaf, is_swapped=scalar is answer)
    if isinstance(other, Collection) and _is_said_twice(other):
        return _same_pair(other.items[0], scalar, leaf, is_swapped=scalar is reference)
    if read_exact(text) is not None:
        quotient = _quotient(other) if leaf.conventions.ratio == "quotient" else None
        return quotient is not None and same_number(text, quotient, leaf.conventions) is True
    point = LABELED_POINT.fullmatch(text) if isinstance(other, Group) else None
    if point:
        return _same_pair(read_structure(point[1]), other, leaf, is_swapped=scalar is answer)
    # Two values, or a structure that brackets hide: only the worker's parser can tell.
    if isinstance(other, Ratio) and leaf.conventions.ratio == "ratio":
        return False
    if isinstance(other, Ratio | Matrix):
        return leaf(to_latex(reference), to_latex(answer))
    # With a comma or a matrix inside, it may be a sum of vectors or a product of sets.
    return None if "," in text or r"\begin" in text else False


def _is_said_twice(collection: Collection) -> bool:
    r"""``\frac{3}{4} or 0.75``: one answer in two spellings. One spelling twice is a list."""
    items = collection.items
    return len(items) == 2 and items[0] != items[1] and len(_distinct(items)) == 1


def _quotient(node: Node) -> str | None:
    """The quotient of two numbers, which is what their ratio is."""
    numbers = [read_exact(part.text) for part in node.parts] if isinstance(node, Ratio) else []
    if len(numbers) != 2 or not numbers[0] or not numbers[1] or not numbers[1].value:
        return None
    return str(numbers[0].value / numbers[1].value)


COMPARISONS: dict[tuple[type, type], Callable[[Any, Any, Leaf], bool | None]] = {
    (Scalar, Scalar): _same_scalar,
    (Text, Text): same_words,
    (Text, Collection): _are_both_nothing,
    (Collection, Text): _are_both_nothing,
    (Scalar, Text): same_scalar_and_words,
    (Text, Scalar): _same_words_and_scalar,
    (BaseNumber, BaseNumber): _same_base_number,
    (BaseNumber, Scalar): _same_base_number_and_digits,
    (Scalar, BaseNumber): _same_base_number_and_digits,
    (Group, Group): _same_group,
    (Collection, Collection): _same_collection,
    (Collection, Group): _same_bounds_or_parts,
    (Group, Collection): _same_bounds_or_parts,
    (Matrix, Matrix): _same_matrix,
    (Cases, Cases): _same_cases,
    (Matrix, Group): _same_vector,
    (Group, Matrix): _same_vector,
    (Ratio, Ratio): _same_ratio,
    (Clock, Clock): same_clock,
    (Clock, Ratio): _same_clock_and_ratio,
    (Ratio, Clock): _same_clock_and_ratio,
    (Clock, Scalar): _same_clock_and_scalar,
    (Scalar, Clock): _same_clock_and_scalar,
    **{(Scalar, kind): _same_scalar_and_other for kind in (Ratio, Matrix, Group, Collection)},
    **{(kind, Scalar): _same_scalar_and_other for kind in (Ratio, Matrix, Group, Collection)},
}
"""By the types of reference and answer. Two types that are not here are never the same."""


def _same_relation(reference: Relation, answer: Relation, leaf: Leaf) -> bool | None:
    if without_blanks(reference.text) == without_blanks(answer.text):
        return True
    if is_refuted(reference) or is_refuted(answer):
        return False
    is_checked = leaf.conventions.rounding == "near" or (is_rounded(reference) and is_rounded(answer))
    are_rounded = [_is_near_its_value(relation, leaf, is_checked=is_checked) for relation in (reference, answer)]
    return all_true([*are_rounded, _same_tenable_relation(reference, answer, leaf)])


def _same_tenable_relation(reference: Relation, answer: Relation, leaf: Leaf) -> bool | None:
    if reference.operators == answer.operators == (r"\in",) and not all(
        is_name(side.parts[0]) for side in (reference, answer)
    ):
        return None if key(reference.parts[0]) == key(answer.parts[0]) else False
    intervals = interval_of(reference), interval_of(answer)
    if intervals[0] is not None and intervals[1] is not None:
        if not _may_name_the_same(interval_name(reference), interval_name(answer)):
            return False
        return _same_node(intervals[0], intervals[1], leaf)
    is_same = _same_named_value(reference, answer, leaf)
    if is_same is None:
        is_same = _same_interval_and_membership(reference, answer, leaf)
    return leaf(reference.text, answer.text) if is_same is None else is_same


def _same_measured_value(relation: Relation, other: Node, leaf: Leaf, *, is_swapped: bool) -> bool | None:
    """``m+n = 3+4 = 7`` against 7: its last part, if what is said on the way there holds."""
    value = measured_value(relation)
    if value is None:
        return False
    node = read_structure(value)
    if isinstance(node, Relation):
        return None
    is_same = _same_pair(node, other, leaf, is_swapped=is_swapped)
    steps = [part for part in relation.parts[1:] if not has_names(part)]
    return all_true([is_same, *(same_structure(left, right, leaf) for left, right in pairwise(steps))])


def _is_near_its_value(relation: Relation, leaf: Leaf, *, is_checked: bool) -> bool | None:
    r"""Whether what stands behind a last ``\approx`` can be about what stands before it, in whatever units.

    ``\frac{2}{3} \approx 0.67\text{ more}`` says something else than two thirds, and so does ``\frac{2}{3} \approx 4.67``
    where numbers are checked.
    """
    left, right = relation.parts[-2:]
    if not is_rounded(relation):
        return True
    nodes = read_structure(left), read_structure(right)
    if not all(isinstance(node, Scalar) for node in nodes):
        return isinstance(nodes[0], (Ratio, type(nodes[1])))
    value, approximation = map(read_quantity, (left, right))
    if approximation.words not in {(), value.words}:
        return False
    if (
        not is_checked
        or value.magnitude != approximation.magnitude
        or (value.unit and approximation.unit not in {None, value.unit})
    ):
        return True
    numbers = read_exact(value.number), read_exact(approximation.number)
    if numbers[0] is None or numbers[1] is None:
        return leaf.is_near(value.number, approximation.number)
    return are_near(numbers[0], numbers[1])


def _same_named_value(reference: Relation, answer: Relation, leaf: Leaf) -> bool | None:
    """``x = 3`` is ``3 = x``, and not ``x = 4``; None where the values alone do not tell."""
    values = value_of(reference), value_of(answer)
    if values[0] is None or values[1] is None:
        return None
    is_same = same_structure(values[0], values[1], leaf)
    name, other_name = name_of(reference), name_of(answer)
    if is_same is True and _may_name_the_same(name, other_name):
        return True
    is_solved = name is not None and name not in values[0] and name not in values[1]
    return False if is_same is False and name == other_name and is_solved else None


def _may_name_the_same(left: str | None, right: str | None) -> bool:
    """``y = 2x`` and ``f(x) = 2x``, but not ``x = 3`` and ``y = 3``."""
    if left == right or left is None or right is None:
        return True
    return ("(" in left) != ("(" in right)


def _same_interval_and_membership(reference: Relation, answer: Relation, leaf: Leaf) -> bool | None:
    r"""``1 <= x <= 2`` against ``x \in [1,2]``; None if they are not these two."""
    for relation, other in ((reference, answer), (answer, reference)):
        interval, members = interval_of(relation), value_of(other)
        if interval is not None and members is not None and other.operators == (r"\in",):
            return _same_pair(interval, read_structure(members), leaf, is_swapped=relation is answer)
    return None


def _same_relation_and_other(relation: Relation, other: Node, leaf: Leaf, *, is_swapped: bool) -> bool | None:
    """An interval, or the value of an equation, against what is no relation."""
    if is_refuted(relation):
        return False
    is_same = _same_tenable_relation_and_other(relation, other, leaf, is_swapped=is_swapped)
    if is_same is False:
        return False
    return all_true([_is_near_its_value(relation, leaf, is_checked=leaf.conventions.rounding == "near"), is_same])


def _same_tenable_relation_and_other(relation: Relation, other: Node, leaf: Leaf, *, is_swapped: bool) -> bool | None:
    interval = interval_of(relation)
    if interval is not None:
        is_interval = isinstance(other, Group | Collection)
        return _same_pair(interval, other, leaf, is_swapped=is_swapped) if is_interval else False
    value = value_of(relation)
    if value is None:
        return _same_measured_value(relation, other, leaf, is_swapped=is_swapped)
    if name_of(relation) is None and relation.operators[0] == "=" and relation.parts[0]:
        # An identity between numbers counts for what it ends on only if it holds: 17 mod 5 = 2, and not 1 = 2 = 42.
        holds = all_true([same_structure(left, right, leaf) for left, right in pairwise(relation.parts)])
        if holds is not True:
            return holds
    node = read_structure(value)
    return None if isinstance(node, Relation) else _same_pair(node, other, leaf, is_swapped=is_swapped)
