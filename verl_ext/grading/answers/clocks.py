"""Times of day, and ratios that look like one."""

from verl_ext.grading.answers.leaf import Leaf
from verl_ext.grading.answers.nodes import Clock, Ratio, Scalar

NOON = 12


def same_clock(reference: Clock, answer: Clock, leaf: Leaf) -> bool:
    """The half of the day may be left out unless it is required; a time that both halves have counts as either."""
    if reference.half and not answer.half and leaf.conventions.half_of_day == "required":
        return reference.seconds() == answer.seconds() and answer.hour > NOON
    if bool(reference.half) == bool(answer.half):
        return reference.seconds() == answer.seconds() and bool(reference.half or reference.hour == answer.hour)
    marked, plain = (reference, answer) if reference.half else (answer, reference)
    is_same_face = (marked.hour, marked.minute, marked.second) == (plain.hour, plain.minute, plain.second)
    return is_same_face or marked.seconds() == plain.seconds()


def as_ratio(clock: Clock | Ratio) -> Ratio | None:
    if isinstance(clock, Ratio):
        return clock
    parts = tuple(Scalar(part.strip()) for part in clock.text.split(":"))
    is_ratio = not clock.half and not any(part.text.startswith("0") for part in parts)
    return Ratio(parts) if is_ratio else None
