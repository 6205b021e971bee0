r"""Arithmetic of tuples, component by component: ``\frac12(2,4)`` and ``(0,1)+(1,1)`` are ``(1,2)``; ``-(1,2)`` is not."""

import re
from collections.abc import Callable
from itertools import pairwise

from verl_ext.grading.answers import structure as st
from verl_ext.grading.answers.brackets import brackets, is_balanced, outside
from verl_ext.grading.answers.spelling import normalize
from verl_ext.grading.verdict import Decision, Tier, all_true

SIGN = re.compile(r"(?<=[)\]}\w])\s*[-+]")

SamePart = Callable[[str, str], bool | None]


def compare_vectors(reference: str, answer: str, same_part: SamePart) -> Decision | None:
    """Two sums of multiples of tuples; None if one is none."""
    left, right = read_vector(normalize(reference)), read_vector(normalize(answer))
    if left is None or right is None:
        return None
    if len(left) != len(right):
        return Decision(False, Tier.SYMBOLIC, "vectors")
    is_same = all_true([same_part(*pair) for pair in zip(left, right, strict=True)])
    return None if is_same is None else Decision(is_same, Tier.SYMBOLIC, "vectors")


def read_vector(text: str) -> list[str] | None:
    """The components of a sum of multiples of tuples, as formulas; None if the text is none."""
    if not is_balanced(brackets(text)):
        return None
    places = [0, *(match.end() - 1 for match in outside(text, SIGN)), len(text)]
    terms = [_read_term(text[start:end].strip()) for start, end in pairwise(places) if start < end]
    components = [term for term in terms if term is not None]
    if not components or len(components) < len(terms) or len(set(map(len, components))) > 1:
        return None
    return ["+".join(parts) for parts in zip(*components, strict=True)]


def _read_term(text: str) -> list[str] | None:
    multiple = st.split_multiple(text)
    if multiple is None or not all(isinstance(st.read_structure(entry), st.Scalar) for entry in multiple[1]):
        return None
    return [f"({multiple[0]})({entry})" for entry in multiple[1]]
