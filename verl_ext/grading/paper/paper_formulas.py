"""How the paper compares two formulas: sympy's ``parse_expr``, which runs them as Python, then latex2sympy2.

Runs in grading's worker processes only, and there in a child of its own that has no rights (``workers.child``), for as long
as the paper waits, counted in processor time. The smaller
namespace that ``parse_expr`` gets is no barrier, because sympy reads strings inside a formula with the full one.
"""

import math
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import sympy
from latex2sympy2_extended import latex2sympy
from sympy.parsing.sympy_parser import parse_expr

from verl_ext.grading.paper.rules import RELATIVE_TOLERANCE, same_answer
from verl_ext.grading.verdict import Decision, Tier
from verl_ext.grading.workers.child import say_without_rights

PROCESSOR_SECONDS = 1.0
HARMLESS_BUILTINS = (abs, all, any, bin, chr, divmod, hash, hex, isinstance, len, oct, ord, pow, round, sorted, sum)
"""Of those that sympy passes on, which change verdicts: ``len("abc")`` is 3."""
MATRIX_DECIMALS = 3
YES, NO = b"1", b"0"


def warm_up() -> None:
    """Do what every child would have to do again: build the namespace, load both parsers."""
    for parse in PARSERS:
        parse("x + 1")


def compare_in_child(reference: str, answer: str) -> Decision:
    """Decide by the paper's rules.

    Raises:
        TimeoutError: The time was up.
        OSError: The machine cannot confine the child.
    """
    said = say_without_rights(partial(_say, reference, answer), max_bytes=1, seconds=PROCESSOR_SECONDS)
    detail = "" if said in {NO, YES} else "the comparison ended by itself"
    return Decision(said == YES, Tier.SYMBOLIC, detail)


def _say(reference: str, answer: str) -> bytes:
    return YES if _attempt(lambda: same_answer(answer, reference, equal_formulas)) is True else NO


@cache
def namespace() -> dict[str, Any]:
    """What a formula can name: sympy, and the functions that change a verdict."""
    names: dict[str, Any] = {name: getattr(sympy, name) for name in sympy.__all__}
    names.update({function.__name__: function for function in HARMLESS_BUILTINS})
    return names | {"max": sympy.Max, "min": sympy.Min, "__builtins__": {}}


def equal_formulas(answer: str, reference: str) -> bool:
    """The paper's chain of attempts. What cannot be parsed stays a string."""
    left, right = _parsed(answer), _parsed(reference)
    return any(
        _attempt(test) is True
        for test in (
            lambda: str(left) == str(right) or bool(left == right),
            lambda: bool(left.equals(right)) or bool(sympy.simplify(left - right) == 0),
            lambda: bool(abs(left.lhs - left.rhs).equals(abs(right.lhs - right.rhs))),
            lambda: math.isclose(float(sympy.N(right)), float(sympy.N(left)), rel_tol=RELATIVE_TOLERANCE),
            lambda: left.shape == right.shape and bool(_rounded(left).equals(_rounded(right))),
        )
    )


def _parsed(text: str) -> Any:
    for parse in PARSERS:
        for spelling in (text.replace("\\\\", "\\"), text):
            parsed = _attempt(partial(parse, spelling))
            if parsed is not None:
                return parsed
    return text


def _read_as_latex(text: str) -> Any:
    """Without what latex2sympy2_extended adds and latex2sympy2 lacks: its normalization, sets, intervals, Unicode."""
    formula = latex2sympy(text, normalization_config=None) if text.isascii() else None
    return None if isinstance(formula, sympy.Set) else formula


def _run_as_python(text: str) -> Any:
    return parse_expr(text, global_dict=dict(namespace()))


PARSERS: tuple[Callable[[str], Any], ...] = (_run_as_python, _read_as_latex)
"""In the paper's code sympy's ``parse_latex`` is the first, and fails always: its parser is for another antlr."""


def _rounded(matrix: Any) -> Any:
    return matrix.applyfunc(lambda entry: round(entry, MATRIX_DECIMALS))


def _attempt(action: Callable[[], Any]) -> Any:
    try:
        return action()
    except BaseException:  # noqa: BLE001 - the paper's own, and an answer may raise SystemExit: what fails decides nothing
        return None
