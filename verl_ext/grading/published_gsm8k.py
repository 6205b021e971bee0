r"""GSM8K's reward as a published GRPO run of Qwen2-0.5B has it: digits, a point and a minus sign in a box, compared as numbers.

Written from that description, not from its code; of several boxes the first that holds nothing else is read. ``7.0`` is 7.
It calls right answers wrong: ``\boxed{1,000}`` and ``\boxed{-\$5}`` are no answer to it. For comparison with that run; the
general grader reads them (docs/stages.md has the table).
"""

import re
from fractions import Fraction
from typing import Any

from verl_ext.grading.verdict import Reason, Tier, Verdict

BOX = re.compile(r"\\boxed\{([-0-9.]+)\}")
RULE = "boxed_number"


def parse_reference(reference: Any) -> Fraction:
    """The number of a row: what follows ``####`` in a solution, or the answer itself; raises ValueError for another text."""
    if isinstance(reference, Fraction):
        return reference
    text = str(reference).rpartition("####")[2].strip().replace(",", "")
    try:
        return Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"The ground truth of a GSM8K row must be a number, got {reference!r:.200}.") from None


def grade_published_gsm8k(response: str, reference: Any, *, is_truncated: bool = False) -> Verdict:
    """Grade as that run's reward does, which asks neither for a format nor whether the response was cut."""
    found = BOX.search(response)
    if found is None:
        return Verdict(Reason.TRUNCATED if is_truncated else Reason.NO_ANSWER, None, "", Tier.EXTRACTION)
    answer = found[1]
    try:
        is_same = Fraction(answer) == parse_reference(reference)
    except ValueError:
        return Verdict(Reason.UNPARSABLE, answer[:200], RULE, Tier.EXACT, "no number")
    return Verdict(Reason.CORRECT if is_same else Reason.INCORRECT, answer[:200], RULE, Tier.EXACT)
