r"""Are two equations or inequalities the same?

Two are if the difference of the sides of one is that of the other up to a constant factor. Without a free name every
equation is true or false, so that is no measure: then the sides are compared one by one. ``xy = 2`` is also ``y = 2/x``.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import mpmath

from verl_ext.grading.answers.nodes import Relation
from verl_ext.grading.formulas.equality import is_same_constant, quotient, subtract, vanishes
from verl_ext.grading.formulas.expression import Operation, names_of
from verl_ext.grading.formulas.points import NEARLY_ZERO, near_points, nodes, real_value_at, zeros_along
from verl_ext.grading.verdict import all_true

FLIPPED = {"<": ">", ">": "<", r"\le": r"\ge", r"\ge": r"\le", "=": "=", r"\ne": r"\ne"}
ANCHORS = (0.7, -1.3)
STEPS = ((0.4, 1.3), (-2.1, 0.8))
ZERO = Operation("number", text="0")

Part = TypeVar("Part")
Chain = tuple[Sequence[str], Sequence[Part]]
"""The operators of a relation, and the parts that they stand between."""
Sides = tuple[Operation, str, Operation]
"""A relation of two sides, with its operator between them."""


def same_chain(reference: Relation, answer: Relation, same_part: Callable[[str, str], bool | None]) -> bool | None:
    """Whether two chains such as ``A < B < C`` are the same part by part, from the left or from the right."""
    if len(reference.parts) != len(answer.parts):
        return None
    return _same_either_way((reference.operators, reference.parts), (answer.operators, answer.parts), same_part)


def _same_either_way(
    reference: Chain[Part], answer: Chain[Part], same_part: Callable[[Part, Part], bool | None]
) -> bool | None:
    """Whether two relations of equally many parts are the same as they stand or turned around."""
    operators, parts = answer
    backwards = tuple(FLIPPED.get(operator, "") for operator in reversed(operators))
    outcomes = [
        all_true([same_part(*pair) for pair in zip(reference[1], others, strict=True)])
        for other_operators, others in ((operators, parts), (backwards, parts[::-1]))
        if other_operators == reference[0]
    ]
    return True if True in outcomes else None if None in outcomes else False


def same_relation(reference: Sides, answer: Sides) -> bool | None:
    """Compare two relations of two sides; None if their values cannot tell."""
    if reference[1] not in FLIPPED or answer[1] not in FLIPPED:
        return None
    left, right = (subtract(sides[0], sides[2]) for sides in (reference, answer))
    has_unknown = any(node.kind == "unknown" for tree in (left, right) for node in nodes(tree))
    if not names_of(left) | names_of(right) and not has_unknown:
        left_chain, right_chain = (((operator,), (left, right)) for left, operator, right in (reference, answer))
        return _same_either_way(left_chain, right_chain, is_same_constant)
    is_same = _is_proportional(left, reference[1], right, answer[1])
    if is_same is False and reference[1] == answer[1] == "=":
        return _solves(reference, right) or _solves(answer, left)
    return is_same


def _is_proportional(left: Operation, operator: str, right: Operation, other_operator: str) -> bool | None:
    """Whether one is the other times a constant, which is negative if the operators point in different directions."""
    names = sorted(names_of(left) | names_of(right))
    for start in ANCHORS:
        anchor = {name: _number(start + 0.41 * index) for index, name in enumerate(names)}
        left_there, right_there = (substitute(tree, anchor, mark="@") for tree in (left, right))
        factor = quotient(left_there, right_there)
        if factor is None:
            continue
        is_flipped = mpmath.im(factor) == 0 and factor.real < 0
        if other_operator != (FLIPPED[operator] if is_flipped else operator):
            return False
        products = Operation("multiply", (left, right_there)), Operation("multiply", (right, left_there))
        return vanishes(subtract(*products), [left, right])
    return None


def _number(value: float) -> Operation:
    return Operation("number", text=f"{value:.2f}")


def _solves(solved: Sides, other: Operation) -> bool:
    """Whether ``solved`` is ``y = formula`` with what makes ``other``, linear in y, zero, and nothing else does."""
    for name, formula in (solved[::2], solved[::-2]):
        if name.kind != "name" or name.text in names_of(formula) or name.text not in names_of(other):
            continue
        if vanishes(substitute(other, {name.text: formula})) is True:
            return _is_linear(other, name.text) and not _is_anywhere_free(other, name.text)
    return False


def _is_linear(tree: Operation, name: str) -> bool:
    for start, step in STEPS:
        low, middle, high = (substitute(tree, {name: _number(start + step * index)}) for index in range(3))
        twice = Operation("multiply", (Operation("number", text="2"), middle))
        if vanishes(subtract(Operation("add", (low, high)), twice)) is not True:
            return False
    return True


def _is_anywhere_free(tree: Operation, name: str) -> bool:
    """Whether an equation that is linear in the name holds for any value of it somewhere: ``x y = 2 x`` does at 0."""
    low, high = (substitute(tree, {name: _number(value)}) for value in STEPS[0])
    slope, names = subtract(high, low), sorted(names_of(tree) - {name})
    for other in names:
        others = {each: value for each, value in next(near_points(names)).items() if each != other}
        for place in zeros_along(slope, other, others):
            value = real_value_at(low, {**others, other: place})
            if value is not None and abs(value) < NEARLY_ZERO:
                return True
    return not names and vanishes(subtract(slope, ZERO)) is not False


def substitute(tree: Operation, formulas: Mapping[str, Operation], mark: str = "") -> Operation:
    """The tree with formulas for its names. ``mark`` makes its unknown functions others than those without it."""
    if tree.kind == "name":
        return formulas.get(tree.text, tree)
    arguments = tuple(substitute(argument, formulas, mark) for argument in tree.arguments)
    text = tree.text + mark if tree.kind == "unknown" else tree.text
    return Operation(tree.kind, arguments, text)
