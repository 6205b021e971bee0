r"""The form of an answer apart from its value: a reduced fraction, an expanded sum, a product of so many sums.

For tasks whose questions ask for a form ("factor", "expand", "as a common fraction"), under ``form=as_reference``. Read
off the normalized string; whether two answers have the same value is not asked here.
"""

import re
from collections.abc import Iterator
from math import isqrt

from verl_ext.grading.answers.brackets import brackets, is_balanced, outside
from verl_ext.grading.answers.nodes import Collection, Group, Relation, Scalar, to_latex
from verl_ext.grading.answers.numbers import read_exact
from verl_ext.grading.answers.spelling import normalize
from verl_ext.grading.answers.statements import value_of
from verl_ext.grading.answers.structure import read_structure

FRACTION = re.compile(
    r"(?P<sign>[-+]?\s*)(?:\\frac\s*\{(?P<top>[^{}]*)\}\s*\{(?P<bottom>[^{}]*)\}|(?P<over>\d+)\s*/\s*(?P<under>\d+))"
)
MIXED = re.compile(r"[-+]?\s*\d+\s*(?:\\frac|\s\d+\s*/)")
SCIENTIFIC = re.compile(r"10\s*\^|\d[eE][-+]?\d")
SIGN = re.compile(r"(?<=[\w)}\]!])\s*[-+]")
GROUP = re.compile(
    r"(?P<function>(?:arc|a)?(?:sin|cos|tan|cot|sec|csc)h?|log|lg|ln|exp|[fghFGH])?\s*\((?P<inside>[^()]*)\)"
    r"\s*(?:\^\s*\{?(?P<power>\d)\}?)?"
)
SQUARE_ROOT = re.compile(r"\\sqrt\{(\d{1,12})\}")
ROOT_BELOW = re.compile(r"\\frac\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}\{[^{}]*\\sqrt|/\s*\(?\s*\d*\\sqrt")


def has_form_of(reference: str, answer: str) -> bool:
    """Whether every part of the answer has a form that a part of the reference has."""
    return set(_forms(normalize(answer))) <= set(_forms(normalize(reference)))


def _forms(text: str) -> Iterator[str]:
    node = read_structure(text)
    match node:
        case Scalar():
            yield form_of(node.text)
        case Group() | Collection():
            for item in node.items:
                yield from _forms(to_latex(item))
        case Relation():
            value = value_of(node)
            if value is not None:
                yield from _forms(value)


def form_of(text: str) -> str:
    """The form of a normalized scalar, in words."""
    number = read_exact(text)
    if number is not None:
        return _form_of_number(text)
    if not is_balanced(brackets(text)):
        return "a term"
    num_factors = sum(
        int(match["power"] or 1) for match in GROUP.finditer(text) if not match["function"] and _is_sum(match["inside"])
    )
    shape = _shape(text, num_factors)
    flaws = [
        *(
            ["a root with a square inside"]
            if any(_has_square(int(match[1])) for match in SQUARE_ROOT.finditer(text))
            else []
        ),
        *(["a root in a denominator"] if ROOT_BELOW.search(text) else []),
    ]
    return " with ".join([shape, *flaws])


def _form_of_number(text: str) -> str:
    if MIXED.match(text):
        return "a mixed number"
    if SCIENTIFIC.search(text):
        return "scientific notation"
    fraction = FRACTION.match(text)
    if fraction is None:
        return "a number"
    top, bottom = fraction["top"] or fraction["over"], fraction["bottom"] or fraction["under"]
    value = read_exact(f"{top}/{bottom}")
    is_reduced = value is not None and str(value.value.denominator) == bottom.strip() != "1"
    return "a fraction" if is_reduced else "a fraction not in lowest terms"


def _shape(text: str, num_factors: int) -> str:
    if _is_sum(text):
        return "a sum with products of sums" if num_factors else "an expanded sum"
    return f"a product of sums, {num_factors} of them" if num_factors else "a term"


def _is_sum(text: str) -> bool:
    return any(True for _ in outside(text, SIGN))


def _has_square(radicand: int) -> bool:
    return any(radicand % (factor * factor) == 0 for factor in range(2, min(isqrt(radicand), 1000) + 1))
