"""Countdown: reach a target with the given numbers, each used exactly once, by + - * / and parentheses.

    expression = term (("+" | "-") term)*         number = "0" | [1-9][0-9]*
    term       = factor (("*" | "/") factor)*     blanks = space, tab, newline, carriage return
    factor     = number | "(" expression ")"

Arithmetic is exact. Typographic operators that models write are the same operators: U+00D7 and U+00F7 for ``*`` and
``/``, U+2212 for ``-``. Everything else is outside the grammar: signs (``-3``), ``**``, ``//``, decimals, leading
zeros, digits that are not ASCII, names, calls, ``3(5)``, and also a trailing ``= 22``, as in TinyZero's grader: the
answer is the expression, and the prompt says so.

The text is untrusted. It is scanned once, from left to right, without recursion, and nothing is computed before the
numbers are known to be the given ones, so that no text is expensive to grade.
"""

import json
import operator
import re
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from verl_ext.grading.verdict import Reason, Tier, Verdict

MAX_EXPRESSION_CHARS = 1500
"""With its outer blanks. This also keeps numbers below the 4,300 digits beyond which Python refuses to read them."""

OPEN_TAG, CLOSE_TAG = "<answer>", "</answer>"
BLANKS = " \t\r\n"
TOKEN = re.compile(r"[0-9]+|[-+*/()\u00d7\u00f7\u2212]|[ \t\r\n]+")
ONLY_EXPRESSION_CHARS = re.compile(r"[-+*/()\u00d7\u00f7\u2212=0-9 \t\r\n]*")
ASCII_OPERATORS = {"\u00d7": "*", "\u00f7": "/", "\u2212": "-"}
PRECEDENCE = {"+": 1, "-": 1, "*": 2, "/": 2}

Postfix = tuple[int | str, ...]
"""An expression in postfix order: numbers, and the operators + - * / behind their two operands."""


class ExpressionError(ValueError):
    """The text is no expression of the grammar; the message says why."""


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
        return _parse_mapping_reference(json.loads(text))
    except json.JSONDecodeError:
        raise _broken_reference(text) from None


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
    numbers, target = parse_reference(reference)
    extracted = extract_answer(response)
    if is_truncated and (extracted is None or extracted.rule == "bare"):
        return Verdict(
            Reason.TRUNCATED, None, rule="", tier=Tier.EXTRACTION, detail="cut before the answer was complete"
        )
    if extracted is None:
        detail = f"{OPEN_TAG} is not closed" if OPEN_TAG in response else f"no {OPEN_TAG}, and more than an expression"
        return Verdict(Reason.NO_ANSWER, None, rule="", tier=Tier.EXTRACTION, detail=detail)

    text, rule = extracted
    answer = text[:MAX_EXPRESSION_CHARS]
    if not text:
        return Verdict(Reason.NO_ANSWER, None, rule, tier=Tier.EXTRACTION, detail="the answer is empty")
    if len(text) > MAX_EXPRESSION_CHARS:
        detail = f"longer than {MAX_EXPRESSION_CHARS} characters"
        return Verdict(Reason.UNPARSABLE, answer, rule, tier=Tier.LIMITS, detail=detail)
    try:
        expression = parse(text)
    except ExpressionError as error:
        return Verdict(Reason.UNPARSABLE, answer, rule, tier=Tier.GRAMMAR, detail=str(error))

    used = sorted(token for token in expression if isinstance(token, int))
    if used != list(numbers):
        detail = f"uses {_shown(used)} instead of {_shown(numbers)}"
        return Verdict(Reason.INCORRECT, answer, rule, tier=Tier.NUMBERS, detail=detail)
    try:
        value = evaluate(expression)
    except ZeroDivisionError:
        return Verdict(Reason.INCORRECT, answer, rule, tier=Tier.VALUE, detail="division by zero")
    if value != target:
        return Verdict(Reason.INCORRECT, answer, rule, tier=Tier.VALUE, detail=f"equals {value} instead of {target}")
    return Verdict(Reason.CORRECT, answer, rule, tier=Tier.VALUE)


def _shown(numbers: Sequence[int]) -> str:
    return f"{' '.join(map(str, numbers)):.100}"


class Extracted(NamedTuple):
    text: str
    rule: Literal["answer_tag", "bare"]


def extract_answer(response: str) -> Extracted | None:
    """Find the answer in ``response``: the content of its last closed ``<answer>``, or all of it.

    The rule "bare" is for the small model, which answers with an expression and nothing else. It takes a response only
    if it has no ``<answer>`` and every character could stand in an expression, so prose is no answer.
    """
    start = response.rfind(OPEN_TAG, 0, max(response.rfind(CLOSE_TAG), 0))
    if start >= 0:
        end = response.find(CLOSE_TAG, start)
        return Extracted(_strip(response[start + len(OPEN_TAG) : end]), "answer_tag")
    head = response[: MAX_EXPRESSION_CHARS + 1]  # enough to know that the limit is passed
    is_bare = head.strip(BLANKS) and ONLY_EXPRESSION_CHARS.fullmatch(head)
    return Extracted(_strip(response), "bare") if is_bare else None


def _strip(text: str) -> str:
    """Without outer blanks, unless it is longer than the limit: then it is refused for that, and scanning it costs."""
    return text.strip(BLANKS) if len(text) <= MAX_EXPRESSION_CHARS else text


def parse(text: str) -> Postfix:
    """Turn an expression into postfix order by Dijkstra's shunting yard; raise ExpressionError outside the grammar."""
    output: list[int | str] = []
    waiting: list[str] = []  # operators and open parentheses whose right side is still to come
    is_operand_next = True
    for start, token in _tokens(text):
        if not is_operand_next:
            is_operand_next = _take_operator(token, output, waiting)
        elif token == "(":
            waiting.append(token)
        else:
            output.append(_number(token, text[:start]))
            is_operand_next = False
    if is_operand_next:
        raise ExpressionError("ends where a number belongs" if output or waiting else "empty")
    output.extend(reversed(waiting))
    if "(" in output:
        raise ExpressionError("'(' without ')'")
    return tuple(output)


def _tokens(text: str) -> Iterator[tuple[int, str]]:
    """The place and the ASCII spelling of every token but blanks; raises ExpressionError at what is none."""
    position = 0
    while position < len(text):
        match = TOKEN.match(text, position)
        if match is None:
            raise ExpressionError(f"{text[position]!a} is not part of an expression")
        position = match.end()
        if match[0][0] not in BLANKS:
            yield match.start(), ASCII_OPERATORS.get(match[0], match[0])


def _take_operator(token: str, output: list[int | str], waiting: list[str]) -> bool:
    """Take what stands behind an operand, an operator or ")", and return whether an operand comes next."""
    if token not in PRECEDENCE and token != ")":
        raise ExpressionError(f"{token[:20]!r} where an operator belongs")
    precedence = PRECEDENCE.get(token, 0)
    while waiting and waiting[-1] != "(" and PRECEDENCE[waiting[-1]] >= precedence:
        output.append(waiting.pop())
    if token != ")":
        waiting.append(token)
        return True
    if not waiting:
        raise ExpressionError("')' without '('")
    waiting.pop()
    return False


def _number(token: str, before: str) -> int:
    """The number that stands behind the text ``before``; raises ExpressionError for another token."""
    if token in PRECEDENCE:
        raise ExpressionError(_operator_instead_of_number(before, token))
    if token == ")":
        raise ExpressionError("')' where a number belongs")
    if token[0] == "0" and token != "0":
        raise ExpressionError("leading zero")
    return int(token)


def _operator_instead_of_number(before: str, token: str) -> str:
    if token in "*/" and before.endswith(token):
        return f"'{token}{token}' is not an operator"
    return f"sign or second operator {token!r}"


def evaluate(expression: Postfix) -> Fraction:
    """Compute the exact value. Raises ZeroDivisionError.

    Its cost grows with the size of the numbers, so check first that they are the given ones.
    """
    stack: list[Fraction] = []
    for token in expression:
        if isinstance(token, int):
            stack.append(Fraction(token))
        else:
            right = stack.pop()
            stack.append(apply(token, stack.pop(), right))
    return stack.pop()


def apply(symbol: str, left: Fraction, right: Fraction) -> Fraction:
    """``left`` + - * / ``right``; raises ZeroDivisionError."""
    match symbol:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
    return left / right


class Canonical(NamedTuple):
    """An expression up to order and grouping of its operands: a number, or a flat sum, or a flat product.

    ``plus`` and ``minus`` hold the canonical texts of the operands: added and subtracted ones of a sum, numerators and
    denominators of a product. ``plus`` is never empty.
    """

    kind: Literal["number", "sum", "product"]
    plus: tuple[str, ...]
    minus: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The shortest spelling: no blanks, no parentheses that could be left out."""
        plus, minus = ("*", "/") if self.kind == "product" else ("+", "-")
        return plus.join(self.plus) + "".join(minus + operand for operand in self.minus)


def combine(symbol: str, left: Canonical, right: Canonical) -> Canonical:
    """The canonical form of ``left`` + - * / ``right``."""
    kind: Literal["sum", "product"] = "sum" if symbol in "+-" else "product"
    left_plus, left_minus = _operands(left, kind)
    right_plus, right_minus = _operands(right, kind)
    if symbol in "-/":
        right_plus, right_minus = right_minus, right_plus
    return Canonical(kind, _ordered(left_plus + right_plus), _ordered(left_minus + right_minus))


def _operands(form: Canonical, kind: Literal["sum", "product"]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if form.kind == kind:
        return form.plus, form.minus
    return ((f"({form.text})" if form.kind == "sum" else form.text,), ())


def _ordered(operands: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(operands, key=lambda operand: (len(operand), operand)))  # numbers first, by size


def canonical_answer(text: str) -> str:
    """Spell an expression so that two answers are the same string if they are the same way to reach the target.

    Order and grouping of the operands of + and * go, with - and / as their inverses: ``7+(3*5)`` and ``5*3 + 7`` are
    ``7+3*5``; ``9-(5-2)`` and ``(9+2)-5`` are ``2+9-5``. No arithmetic is done and no law beyond these is used, so
    ``2*3-2*1`` and ``2*(3-1)`` stay apart, and so do ``(1-2)*(3-5)`` and ``(2-1)*(5-3)``. A text outside the grammar,
    or longer than the limit, is returned without its outer blanks.
    """
    text = _strip(text)
    if len(text) > MAX_EXPRESSION_CHARS:
        return text
    try:
        expression = parse(text)
    except ExpressionError:
        return text
    stack: list[Canonical] = []
    for token in expression:
        if isinstance(token, int):
            stack.append(Canonical("number", (str(token),)))
        else:
            right = stack.pop()
            stack.append(combine(token, stack.pop(), right))
    return stack.pop().text
