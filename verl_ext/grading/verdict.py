"""What a grade is: not a number but a reason, so that a falling reward can be told from a falling format."""

from dataclasses import dataclass
from enum import StrEnum


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


@dataclass(frozen=True)
class Verdict:
    """The grade of one response."""

    reason: Reason
    answer: str | None
    """The extracted answer as the response spells it, cut to the task's length limit; None where nothing was found."""
    rule: str
    """The rule that extracted the answer; "" where none did."""
    tier: str
    """The stage that decided: extraction, limits, grammar, numbers, value, or grader."""
    detail: str = ""
    """What was wrong, for a reader. Only the reason is counted."""

    @property
    def is_correct(self) -> bool:
        return self.reason is Reason.CORRECT
