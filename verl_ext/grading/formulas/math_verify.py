"""Math-Verify, for what ``symbolic`` cannot read. Its "equal" counts only if sympy's values confirm it.

It rounds to six decimals, so that ``2^{-99}`` equals ``2^{-98}``. Runs in grading's worker processes only.
"""

import random
import re
from collections.abc import Sequence
from typing import Any

import sympy
from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse, verify

from verl_ext.grading.answers.nodes import Clock, Collection, Group, Node, Ratio, Relation, Scalar
from verl_ext.grading.answers.spelling import normalize
from verl_ext.grading.answers.statements import SUBSCRIPT
from verl_ext.grading.answers.structure import read_structure
from verl_ext.grading.formulas.points import NO_VALUE, SEED
from verl_ext.grading.verdict import Decision, Tier

NUM_POINTS = 8
DIGITS = 50
TOLERANCE = 10**-30
STATED_TOLERANCE = 10**-6
READ = frozenset(
    "frac sqrt binom sum prod int lim to infty pi sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh ln log exp"
    " cup le ge ne pm mp begin end matrix e i dx dy dt dr du alpha beta gamma delta theta lambda mu phi rho sigma tau omega"
    " oo inf lfloor rfloor lceil rceil max min gcd det".split()
)
"""Commands and words that Math-Verify reads as what they mean. What it does not know it drops, and so it calls
``x \\equiv 3 \\pmod 5`` and ``x \\equiv 3 \\pmod 7`` equal, or ``multiples of 3`` and 3: that is not believed."""
LATEX, NUMBERS = LatexExtractionConfig(boxed_match_priority=0), ExprExtractionConfig()
COMMAND = re.compile(r"\\([a-zA-Z]+)")
WORD = re.compile(r"[a-zA-Z]{2,}")
HIDDEN = re.compile(r"[,=<>%]|\\(?:le|ge|ne|in|approx)(?![a-zA-Z])|\.(?!\d)")
ONE_MORE = 7919
TEXT_WITH_A_FORMULA = re.compile(r"[^()\d\\]*\(([^()]*)\)[^()\d\\]*")


def compare_with_math_verify(reference: str, answer: str) -> Decision:
    """Math-Verify's verdict alone, as a user of it would get it for two answers: for the log of disagreements."""
    parsed = [parse(rf"\boxed{{{text}}}", parsing_timeout=0) for text in (reference, answer)]
    return Decision(bool(verify(parsed[0], parsed[1], timeout_seconds=0)), Tier.SYMBOLIC, "math-verify")


def compare_confirmed(reference: str, answer: str) -> Decision | None:
    """Math-Verify's verdict on one answer, confirmed where it is "equal"; None if it cannot parse one of the two."""
    texts = _without_foreign_words(normalize(reference)), _without_foreign_words(normalize(answer))
    parsed = [_parsed_by(LATEX, text) for text in texts]
    if not parsed[0] or not parsed[1]:
        # What it cannot parse as LaTeX it searches for any number, which is then not the answer.
        has_number = all(found or _parsed_by(NUMBERS, text) for found, text in zip(parsed, texts, strict=True))
        return Decision(False, Tier.SYMBOLIC, "math-verify") if has_number else None
    is_equal = (
        all(map(_is_read_whole, texts))
        and _is_called_equal(parsed[0], parsed[1])
        and _is_confirmed(parsed[0][0], parsed[1][0])
        and not any(map(_is_part_of, parsed, texts))
    )
    return Decision(bool(is_equal), Tier.SYMBOLIC, "math-verify")


def _parsed_by(config: LatexExtractionConfig | ExprExtractionConfig, text: str) -> list[Any]:
    # Its own time limit is an alarm signal; here the parent kills what takes too long.
    return list(parse(rf"\boxed{{{text}}}", [config], fallback_mode="no_fallback", parsing_timeout=0))


def _is_part_of(parsed: list[Any], text: str) -> bool:
    r"""Whether the same comes out with a number more: then a part was found in what does not parse, ``3^\sum \frac{2}{1}`` as 2."""
    return _parsed_by(LATEX, f"({text})+{ONE_MORE}") == parsed


def _is_called_equal(reference: list[Any], answer: list[Any]) -> bool:
    """Math-Verify's own word, which depends on the side where an equation stands beside a value: asked both ways there."""
    if verify(reference, answer, timeout_seconds=0):
        return True
    is_mixed = isinstance(reference[0], sympy.Eq) != isinstance(answer[0], sympy.Eq)
    return is_mixed and bool(verify(answer, reference, timeout_seconds=0))


def _without_foreign_words(text: str) -> str:
    """The one formula, in parentheses, among words of a language whose qualifiers nobody here knows."""
    marked = None if text.isascii() else TEXT_WITH_A_FORMULA.fullmatch(text)
    return marked[1] if marked else text


def _is_read_whole(text: str) -> bool:
    """Whether Math-Verify reads all of a normalized answer, and each part as what it is."""
    commands = {match[1] for match in COMMAND.finditer(text)}
    words = WORD.findall(COMMAND.sub(" ", text))
    is_known = text.isascii() and commands <= READ and all(word in READ for word in words)
    return is_known and not _has_hidden_part(read_structure(text))


def _has_hidden_in(text: str) -> bool:
    return HIDDEN.search(SUBSCRIPT.sub("", text)) is not None  # a sum's bounds are read


def _has_hidden_part(node: Node) -> bool:
    """Whether a formula has inside what Math-Verify drops (the sign of ``-(1,2)``) or takes for all (``50%``), or is a ratio."""
    match node:
        case Ratio() | Clock():
            return True
        case Scalar():
            return _has_hidden_in(node.text)
        case Relation():
            return any(map(_has_hidden_in, node.parts))
        case Group() | Collection():
            return any(map(_has_hidden_part, node.items))
    return False


def _is_confirmed(reference: Any, answer: Any) -> bool:
    """Whether two sympy objects that Math-Verify calls equal are so to many digits, part by part.

    Values, tuples, sets, matrices, intervals, unions, relations and chains of them are checked here; what else it calls
    equal counts only if both are one object.
    """
    reference, answer = _evaluated(reference), _evaluated(answer)
    match reference, answer:
        case sympy.Eq(), sympy.Expr():
            return _is_value_of(reference, answer)
        case sympy.Expr(), sympy.Eq():
            return _is_value_of(answer, reference)
        case sympy.Expr(), sympy.Expr():
            return reference == answer or _agree(reference, answer)
        case sympy.Tuple(), sympy.Tuple():
            return len(reference) == len(answer) and all(map(_is_confirmed, reference, answer))
        case sympy.MatrixBase(), sympy.MatrixBase():
            return reference.shape == answer.shape and all(map(_is_confirmed, reference, answer))
        case sympy.Interval(), sympy.Interval():
            ends = (reference.left_open, reference.right_open) == (answer.left_open, answer.right_open)
            return ends and all(map(_is_confirmed, reference.args[:2], answer.args[:2]))
        case sympy.core.relational.Relational(), sympy.core.relational.Relational():
            return _is_same_relation(reference, answer)
    for kind in (sympy.FiniteSet, sympy.Union, sympy.And):
        if isinstance(reference, kind) and isinstance(answer, kind):
            return _is_covered(reference.args, answer.args) and _is_covered(answer.args, reference.args)
    return bool(reference == answer)


def _evaluated(formula: Any) -> Any:
    """Sums of matrices and limits, worked out."""
    if isinstance(formula, sympy.MatrixExpr):
        return formula.doit().as_explicit()
    return formula.doit() if isinstance(formula, sympy.Expr) and formula.has(sympy.Limit) else formula


def _is_value_of(equation: Any, value: Any) -> bool:
    """``x = 2`` against 2, and an equation between numbers, which has to hold."""
    is_named = equation.lhs.is_Symbol and equation.lhs not in equation.rhs.free_symbols
    return _is_confirmed(equation.rhs, value) and (is_named or _is_confirmed(equation.lhs, equation.rhs))


def _is_covered(items: Sequence[Any], others: Sequence[Any]) -> bool:
    return all(any(_is_confirmed(item, other) for other in others) for item in items)


def _is_same_relation(reference: Any, answer: Any) -> bool:
    """Whether the sides are the same, in order or turned around."""
    return any(
        reference.func == other.func and all(map(_is_confirmed, reference.args, other.args))
        for other in (answer, answer.reversed)
    )


def _agree(reference: Any, answer: Any) -> bool:
    """Whether two expressions have the same value wherever both have one, of a few random points."""
    symbols = sorted(reference.free_symbols | answer.free_symbols, key=str)
    generator = random.Random(SEED)
    is_sum = any(formula.has(sympy.Sum, sympy.Product) for formula in (reference, answer))  # of so many terms
    num_valid = 0
    for _ in range(NUM_POINTS if symbols else 1):
        point = {symbol: generator.randint(1, 20) if is_sum else generator.uniform(0.3, 3.0) for symbol in symbols}
        left, right = (_value_at(formula, point) for formula in (reference, answer))
        if left is None or right is None:
            continue
        num_valid += 1
        is_close = abs(left - right) <= max(abs(left), abs(right)) * TOLERANCE
        if not is_close and not _differ_by_stated_digits(reference, answer, symbols):
            return False
    return num_valid > 0


def _value_at(formula: Any, point: dict[Any, Any]) -> Any:
    """A finite number to ``DIGITS`` digits, or None."""
    there = formula.subs(point)
    try:
        value = there.evalf(DIGITS)
        if not _is_number(value):  # sums of sums have to be worked out
            value = there.doit().evalf(DIGITS)
    except (*NO_VALUE, NotImplementedError):  # a sum that diverges, a pole
        return None
    return value if _is_number(value) and value.is_finite else None


def _is_number(value: Any) -> bool:
    try:
        complex(value)
    except (TypeError, ValueError):  # something is left that is no number
        return False
    return True


def _differ_by_stated_digits(reference: Any, answer: Any, symbols: list[Any]) -> bool:
    """A decimal of six digits or more against an exact constant is as close as it can be."""
    if symbols or not (reference.is_Float or answer.is_Float):
        return False
    difference = abs(reference.evalf(DIGITS) - answer.evalf(DIGITS))
    return bool(difference < STATED_TOLERANCE * max(1, abs(answer.evalf(DIGITS))))
