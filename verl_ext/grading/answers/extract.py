r"""Find the answer in a response: the last balanced ``\boxed{}`` behind the reasoning, or what a task allows instead.

Every scan is linear in the response, and only the end of a long response is looked at. The rule that found the answer
is part of the verdict: the share of boxed answers is a measure of its own.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from verl_ext.grading.answers import marks
from verl_ext.grading.answers.boxes import CutBox, Extracted, find_box
from verl_ext.grading.answers.decimal_commas import with_decimal_points
from verl_ext.grading.answers.limits import MAX_RESPONSE_CHARS
from verl_ext.grading.answers.passages import own_turn
from verl_ext.grading.answers.phrases import find_phrase

THINK_START, THINK_END = "<think>", "</think>"


class Rule(NamedTuple):
    """A way to find an answer that is in no box."""

    find: Callable[[str], str | None]
    is_mark: bool
    """Whether the text itself says that this is its answer; else it is a guess from where it stands."""


RULES = {
    "tag": Rule(marks.find_tag, is_mark=True),
    "hashes": Rule(marks.find_hashes, is_mark=True),
    "phrase": Rule(find_phrase, is_mark=True),
    "choice": Rule(marks.find_choice, is_mark=True),
    "bare": Rule(marks.find_bare, is_mark=True),
    "conclusion": Rule(marks.find_conclusion, is_mark=True),
    "bold": Rule(marks.find_bold, is_mark=True),
    "brackets": Rule(marks.find_brackets, is_mark=True),
    "last": Rule(marks.find_last, is_mark=False),
    "last_number": Rule(marks.find_last_number, is_mark=False),
}
"""Name -> rule, in the order in which they are asked: ``benchmarks/grading.py rules`` measures each."""
ALL_RULES = ("box", "boxes", *RULES)
"""What a verdict may name as its rule."""


def after_reasoning(response: str, *, is_truncated: bool = False) -> str:
    """The end of the response, without a ``<think>`` part: what was boxed while thinking is a draft.

    A part that is never closed is a draft where the response was cut. Where it was not, the model ended its turn while
    thinking, and nothing it says is meant more than what it boxed there.
    """
    tail = response[-MAX_RESPONSE_CHARS:]
    if THINK_END in tail:
        tail = tail[tail.rfind(THINK_END) + len(THINK_END) :]
    if is_truncated and THINK_START in tail:
        tail = tail[: tail.rfind(THINK_START)]
    return tail


def extract_answer(response: str, fallbacks: Sequence[str], *, is_truncated: bool = False) -> Extracted | CutBox | None:
    """Find the answer by the last box, else by the first of ``fallbacks`` (names of ``RULES``) that finds one.

    Inside a ``<think>`` that is never closed only a box counts.
    """
    text = own_turn(after_reasoning(response, is_truncated=is_truncated))
    found = find_box(text)
    if isinstance(found, Extracted):
        return found._replace(text=with_decimal_points(found.text, text))
    if found is not None or THINK_START in text:
        return found
    for name in fallbacks:
        answer = RULES[name].find(text)
        if answer is not None:
            return Extracted(with_decimal_points(answer, text), name)
    return None
