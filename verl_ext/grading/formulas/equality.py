r"""Is the difference of two formulas zero? Constants without rounding where they have an exact form, else by digits.

By digits, two values are equal if they agree to more digits than separate the largest and the smallest number that occurs
inside them: ``1`` is not ``1-e^{-2018}``, and ``e^{2018}`` is not ``e^{2018}+1``.
"""

from collections.abc import Sequence
from fractions import Fraction
from math import ceil
from typing import NamedTuple

import mpmath

from verl_ext.grading.formulas import exact
from verl_ext.grading.formulas.expression import Operation, TooComplexError, evaluate, names_of
from verl_ext.grading.formulas.points import (
    NEARLY_ZERO,
    NO_VALUE,
    NUM_NEAR,
    Point,
    far_points,
    in_precision,
    integer_names,
    near_points,
    nodes,
    points_of_pieces,
    with_integers,
)

MIN_VALID_POINTS = 3
DIGITS, MORE_DIGITS = 50, 120
MAX_DIGITS, MAX_DIGITS_NEAR, MAX_DIGITS_ELSEWHERE = 20_000, 3000, 500
DIGITS_PER_BIT = 0.30103


def subtract(left: Operation, right: Operation) -> Operation:
    return Operation("subtract", (left, right))


def is_same_constant(left: Operation, right: Operation) -> bool | None:
    """Whether two formulas without names have the same value; None if one has none."""
    difference = subtract(left, right)
    is_same = exact.is_zero(difference)
    return _is_zero_by_digits(difference, {}, MAX_DIGITS) if is_same is None else is_same


def vanishes(difference: Operation, pieces: Sequence[Operation] | None = None) -> bool | None:
    """Whether a difference with names is zero wherever it has a value; None if it has hardly anywhere one.

    Args:
        difference: A ``subtract``.
        pieces: Where to look for places at which it changes; the difference itself if None.
    """
    names = sorted(names_of(difference))
    if not names:
        return is_same_constant(*difference.arguments)
    integers = integer_names(difference)
    num_valid = 0
    for index, point in enumerate(with_integers(near_points(names), integers)):
        is_zero = _is_zero_at(difference, point, MAX_DIGITS_NEAR, needs_real=index >= NUM_NEAR // 2)
        if is_zero is False:
            return False
        num_valid += is_zero is not None
    for points in (far_points(names), points_of_pieces(pieces or [difference], names)):
        for point in with_integers(points, integers):
            try:
                is_zero = _is_zero_at(difference, point, MAX_DIGITS_ELSEWHERE, needs_real=True)
            except TooComplexError:
                continue  # its value is huge out there; elsewhere it is not
            if is_zero is False:
                return False
            num_valid += is_zero is not None
    return True if num_valid >= MIN_VALID_POINTS else None


def _is_zero_at(difference: Operation, point: Point, max_digits: int, *, needs_real: bool) -> bool | None:
    is_zero = exact.is_zero_rational(difference, point)
    if is_zero is None:
        return _is_zero_by_digits(difference, point, max_digits, needs_real=needs_real)
    return is_zero


def _is_zero_by_digits(
    difference: Operation, point: Point, max_digits: int, *, needs_real: bool = False
) -> bool | None:
    r"""Whether a difference is zero at a point; None if it has no value there, or none that is real where it must be.

    Raises:
        TooComplexError: More digits would be needed than can be computed.
    """
    rough = _value_at(difference, point, DIGITS)
    if rough is None:
        return None
    if needs_real and not (rough.is_real_inside or (mpmath.im(rough.value) == 0 and _is_about_complex(difference))):
        return None  # outside the reals: there, branches differ that no answer means
    digits = MORE_DIGITS + 2 * rough.num_digits_apart
    if digits > max_digits:
        raise TooComplexError("values too far apart to be compared")
    fine = _value_at(difference, point, digits)
    if fine is None:
        return None
    value = fine.value
    if abs(value) <= fine.scale * mpmath.mpf(10) ** (-digits * 7 // 10):
        return True
    if abs(value - rough.value) <= abs(value) / 2:
        return False
    # What is only rounding shrinks with the digits; what is a difference stays.
    finer = _value_at(difference, point, 2 * digits)
    return finer is not None and bool(abs(finer.value) < abs(value) * mpmath.mpf(10) ** (-digits // 2))


class _Difference(NamedTuple):
    value: mpmath.mpf
    scale: mpmath.mpf
    """The larger of its two sides."""
    num_digits_apart: int
    """How many digits are between the largest and the smallest number inside."""
    is_real_inside: bool


def _value_at(difference: Operation, point: Point, digits: int) -> _Difference | None:
    """The difference at a point; None if it has no value there."""
    bits, is_real = 0, True

    def watch(value: mpmath.mpf) -> None:
        nonlocal bits, is_real
        is_real = is_real and mpmath.im(value) == 0
        if value and mpmath.isfinite(value):
            bits = max(bits, abs(mpmath.mag(value)))

    with mpmath.workdps(digits):
        try:
            left, right = (evaluate(side, in_precision(point), watch) for side in difference.arguments)
        except NO_VALUE:
            return None
        value, scale = left - right, max(abs(left), abs(right))
        if not mpmath.isfinite(value) or not mpmath.isfinite(scale):
            return None
        return _Difference(value, scale, ceil(bits * DIGITS_PER_BIT), is_real)


def _is_about_complex(tree: Operation) -> bool:
    """Whether a formula speaks of complex numbers: then they may occur inside it."""
    return any(node.kind == "imaginary" for node in nodes(tree))


def real_value(tree: Operation, num_decimals: int, largest: float) -> Fraction | None:
    """The value of a constant to so many decimals; None if it is not real, or larger."""
    with mpmath.workdps(DIGITS):
        try:
            value = evaluate(tree, {})
        except NO_VALUE:
            return None
        if mpmath.im(value) != 0 or not mpmath.isfinite(value) or abs(value) > largest:
            return None
        scale = 10**num_decimals
        return Fraction(int(mpmath.nint(mpmath.re(value) * scale)), scale)


def quotient(left: Operation, right: Operation) -> mpmath.mpf | mpmath.mpc | None:
    """The quotient of two constants; None if one of them is zero, or nearly so, or has no value."""
    with mpmath.workdps(DIGITS):
        try:
            values = evaluate(left, {}), evaluate(right, {})
        except NO_VALUE:
            return None
        if not all(mpmath.isfinite(value) and abs(value) > NEARLY_ZERO for value in values):
            return None
        return mpmath.mpmathify(values[0] / values[1])
