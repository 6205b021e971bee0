"""The tiers that need no worker: equal strings, equal numbers, and typed answers that are the same part by part.

A tier takes a reference and an answer as their authors wrote them, and returns its decision, or None to leave it to the
next tier. None of them parses LaTeX, and none loosens what an earlier one has decided.
"""

import re
from collections.abc import Callable, Sequence

from verl_ext.grading.answers.compare import same_structure
from verl_ext.grading.answers.conventions import DEFAULTS, Conventions
from verl_ext.grading.answers.leaf import Leaf, unread
from verl_ext.grading.answers.numbers import same_number
from verl_ext.grading.answers.spelling import DEGREE, key, normalize, normalize_pair
from verl_ext.grading.verdict import Decision, Tier

DEGREE_SIGN = re.compile(rf"{DEGREE.pattern}|\u00b0")
Compare = Callable[[str, str, Conventions], Decision | None]


def first_decision(
    tiers: Sequence[Compare], reference: str, answer: str, conventions: Conventions = DEFAULTS
) -> Decision | None:
    """The decision of the first tier that has one."""
    for tier in tiers:
        decision = tier(reference, answer, conventions)
        if decision is not None:
            return decision
    return None


def compare_strings(reference: str, answer: str, _conventions: Conventions = DEFAULTS) -> Decision | None:
    """Equal up to spelling. A reference or an answer of which nothing is left is the same as nothing."""
    reference_key, answer_key = key(reference), key(answer)
    if not reference_key or not answer_key:
        return Decision(False, Tier.STRING, "nothing but punctuation")
    return Decision(True, Tier.STRING) if reference_key == answer_key else None


def compare_numbers(reference: str, answer: str, conventions: Conventions = DEFAULTS) -> Decision | None:
    """Equal as rationals, or not."""
    left, right = normalize(reference), normalize(answer)
    is_same = same_number(left, right, conventions)
    if is_same and _is_percent_and_angle(reference, answer):
        return Decision(False, Tier.EXACT, "a percentage and an angle")
    if is_same is not None:
        return Decision(is_same, Tier.EXACT)
    return Decision(True, Tier.EXACT) if _is_decimal_comma(right, left) else None


def _is_percent_and_angle(reference: str, answer: str) -> bool:
    r"""``83\%`` and ``83^\circ``, whose sign of degrees is dropped where only one side has a unit."""
    sides = [("%" in normalize(text), DEGREE_SIGN.search(text) is not None) for text in (reference, answer)]
    return sides in ([(True, False), (False, True)], [(False, True), (True, False)])


def _is_decimal_comma(left: str, right: str) -> bool:
    """``1,22`` is 1.22 where the other side says so; three digits behind the comma would be thousands."""
    whole, comma, decimals = left.partition(",")
    return bool(comma) and whole.lstrip("-").isdigit() and decimals.isdigit() and f"{whole}.{decimals}" == right


def compare_types(reference: str, answer: str, conventions: Conventions = DEFAULTS) -> Decision | None:
    """Tuples, intervals, sets, matrices, relations, texts and units; None where that hangs on two formulas."""
    is_same = same_structure(*normalize_pair(reference, answer), Leaf(unread, conventions))
    return None if is_same is None else Decision(is_same, Tier.TYPED)
