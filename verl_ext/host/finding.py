"""What a check has found: a line for a person, and a level for a script."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

SHOWN = 5


class Level(StrEnum):
    OK = "ok"
    WARN = "warn"
    """A run may go well all the same."""
    FAIL = "fail"


@dataclass(frozen=True)
class Finding:
    """Of one subject."""

    subject: str
    level: Level
    text: str
    remedy: str = ""
    """What to do; empty where nothing is to be done, or where ``text`` says it."""

    def __str__(self) -> str:
        """Subject, text and remedy in one line."""
        return " ".join(filter(None, (f"{self.subject}: {self.text}", self.remedy)))


def ok(subject: str, text: str) -> Finding:
    return Finding(subject, Level.OK, text)


def warn(subject: str, text: str, remedy: str) -> Finding:
    return Finding(subject, Level.WARN, text, remedy)


def fail(subject: str, text: str, remedy: str) -> Finding:
    return Finding(subject, Level.FAIL, text, remedy)


def first_of(values: Sequence[object]) -> str:
    """The first few of a list for a line, and how many more there are."""
    more = f" and {len(values) - SHOWN} more" if len(values) > SHOWN else ""
    return ", ".join(map(str, values[:SHOWN])) + more
