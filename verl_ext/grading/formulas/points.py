r"""The points at which two formulas are compared.

Two analytic formulas that agree at random points agree everywhere. With ``|x-5|``, ``\sqrt{x^2}`` or ``\lfloor x\rfloor``
they are pieces of several, so points lie on every side of every place where a piece may change: where the argument of an
absolute value, a root, a logarithm or an inverse function is zero, or a denominator.
"""

import math
import random
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from math import ceil

import mpmath

from verl_ext.grading.formulas.expression import INVERSES, Operation, TooComplexError, evaluate, names_of

SEED = 2506_01347
NUM_NEAR = 8
FAR = (10, 100, 1000)
PIECEWISE = frozenset({"abs", "sqrt", "root", "cbrt", "floor", "ceil", "ln", "log", "lg", "modulo", *INVERSES.values()})
MAX_NAMES = 3
MAX_PLACES = 32
NUM_BISECTIONS = 40
NEARLY_ZERO = 1e-9
POSITIVE_GRID = "0.13 0.37 0.62 0.91 1.2 1.6 2.1 2.6 3.2 3.7 4.3 5.2 6.1 7.3 9.1 11.3 14.2 19.1 26.3 37.1 53.2 79.4 121 191.3 311 523 997"
GRID = sorted(sign * Fraction(text) for text in POSITIVE_GRID.split() for sign in (1, -1))
NO_VALUE = (ZeroDivisionError, ValueError, OverflowError, TypeError)
"""What ``evaluate`` raises where a formula has none."""

Point = dict[str, Fraction]


def integer_names(tree: Operation) -> frozenset[str]:
    """Names that only an integer can stand for: in a factorial, and in an exponent of a negative number."""
    if tree.kind in {"factorial", "binomial"}:
        return names_of(tree)
    names = frozenset[str]().union(*map(integer_names, tree.arguments))
    is_power_of_negative = tree.kind == "power" and tree.arguments[0].kind == "negate"
    if is_power_of_negative and not names_of(tree.arguments[0]):
        names |= names_of(tree.arguments[1])
    return names


def with_integers(points: Iterable[Point], names: frozenset[str]) -> Iterator[Point]:
    """The points with these names rounded up to whole numbers, away from zero and from each other."""
    for index, point in enumerate(points):
        yield {name: Fraction(ceil(value) + index) if name in names else value for name, value in point.items()}


def near_points(names: Sequence[str]) -> Iterator[Point]:
    """The first half positive, where roots and logarithms are defined; then of either sign."""
    generator = random.Random(SEED)
    for index in range(NUM_NEAR):
        low = 0.3 if index < NUM_NEAR // 2 else -3.0
        yield {name: _between(generator, low, 3.0) for name in names}


def far_points(names: Sequence[str]) -> Iterator[Point]:
    generator = random.Random(SEED + 1)
    for size in FAR:
        for sign in (1, -1):
            yield {name: sign * _between(generator, size, 5 * size) for name in names}


def points_of_pieces(trees: Sequence[Operation], names: Sequence[str]) -> Iterator[Point]:
    """Points on each line along one name, between the places where a formula may change; none if it has no pieces."""
    if not any(node.kind in PIECEWISE for tree in trees for node in nodes(tree)):
        return
    arguments = [argument for tree in trees for argument in _arguments_of_pieces(tree)]
    generator = random.Random(SEED + 2)
    for name in names[:MAX_NAMES]:
        others = {other: _between(generator, 0.3, 3.0) for other in names if other != name}
        places = [place for argument in arguments for place in zeros_along(argument, name, others)]
        for place in _around(sorted(set(places))[:MAX_PLACES]):
            yield {**others, name: place}


def _between(generator: random.Random, low: float, high: float) -> Fraction:
    return Fraction(round(generator.uniform(low, high) * 10_000), 10_000)


def nodes(tree: Operation) -> Iterator[Operation]:
    """The tree and everything in it."""
    yield tree
    for argument in tree.arguments:
        yield from nodes(argument)


def _arguments_of_pieces(tree: Operation) -> Iterator[Operation]:
    """What a piece changes with where it is zero."""
    for node in nodes(tree):
        if node.kind in PIECEWISE:
            changing = node.arguments[0]
        elif node.kind == "divide":
            changing = node.arguments[1]
        elif node.kind == "power" and not names_of(node.arguments[1]):
            changing = node.arguments[0]
        else:
            continue
        if names_of(changing):
            yield changing


def zeros_along(argument: Operation, name: str, others: Point) -> Iterator[Fraction]:
    """Where a formula is zero along the name: exactly if it is linear, else where it changes its sign on the grid."""
    with mpmath.workdps(20):

        def value(place: Fraction) -> mpmath.mpf | None:
            return real_value_at(argument, {**others, name: place})

        linear = _zero_of_line(value(Fraction(0)), value(Fraction(1)))
        size = value(linear) if linear is not None else None
        if linear is not None and size is not None and abs(size) < NEARLY_ZERO:
            yield linear
            return
        for low, high in pairwise(GRID):
            start, end = value(low), value(high)
            if start is not None and end is not None and start * end < 0:
                for _ in range(NUM_BISECTIONS):
                    middle = (low + high) / 2
                    at_middle = value(middle)
                    if at_middle is None:
                        break
                    low, high = (middle, high) if at_middle * start > 0 else (low, middle)
                yield (low + high) / 2


def _zero_of_line(at_zero: mpmath.mpf | None, at_one: mpmath.mpf | None) -> Fraction | None:
    if at_zero is None or at_one is None or at_zero == at_one:
        return None
    place = float(at_zero / (at_zero - at_one))
    return Fraction(place).limit_denominator(10**6) if math.isfinite(place) else None


def real_value_at(tree: Operation, point: Point) -> mpmath.mpf | None:
    """The value at a point, None if there is no real one."""
    try:
        value = evaluate(tree, in_precision(point))
    except (*NO_VALUE, TooComplexError):
        return None
    return mpmath.re(value) if mpmath.im(value) == 0 and mpmath.isfinite(value) else None


def in_precision(point: Point) -> dict[str, mpmath.mpf]:
    """The point in mpmath's current precision."""
    return {name: mpmath.mpf(value.numerator) / value.denominator for name, value in point.items()}


def _around(places: Sequence[Fraction]) -> Iterator[Fraction]:
    """The grid, a point between each two places, and points on both sides of all of them."""
    yield from GRID
    for left, right in pairwise(places):
        yield (left + right) / 2
    for place in (*places[:1], *places[-1:]):
        for step in (Fraction(1, 7), 1 + abs(place) / 3):
            yield place - step
            yield place + step
