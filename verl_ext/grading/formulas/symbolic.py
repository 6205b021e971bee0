r"""The last tier: are two formulas equal? By value at points, to many digits; Math-Verify where that cannot tell.

Runs in worker processes only, which bound its time and memory. Two formulas of ``expression``'s grammar are compared at
seeded random points in 50 digits, and again in 120 before they are called different, so that neither rounding (1/2004!
is not 1/2006!) nor cancellation decides. Everything else goes to Math-Verify, one answer at a time.
"""

import random
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from typing import Any

import mpmath

from verl_ext.grading.answers import structure as st
from verl_ext.grading.answers.compare import same_structure
from verl_ext.grading.answers.numbers import is_stated, is_terminating, read_exact
from verl_ext.grading.answers.spelling import normalize
from verl_ext.grading.answers.tiers import compare_numbers, compare_strings, first_decision
from verl_ext.grading.formulas.expression import ExpressionError, Operation, TooComplexError, evaluate, names_of, parse
from verl_ext.grading.formulas.math_verify import compare_confirmed
from verl_ext.grading.verdict import Decision, Tier

NUM_POINTS = 8
MIN_VALID_POINTS = 3
DIGITS, MORE_DIGITS = 50, 120
LARGEST_STATED = 1e12
NO_VALUE = (ZeroDivisionError, ValueError, OverflowError, TypeError)
FLIPPED = {"<": ">", ">": "<", r"\le": r"\ge", r"\ge": r"\le", "=": "=", r"\ne": r"\ne"}

Values = dict[str, Any]
"""A point: the value of each name."""
Difference = Callable[[Values], tuple[Any, Any]]
"""What is zero where two formulas agree, and the size of what was subtracted."""


def compare_symbolically(reference: str, answer: str) -> Decision:
    """Decide what the tiers before could not. ``is_same`` is None where nothing here can read one of the two."""
    try:
        decision = first_decision(TIERS, reference, answer)
    except TooComplexError as error:
        return Decision(None, Tier.SYMBOLIC, f"too complex: {error}")
    return decision or Decision(None, Tier.SYMBOLIC, "not understood")


def compare_formulas(reference: str, answer: str) -> Decision | None:
    """Typed answers, part by part, with their formulas compared by value."""
    is_same = same_structure(normalize(reference), normalize(answer), same_formula)
    return None if is_same is None else Decision(is_same, Tier.SYMBOLIC)


TIERS = (compare_strings, compare_numbers, compare_formulas, compare_confirmed)


def same_formula(reference: str, answer: str) -> bool | None:
    """Compare two normalized scalars, equations or inequalities; None if one of them cannot be read."""
    left, right = st.read_structure(reference), st.read_structure(answer)
    if isinstance(left, st.Relation) and isinstance(right, st.Relation):
        return _same_relation(left, right)
    if isinstance(left, st.Relation) or isinstance(right, st.Relation):
        return None
    if st.INFINITY in reference or st.INFINITY in answer:
        return False if _is_constant(reference) or _is_constant(answer) else None
    return _same_scalar(_as_formula(left, reference), _as_formula(right, answer))


def _as_formula(node: st.Node, text: str) -> str:
    return st.to_latex(node) if isinstance(node, st.Ratio) else text


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Operation | None:
    try:
        return parse(text)
    except ExpressionError:
        return None


def _is_constant(text: str) -> bool:
    tree = _parsed(text)
    return tree is not None and not names_of(tree)


def _same_scalar(reference: str, answer: str) -> bool | None:
    """Whether two formulas agree wherever both have a value; None if one cannot be read or is hardly anywhere defined."""
    left, right = _parsed(reference), _parsed(answer)
    if left is None or right is None:
        return None

    def difference(values: Values) -> tuple[Any, Any]:
        a, b = evaluate(left, values), evaluate(right, values)
        return a - b, max(abs(a), abs(b))

    names = sorted(names_of(left) | names_of(right))
    is_same = _vanishes(difference, names)
    if is_same is False and not names:
        return _is_stated_decimal(reference, right) or _is_stated_decimal(answer, left)
    return is_same


def _vanishes(difference: Difference, names: list[str]) -> bool | None:
    """Whether a function of the names is zero at random points; None if too few of them give it a value."""
    generator = random.Random(2506_01347)
    num_valid = 0
    for point in range(NUM_POINTS if names else 1):
        # The first half positive, where roots and logarithms are defined; then of either sign.
        low = 0.3 if point < NUM_POINTS // 2 else -3.0
        values = {name: generator.uniform(low, 3.0) for name in names}
        is_zero = _is_zero_at(difference, values, needs_real=point >= NUM_POINTS // 2)
        if is_zero is False:
            return False
        num_valid += is_zero is not None
    return True if num_valid >= (MIN_VALID_POINTS if names else 1) else None


def _is_zero_at(difference: Difference, point: dict[str, float], *, needs_real: bool) -> bool | None:
    sizes = []
    for digits in (DIGITS, MORE_DIGITS):
        with mpmath.workdps(digits):
            try:
                value, scale = difference({name: mpmath.mpf(x) for name, x in point.items()})
            except NO_VALUE:
                return None
            if not mpmath.isfinite(value) or not mpmath.isfinite(scale):
                return None
            if needs_real and mpmath.im(value) != 0:
                return None  # outside the reals: there, branches differ that no answer means
            size = abs(value)
            if size == 0 or (digits == MORE_DIGITS and size <= scale * mpmath.mpf(10) ** (-digits * 7 // 10)):
                return True
            sizes.append(size)
    # What is only rounding shrinks with the digits; what is a difference stays.
    return bool(sizes[1] < sizes[0] * mpmath.mpf(10) ** (-MORE_DIGITS // 3))


def _is_stated_decimal(decimal: str, tree: Operation) -> bool:
    """Whether ``decimal`` is an irrational value to the three or more digits behind its point."""
    number = read_exact(decimal)
    if number is None or number.num_decimals is None or number.is_percent or tree.kind == "number":
        return False
    value = _real_value(tree)
    if value is None:
        return False
    # 0.125 for 1/8 is exact, and 0.13 for it is not rounding but another number.
    nearest = value.limit_denominator(10**9)
    if is_terminating(nearest) and abs(nearest - value) < Fraction(1, 10**25):
        return False
    return is_stated(number.value, number.num_decimals, value)


def _real_value(tree: Operation) -> Fraction | None:
    """The value of a constant to 30 decimals; None if it is not real, or too large to be stated in decimals."""
    with mpmath.workdps(DIGITS):
        try:
            value = evaluate(tree, {})
        except NO_VALUE:
            return None
        if mpmath.im(value) != 0 or not mpmath.isfinite(value) or abs(value) > LARGEST_STATED:
            return None
        return Fraction(int(mpmath.nint(mpmath.re(value) * 10**30)), 10**30)


def _same_relation(reference: st.Relation, answer: st.Relation) -> bool | None:
    """Two equations are the same if one side minus the other is, up to a constant factor; two inequalities likewise."""
    if len(reference.parts) != 2 or len(answer.parts) != 2:
        return None
    operator, other_operator = reference.operators[0], answer.operators[0]
    if operator not in FLIPPED or other_operator not in FLIPPED:
        return None
    left, right = _left_minus_right(reference), _left_minus_right(answer)
    if left is None or right is None:
        return None
    names = sorted(names_of(left) | names_of(right))
    anchors = _values_at_anchor(left, right, names)
    if anchors is None:
        return None
    left_at_anchor, right_at_anchor, is_flipped = anchors
    if operator != (FLIPPED[other_operator] if is_flipped else other_operator):
        return False

    def difference(values: Values) -> tuple[Any, Any]:
        a, b = evaluate(left, values) * right_at_anchor, evaluate(right, values) * left_at_anchor
        return a - b, max(abs(a), abs(b))

    return _vanishes(difference, names)


def _left_minus_right(relation: st.Relation) -> Operation | None:
    left, right = map(_parsed, relation.parts)
    return None if left is None or right is None else Operation("subtract", (left, right))


def _values_at_anchor(left: Operation, right: Operation, names: list[str]) -> tuple[Any, Any, bool] | None:
    """Two values at one point, and whether their quotient is negative; None if one is zero or none."""
    with mpmath.workdps(MORE_DIGITS):
        anchor = {name: mpmath.mpf(0.7 + 0.41 * index) for index, name in enumerate(names)}
        try:
            values = evaluate(left, anchor), evaluate(right, anchor)
        except NO_VALUE:
            return None
        if 0 in values:
            return None
        factor = values[0] / values[1]
        return *values, bool(mpmath.im(factor) == 0 and mpmath.re(factor) < 0)
