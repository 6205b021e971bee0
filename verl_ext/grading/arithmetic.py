"""Arithmetic of integers as Countdown's answers write it: parsed, evaluated exactly, and spelled in one canonical way.

    expression = term (("+" | "-") term)*         number = "0" | [1-9][0-9]*
    term       = factor (("*" | "/") factor)*     blanks = space, tab, newline, carriage return
    factor     = number | "(" expression ")"

Typographic operators that models write are the same operators: U+00D7 and U+00F7 for ``*`` and ``/``, U+2212 for ``-``.
Everything else is outside the grammar: signs (``-3``), ``**``, ``//``, decimals, leading zeros, digits that are not
ASCII, names, calls, ``3(5)``, and also a trailing ``= 22``.

The text is untrusted. It is scanned once, from left to right, without recursion.
"""

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Literal, NamedTuple

MAX_EXPRESSION_CHARS = 1500
"""With its outer blanks. This also keeps numbers below the 4,300 digits beyond which Python refuses to read them."""

BLANKS = " \t\r\n"
TOKEN = re.compile(r"[0-9]+|[-+*/()\u00d7\u00f7\u2212]|[ \t\r\n]+")
ASCII_OPERATORS = {"\u00d7": "*", "\u00f7": "/", "\u2212": "-"}
PRECEDENCE = {"+": 1, "-": 1, "*": 2, "/": 2}

Postfix = tuple[int | str, ...]
"""An expression in postfix order: numbers, and the operators + - * / behind their two operands."""


class NotAnExpressionError(ValueError):
    """The text is no expression of the grammar; the message says why."""


def strip_blanks(text: str) -> str:
    """``text`` without outer blanks. One beyond the limit stays as it is: it is refused for its length, and scanning it costs."""
    return text.strip(BLANKS) if len(text) <= MAX_EXPRESSION_CHARS else text


def parse(text: str) -> Postfix:
    """Turn an expression into postfix order by Dijkstra's shunting yard; raise NotAnExpressionError outside the grammar."""
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
        raise NotAnExpressionError("ends where a number belongs" if output or waiting else "empty")
    output.extend(reversed(waiting))
    if "(" in output:
        raise NotAnExpressionError("'(' without ')'")
    return tuple(output)


def _tokens(text: str) -> Iterator[tuple[int, str]]:
    """The place and the ASCII spelling of every token but blanks; raises NotAnExpressionError at what is none."""
    position = 0
    while position < len(text):
        match = TOKEN.match(text, position)
        if match is None:
            raise NotAnExpressionError(f"{text[position]!a} is not part of an expression")
        position = match.end()
        if match[0][0] not in BLANKS:
            yield match.start(), ASCII_OPERATORS.get(match[0], match[0])


def _take_operator(token: str, output: list[int | str], waiting: list[str]) -> bool:
    """Take what stands behind an operand, an operator or ")", and return whether an operand comes next."""
    if token not in PRECEDENCE and token != ")":
        raise NotAnExpressionError(f"{token[:20]!r} where an operator belongs")
    precedence = PRECEDENCE.get(token, 0)
    while waiting and waiting[-1] != "(" and PRECEDENCE[waiting[-1]] >= precedence:
        output.append(waiting.pop())
    if token != ")":
        waiting.append(token)
        return True
    if not waiting:
        raise NotAnExpressionError("')' without '('")
    waiting.pop()
    return False


def _number(token: str, before: str) -> int:
    """The number that stands behind the text ``before``; raises NotAnExpressionError for another token."""
    if token in PRECEDENCE:
        raise NotAnExpressionError(_operator_instead_of_number(before, token))
    if token == ")":
        raise NotAnExpressionError("')' where a number belongs")
    if token[0] == "0" and token != "0":
        raise NotAnExpressionError("leading zero")
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
    text = strip_blanks(text)
    if len(text) > MAX_EXPRESSION_CHARS:
        return text
    try:
        expression = parse(text)
    except NotAnExpressionError:
        return text
    stack: list[Canonical] = []
    for token in expression:
        if isinstance(token, int):
            stack.append(Canonical("number", (str(token),)))
        else:
            right = stack.pop()
            stack.append(combine(token, stack.pop(), right))
    return stack.pop().text
