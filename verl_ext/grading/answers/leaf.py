"""What compares two scalars, at the ends of the walk through two answers."""

from collections.abc import Callable
from dataclasses import dataclass

from verl_ext.grading.answers.conventions import DEFAULTS, Conventions


def unread(_reference: str, _answer: str) -> bool | None:
    """Of a leaf in a process that must not parse LaTeX."""
    return None


@dataclass(frozen=True)
class Leaf:
    """What compares a normalized reference and answer, scalars or relations, and the conventions of the whole walk."""

    compare: Callable[[str, str], bool | None]
    """None where it cannot tell."""
    conventions: Conventions = DEFAULTS
    is_near: Callable[[str, str], bool | None] = unread
    """Whether a formula can be rounded to a number; True where nothing tells."""

    def __call__(self, reference: str, answer: str) -> bool | None:
        return self.compare(reference, answer)


UNDECIDED = Leaf(unread)
