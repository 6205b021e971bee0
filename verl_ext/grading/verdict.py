"""What a grade is: not a number but a reason, so that a falling reward can be told from a falling format."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Reason(StrEnum):
    """Why a response got its grade. Every response has exactly one."""

    CORRECT = "correct"
    INCORRECT = "incorrect"
    """An answer was found and understood, and it is not the reference."""
    NO_ANSWER = "no_answer"
    TRUNCATED = "truncated"
    """The response was cut by its length limit before it had a complete answer."""
    UNPARSABLE = "unparsable"
    """An answer was found, but it is no answer of the task's kind."""
    TIMED_OUT = "timed_out"
    GRADER_ERROR = "grader_error"
    """The grader failed. This says nothing about the response, so no run may learn from it as if it were wrong."""


UNGRADED = (Reason.TIMED_OUT, Reason.GRADER_ERROR)
"""Reasons that say nothing about the response: it is neither right nor wrong."""
WITHHELD_REASON = "withheld"
"""What files of answers have as the reason where a server withheld the response, so that there is no verdict."""


class Tier(StrEnum):
    """The stage of a grader that decided."""

    EXTRACTION = "extraction"
    """No answer was found in the response."""
    LIMITS = "limits"
    """The answer is too long, too deep or no mathematics."""
    STRING = "string"
    EXACT = "exact"
    """Two numbers, compared as rationals."""
    TYPED = "typed"
    """Tuples, intervals, sets, matrices, relations and texts, part by part."""
    SYMBOLIC = "symbolic"
    """Formulas, in a worker process."""
    GRAMMAR = "grammar"
    """Countdown: the answer is no expression."""
    NUMBERS = "numbers"
    """Countdown: the expression does not use the given numbers."""
    VALUE = "value"
    """Countdown: what the expression equals."""
    SCORE = "score"
    """The scorer of reasoning-gym."""
    PAPER = "paper"
    """The paper's grader, whose stages are not told apart."""
    GRADER = "grader"
    """A fault of the grader."""


class Decision(NamedTuple):
    """Whether a tier takes a reference and an answer for the same."""

    is_same: bool | None
    """None: the tier cannot read one of the two."""
    tier: Tier
    detail: str = ""


def all_true(outcomes: Iterable[bool | None]) -> bool | None:
    """False if one is, else None if one is. What follows the first False is not asked for."""
    is_known = True
    for outcome in outcomes:
        if outcome is False:
            return False
        is_known &= outcome is not None
    return True if is_known else None


@dataclass(frozen=True)
class Verdict:
    """The grade of one response."""

    reason: Reason
    answer: str | None
    """The extracted answer as the response spells it, cut to the task's length limit; None where nothing was found."""
    rule: str
    """The rule that extracted the answer; "" where none did."""
    tier: Tier
    detail: str = ""
    """What was wrong, for a reader. Only the reason is counted."""

    @property
    def is_correct(self) -> bool:
        return self.reason is Reason.CORRECT


def verdict_of(decision: Decision, answer: str, rule: str) -> Verdict:
    """The verdict on an answer that was found by ``rule``."""
    reasons = {True: Reason.CORRECT, False: Reason.INCORRECT, None: Reason.UNPARSABLE}
    return Verdict(reasons[decision.is_same], answer, rule, decision.tier, decision.detail)
