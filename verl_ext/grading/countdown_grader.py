"""Countdown: reach a target with the given numbers, each used exactly once, by + - * / and parentheses.

The answer is the expression alone, as ``arithmetic`` reads it; a trailing ``= 22`` is outside the grammar, as in
TinyZero's grader, and the prompt says so. The text is untrusted: nothing is computed before the numbers are known to be
the given ones, so that no text is expensive to grade.
"""

import json
import operator
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from verl_ext.grading.answer_tags import OPEN_TAG, last_tagged
from verl_ext.grading.arithmetic import (
    BLANKS,
    MAX_EXPRESSION_CHARS,
    NotAnExpressionError,
    Postfix,
    evaluate,
    parse,
    strip_blanks,
)
from verl_ext.grading.verdict import Decision, Reason, Tier, Verdict, verdict_of

ONLY_EXPRESSION_CHARS = re.compile(r"[-+*/()\u00d7\u00f7\u2212=0-9 \t\r\n]*")


class Reference(NamedTuple):
    numbers: tuple[int, ...]
    """In ascending order."""
    target: int


def parse_reference(reference: Any) -> Reference:
    """Read the ground truth of a problem.

    Args:
        reference: A mapping with ``target`` and ``numbers`` (or ``nums``, as the data sets on the hub spell it), whose
            numbers may be a list, a tuple or an array; or the JSON text of one.

    Raises:
        ValueError: It is none of these.
    """
    if isinstance(reference, Reference):
        return reference
    return _parse_json_reference(reference) if isinstance(reference, str) else _parse_mapping_reference(reference)


@lru_cache(maxsize=65536)
def _parse_json_reference(text: str) -> Reference:
    try:
        reference = json.loads(text)
    except (ValueError, RecursionError):
        raise _broken_reference(text) from None
    return _parse_mapping_reference(reference)


def _parse_mapping_reference(reference: Any) -> Reference:
    try:
        numbers = reference["numbers"] if "numbers" in reference else reference["nums"]
        parsed = Reference(tuple(sorted(map(operator.index, numbers))), operator.index(reference["target"]))
    except (KeyError, TypeError, IndexError):
        raise _broken_reference(reference) from None
    if not parsed.numbers or parsed.numbers[0] < 0:
        raise _broken_reference(reference)
    return parsed


def _broken_reference(reference: Any) -> ValueError:
    return ValueError(
        'The ground truth of a countdown row must look like {"numbers": [3, 5, 7], "target": 22} with numbers >= 0, '
        f"got {reference!r:.200}."
    )


def grade_countdown(response: str, reference: Mapping[str, Any] | Reference | str, *, is_truncated: bool) -> Verdict:
    """Grade the last complete ``<answer>`` of ``response``, or a response that is nothing but an expression.

    A well-formed expression is correct or incorrect, and incorrect includes a division by zero; a malformed one is
    unparsable. A response that was cut is truncated unless it has a complete ``<answer>``: of a bare expression nobody
    knows whether it was complete.
    """
    parsed_reference = parse_reference(reference)
    extracted = extract_answer(response)
    if is_truncated and (extracted is None or extracted.rule == "bare"):
        return Verdict(Reason.TRUNCATED, None, "", Tier.EXTRACTION, "cut before the answer was complete")
    if extracted is None:
        detail = f"{OPEN_TAG} is not closed" if OPEN_TAG in response else f"no {OPEN_TAG}, and more than an expression"
        return Verdict(Reason.NO_ANSWER, None, "", Tier.EXTRACTION, detail)

    text, rule = extracted
    answer = text[:MAX_EXPRESSION_CHARS]
    if not text:
        return Verdict(Reason.NO_ANSWER, None, rule, Tier.EXTRACTION, "the answer is empty")
    if len(text) > MAX_EXPRESSION_CHARS:
        return Verdict(Reason.UNPARSABLE, answer, rule, Tier.LIMITS, f"longer than {MAX_EXPRESSION_CHARS} characters")
    try:
        expression = parse(text)
    except NotAnExpressionError as error:
        return Verdict(Reason.UNPARSABLE, answer, rule, Tier.GRAMMAR, str(error))
    return verdict_of(_compare(expression, parsed_reference), answer, rule)


def _compare(expression: Postfix, reference: Reference) -> Decision:
    """Whether the expression reaches the target with the given numbers."""
    used = sorted(token for token in expression if isinstance(token, int))
    if used != list(reference.numbers):
        return Decision(False, Tier.NUMBERS, f"uses {_shown(used)} instead of {_shown(reference.numbers)}")
    try:
        value = evaluate(expression)
    except ZeroDivisionError:
        return Decision(False, Tier.VALUE, "division by zero")
    is_same = value == reference.target
    return Decision(is_same, Tier.VALUE, "" if is_same else f"equals {value} instead of {reference.target}")


def _shown(numbers: Sequence[int]) -> str:
    return f"{' '.join(map(str, numbers)):.100}"


class CountdownAnswer(NamedTuple):
    text: str
    rule: Literal["answer_tag", "bare"]


def extract_answer(response: str) -> CountdownAnswer | None:
    """Find the answer in ``response``: the content of its last closed ``<answer>``, or all of it.

    The rule "bare" is for the small model, which answers with an expression and nothing else. It takes a response only
    if it has no ``<answer>`` and every character could stand in an expression, so prose is no answer.
    """
    tagged = last_tagged(response)
    if tagged is not None:
        return CountdownAnswer(strip_blanks(tagged), "answer_tag")
    head = response[: MAX_EXPRESSION_CHARS + 1]  # enough to know that the limit is passed
    is_bare = head.strip(BLANKS) and ONLY_EXPRESSION_CHARS.fullmatch(head)
    return CountdownAnswer(strip_blanks(response), "bare") if is_bare else None
