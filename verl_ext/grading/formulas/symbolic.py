r"""The last tier: are two formulas equal? By value at points, to many digits; Math-Verify where that cannot tell.

Runs in worker processes only, which bound its time and memory. Two formulas of ``expression``'s grammar are compared at
seeded random points in 50 digits, and again in 120 before they are called different, so that neither rounding (1/2004!
is not 1/2006!) nor cancellation decides. Everything else goes to Math-Verify, one answer at a time; because it rounds
to six decimals and lets types through, its "equal" counts only if nothing here contradicts it.
"""

import random
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from typing import Any

import mpmath

from verl_ext.grading.answers import structure as st
from verl_ext.grading.answers.compare import compare
from verl_ext.grading.answers.numbers import is_stated, is_terminating, read_exact
from verl_ext.grading.answers.spelling import normalize
from verl_ext.grading.formulas.expression import ExpressionError, Operation, TooComplexError, evaluate, names_of, parse
from verl_ext.grading.verdict import Decision, Tier

NUM_POINTS = 8
MIN_VALID_POINTS = 3
DIGITS, MORE_DIGITS = 50, 120
NO_VALUE = (ZeroDivisionError, ValueError, OverflowError, TypeError)


def compare_symbolically(reference: str, answer: str) -> Decision:
    """Decide what the tiers before could not. ``is_same`` is None where nothing here can read one of the two."""
    try:
        decision = compare(reference, answer, leaf=same_formula)
    except TooComplexError as error:
        return Decision(None, Tier.SYMBOLIC, f"too complex: {error}")
    if decision.is_same is not None:
        return decision
    is_equal = math_verify_says(reference, answer)
    if is_equal is None:
        return Decision(None, Tier.SYMBOLIC, "not understood")
    return Decision(is_equal, Tier.SYMBOLIC, "math-verify")


def compare_with_math_verify(reference: str, answer: str) -> Decision:
    """Math-Verify's verdict alone, as a user of it would get it for two answers: for the log of disagreements."""
    from math_verify import parse, verify

    parsed = [parse(rf"\boxed{{{text}}}", parsing_timeout=0) for text in (reference, answer)]
    return Decision(bool(verify(parsed[0], parsed[1], timeout_seconds=0)), Tier.SYMBOLIC, "math-verify")


def same_formula(reference: str, answer: str) -> bool | None:
    """Compare two normalised scalars, equations or inequalities; None if one of them cannot be read."""
    left, right = st.read_structure(reference), st.read_structure(answer)
    if isinstance(left, st.Relation) and isinstance(right, st.Relation):
        return _same_relation(left, right)
    if isinstance(left, st.Relation) or isinstance(right, st.Relation):
        return None
    if r"\infty" in reference or r"\infty" in answer:
        return False if _is_constant(reference) or _is_constant(answer) else None
    reference, answer = (_as_formula(node, text) for node, text in ((left, reference), (right, answer)))
    trees = _parsed(reference), _parsed(answer)
    if trees[0] is None or trees[1] is None:
        return None
    is_same = _same_value(trees[0], trees[1])
    if is_same is False and not names_of(trees[0]) | names_of(trees[1]):
        return _is_stated_decimal(reference, trees[1]) or _is_stated_decimal(answer, trees[0])
    return is_same


def _as_formula(node: st.Node, text: str) -> str:
    if isinstance(node, st.Ratio):
        return "/".join(f"({part.text})" for part in node.parts if isinstance(part, st.Scalar))
    return text


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Operation | None:
    try:
        return parse(text)
    except TooComplexError:
        raise
    except ExpressionError:
        return None


def _is_constant(text: str) -> bool:
    tree = _parsed(text)
    return tree is not None and not names_of(tree)


def _same_value(left: Operation, right: Operation) -> bool | None:
    """Whether two trees agree wherever both have a value; None if one is too complex or hardly anywhere defined."""

    def difference(values: dict[str, Any]) -> tuple[Any, Any]:
        a, b = evaluate(left, values), evaluate(right, values)
        return a - b, max(abs(a), abs(b))

    names = sorted(names_of(left) | names_of(right))
    return _vanishes(difference, names)


def _vanishes(difference: Callable[[dict[str, Any]], tuple[Any, Any]], names: list[str]) -> bool | None:
    """Whether a function of the names is zero at random points, against the scale it reports beside its value."""
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


def _is_zero_at(
    difference: Callable[[dict[str, Any]], tuple[Any, Any]], point: dict[str, float], *, needs_real: bool
) -> bool | None:
    sizes = []
    for digits in (DIGITS, MORE_DIGITS):
        with mpmath.workdps(digits):
            try:
                value, scale = difference({name: mpmath.mpf(x) for name, x in point.items()})
            except TooComplexError:
                raise
            except NO_VALUE:
                return None
            if not mpmath.isfinite(value) or not mpmath.isfinite(scale):
                return None
            if needs_real and mpmath.im(value) != 0:
                return None  # outside the reals: there, branches differ that no answer means
            size = abs(value)
            is_small = size <= scale * mpmath.mpf(10) ** (-digits * 7 // 10)
            if is_small and (digits == MORE_DIGITS or size == 0):
                return True
            sizes.append(size)
    # What is only rounding shrinks with the digits; what is a difference stays.
    return bool(sizes[1] < sizes[0] * mpmath.mpf(10) ** (-MORE_DIGITS // 3))


def _is_stated_decimal(decimal: str, value: Operation) -> bool:
    """Whether ``decimal`` is an irrational value to the three or more digits behind its point."""
    number = read_exact(decimal)
    if number is None or number.num_decimals is None or number.is_percent or value.kind == "number":
        return False
    with mpmath.workdps(DIGITS):
        try:
            exact = evaluate(value, {})
        except TooComplexError:
            raise
        except NO_VALUE:
            return False
        if mpmath.im(exact) != 0 or not mpmath.isfinite(exact) or abs(exact) > 1e12:
            return False
        rational = Fraction(int(mpmath.nint(exact * 10**30)), 10**30)
    # 0.125 for 1/8 is exact, and 0.13 for it is not rounding but another number.
    nearest = rational.limit_denominator(10**9)
    if is_terminating(nearest) and abs(nearest - rational) < Fraction(1, 10**25):
        return False
    return is_stated(number.value, number.num_decimals, rational)


FLIPPED = {"<": ">", ">": "<", r"\le": r"\ge", r"\ge": r"\le", "=": "=", r"\ne": r"\ne"}


def _same_relation(reference: st.Relation, answer: st.Relation) -> bool | None:
    """Two equations are the same if one side minus the other is, up to a constant factor; two inequalities likewise."""
    if len(reference.parts) != 2 or len(answer.parts) != 2:
        return None
    operators = reference.operators[0], answer.operators[0]
    if operators[0] not in FLIPPED or operators[1] not in FLIPPED:
        return None
    trees = [_parsed(part) for part in (*reference.parts, *answer.parts)]
    if any(tree is None for tree in trees):
        return None
    a, b, c, d = (tree for tree in trees if tree is not None)
    names = sorted(frozenset().union(*(names_of(tree) for tree in (a, b, c, d))))

    def sides(values: dict[str, Any]) -> tuple[Any, Any]:
        return evaluate(a, values) - evaluate(b, values), evaluate(c, values) - evaluate(d, values)

    anchor = {name: 0.7 + 0.41 * index for index, name in enumerate(names)}
    with mpmath.workdps(MORE_DIGITS):
        try:
            first, second = sides({name: mpmath.mpf(x) for name, x in anchor.items()})
        except TooComplexError:
            raise
        except NO_VALUE:
            return None
        if first == 0 or second == 0:
            return None
        factor = first / second
    is_flipped = mpmath.im(factor) == 0 and factor < 0
    if operators[0] != (FLIPPED[operators[1]] if is_flipped else operators[1]):
        return False

    def difference(values: dict[str, Any]) -> tuple[Any, Any]:
        left, right = sides(values)
        return left * second - right * first, max(abs(left * second), abs(right * first))

    return _vanishes(difference, names)


def math_verify_says(reference: str, answer: str) -> bool | None:
    """Math-Verify's opinion on one answer, re-checked; None if it cannot parse one of the two."""
    from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse, verify

    configs = [LatexExtractionConfig(boxed_match_priority=0), ExprExtractionConfig()]
    # Its own time limit is an alarm signal; here the parent kills what takes too long.
    parsed = [
        parse(rf"\boxed{{{normalize(text)}}}", configs, fallback_mode="no_fallback", parsing_timeout=0)
        for text in (reference, answer)
    ]
    if not parsed[0] or not parsed[1]:
        return None
    if not verify(parsed[0], parsed[1], timeout_seconds=0):
        return False
    return _is_confirmed(parsed[0][0], parsed[1][0])


def _is_confirmed(reference: Any, answer: Any) -> bool:
    """Whether two sympy objects that Math-Verify calls equal are so to many digits, entry by entry."""
    import sympy

    if isinstance(reference, sympy.Expr) and isinstance(answer, sympy.Expr):
        return _agree(reference, answer)
    if isinstance(reference, sympy.Tuple) and isinstance(answer, sympy.Tuple):
        return len(reference) == len(answer) and all(map(_is_confirmed, reference, answer))
    if isinstance(reference, sympy.FiniteSet) and isinstance(answer, sympy.FiniteSet):
        return all(any(_is_confirmed(item, other) for other in answer) for item in reference)
    if isinstance(reference, sympy.MatrixBase) and isinstance(answer, sympy.MatrixBase):
        return reference.shape == answer.shape and all(map(_is_confirmed, reference, answer))
    return True


def _agree(reference: Any, answer: Any) -> bool:
    symbols = sorted(reference.free_symbols | answer.free_symbols, key=str)
    generator = random.Random(2506_01347)
    num_valid = 0
    for _ in range(NUM_POINTS if symbols else 1):
        point = {symbol: generator.uniform(0.3, 3.0) for symbol in symbols}
        values = [formula.subs(point).evalf(DIGITS) for formula in (reference, answer)]
        if not all(value.is_number and value.is_finite for value in values):
            continue
        num_valid += 1
        size = max(abs(values[0]), abs(values[1]))
        if abs(values[0] - values[1]) > size * 10**-30 and not _differ_by_stated_digits(reference, answer, symbols):
            return False
    return num_valid > 0


def _differ_by_stated_digits(reference: Any, answer: Any, symbols: list[Any]) -> bool:
    """A decimal of six digits or more against an exact constant is as close as it can be."""
    if symbols or not (reference.is_Float or answer.is_Float):
        return False
    difference = abs(reference.evalf(DIGITS) - answer.evalf(DIGITS))
    return bool(difference < 10**-6 * max(1, abs(answer.evalf(DIGITS))))
