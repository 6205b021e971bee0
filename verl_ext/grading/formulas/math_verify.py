"""Math-Verify, for what ``symbolic`` cannot read. Its "equal" counts only if sympy's values confirm it.

It rounds to six decimals, so that ``2^{-99}`` equals ``2^{-98}``. Runs in grading's worker processes only.
"""

import random
from typing import Any

import sympy
from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse, verify

from verl_ext.grading.answers.spelling import normalize
from verl_ext.grading.verdict import Decision, Tier

NUM_POINTS = 8
DIGITS = 50
TOLERANCE = 10**-30
STATED_TOLERANCE = 10**-6


def compare_with_math_verify(reference: str, answer: str) -> Decision:
    """Math-Verify's verdict alone, as a user of it would get it for two answers: for the log of disagreements."""
    parsed = [parse(rf"\boxed{{{text}}}", parsing_timeout=0) for text in (reference, answer)]
    return Decision(bool(verify(parsed[0], parsed[1], timeout_seconds=0)), Tier.SYMBOLIC, "math-verify")


def compare_confirmed(reference: str, answer: str) -> Decision | None:
    """Math-Verify's verdict on one answer, confirmed where it is "equal"; None if it cannot parse one of the two."""
    configs = [LatexExtractionConfig(boxed_match_priority=0), ExprExtractionConfig()]
    # Its own time limit is an alarm signal; here the parent kills what takes too long.
    parsed = [
        parse(rf"\boxed{{{normalize(text)}}}", configs, fallback_mode="no_fallback", parsing_timeout=0)
        for text in (reference, answer)
    ]
    if not parsed[0] or not parsed[1]:
        return None
    is_equal = verify(parsed[0], parsed[1], timeout_seconds=0) and _is_confirmed(parsed[0][0], parsed[1][0])
    return Decision(bool(is_equal), Tier.SYMBOLIC, "math-verify")


def _is_confirmed(reference: Any, answer: Any) -> bool:
    """Whether two sympy objects that Math-Verify calls equal are so to many digits, entry by entry."""
    match reference, answer:
        case sympy.Expr(), sympy.Expr():
            return _agree(reference, answer)
        case sympy.Tuple(), sympy.Tuple():
            return len(reference) == len(answer) and all(map(_is_confirmed, reference, answer))
        case sympy.FiniteSet(), sympy.FiniteSet():
            return all(any(_is_confirmed(item, other) for other in answer) for item in reference)
        case sympy.MatrixBase(), sympy.MatrixBase():
            return reference.shape == answer.shape and all(map(_is_confirmed, reference, answer))
    return True


def _agree(reference: Any, answer: Any) -> bool:
    """Whether two expressions have the same value wherever both have one, of a few random points."""
    symbols = sorted(reference.free_symbols | answer.free_symbols, key=str)
    generator = random.Random(2506_01347)
    num_valid = 0
    for _ in range(NUM_POINTS if symbols else 1):
        point = {symbol: generator.uniform(0.3, 3.0) for symbol in symbols}
        left, right = (formula.subs(point).evalf(DIGITS) for formula in (reference, answer))
        if not all(value.is_number and value.is_finite for value in (left, right)):
            continue
        num_valid += 1
        is_close = abs(left - right) <= max(abs(left), abs(right)) * TOLERANCE
        if not is_close and not _differ_by_stated_digits(reference, answer, symbols):
            return False
    return num_valid > 0


def _differ_by_stated_digits(reference: Any, answer: Any, symbols: list[Any]) -> bool:
    """A decimal of six digits or more against an exact constant is as close as it can be."""
    if symbols or not (reference.is_Float or answer.is_Float):
        return False
    difference = abs(reference.evalf(DIGITS) - answer.evalf(DIGITS))
    return bool(difference < STATED_TOLERANCE * max(1, abs(answer.evalf(DIGITS))))
