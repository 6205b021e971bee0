r"""Do two references say the same? By floating-point values, with nothing of the grader that this is to test.

    same(r"\frac{1}{2}", "0.5")     True
    same("(1,2)", "(2,1)")          False
    same(r"\text{red}", "x")        None: one of them is not read here

Reads what references of mathematics data sets are made of: formulas, tuples, lists, sets, unions of intervals, matrices and
equations. False is a proof, up to rounding: two values differ at a point, or a number is in one set and not in the other, or
solves one equation and not the other. True is agreement at a few points. What is not read for certain (words, units, ``1/2x``)
has no verdict. For trusted texts: the grader's own parser is the one with limits.
"""

import cmath
import math
import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from hashlib import sha256
from itertools import pairwise

NUM_POINTS = 4
RELATIVE_ERROR = 1e-9
"""Of two values that count as one."""
PROOF = 1e-7
"""The relative difference that is no rounding."""
NAMES = ("x", "y", "z")
GRID = [value / 7 for value in range(-70, 71, 3)]

Values = tuple[complex, ...]
"""Of a formula, at each of the points."""
Piece = tuple[float, bool, float, bool]
"""An interval: its lower end and whether that belongs to it, and its upper one."""
Answer = tuple[str, object]
"""What kind of thing it is, and its content."""


class UnreadError(ValueError):
    """Not a text that is read here."""


UNREAD = (UnreadError, OverflowError, ZeroDivisionError, ValueError)
"""What reading raises: no text that is read here, or no value."""


def read(text: str) -> Answer:
    """What kind of thing a reference is, and its content. Raises one of ``UNREAD``."""
    return _read(_plain(text))


def real(text: str) -> float:
    """The value of a constant. Raises one of ``UNREAD``."""
    values = [value_at(_plain(text), index) for index in range(2)]
    if values[0] != values[1] or values[0].imag:
        raise UnreadError(text)
    return values[0].real


def same(left: str, right: str) -> bool | None:
    """Whether two references are the same; None if one is not read, or the two are of kinds that are not compared."""
    try:
        return _same(*_of_one_kind(read(left), read(right)))
    except UNREAD:
        return None


# Spelling

NOTHING = re.compile(r"\\(?:left|right|displaystyle|[,;:! ])(?![a-zA-Z])|[~$]|\\\$")
THOUSANDS = re.compile(r"(?<=\d)(?:,\\!|\{,\}|\\,)(?=\d{3}(?!\d))")
AMBIGUOUS = re.compile(r"\d,\d{3}(?!\d)|\\text|\\mbox|\\textbf|\\mathrm|\\mathbf|\.\.|\\dots|\\ldots|\\cdots|\\pm|\\mp")


@lru_cache(maxsize=65536)
def _plain(text: str) -> str:
    text = THOUSANDS.sub("", text)
    if re.fullmatch(r"-?\d{1,3}(,\d{3})+(\.\d+)?", text):
        text = text.replace(",", "")
    text = NOTHING.sub(" ", text.replace("\\\\", "\x02"))
    text = re.sub(r"\\[dt]frac(?![a-zA-Z])", r"\\frac", text)
    text = re.sub(r"\^\s*(?:\{\s*\\circ\s*\}|\\circ)", r"\\degree ", text)
    text = re.sub(r"\\(?:leq|le)(?![a-zA-Z])", r"\\le ", text)
    text = re.sub(r"\\(?:geq|ge)(?![a-zA-Z])", r"\\ge ", text)
    if AMBIGUOUS.search(text):
        raise UnreadError(text)
    return text.strip().rstrip(".").strip()


# Kinds of answers

RELATION = re.compile(r"\\(?:le|ge|in|ne|approx|equiv)(?![a-zA-Z])|[<>]")
MATRIX = re.compile(r"\\begin\{([pb]?matrix)\}(.*)\\end\{\1\}", re.DOTALL)
INFINITY = {r"\infty": math.inf, r"+\infty": math.inf, r"-\infty": -math.inf}
BRACKETS = {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}


def split(text: str, separator: str) -> list[str]:
    """At separators outside all brackets."""
    parts, depth = [""], 0
    for char in text:
        depth += BRACKETS.get(char, 0)
        if char == separator and not depth:
            parts.append("")
        else:
            parts[-1] += char
    return [part.strip() for part in parts]


def is_one_bracket(text: str) -> bool:
    """Whether the first bracket closes at the very end."""
    depth = 0
    for index, char in enumerate(text):
        depth += BRACKETS.get(char, 0)
        if not depth:
            return index == len(text) - 1
    return False


@lru_cache(maxsize=65536)
def _read(text: str) -> Answer:
    for reader in (_read_union, _read_matrix, _read_list, _read_brackets, _read_equation):
        answer = reader(text)
        if answer is not None:
            return answer
    if RELATION.search(text):
        raise UnreadError(text)
    return "value", tuple(value_at(text, index) for index in range(NUM_POINTS))


def _read_union(text: str) -> Answer | None:
    parts = [part.strip() for part in re.split(r"\\cup(?![a-zA-Z])", text)]
    if len(parts) == 1 and not _is_interval(text):
        return None
    return "reals", tuple(map(_read_piece, parts))


def _is_interval(text: str) -> bool:
    is_bracket = text[:1] in {"(", "["} and text[-1:] in {")", "]"} and is_one_bracket(text)
    return is_bracket and (text[0] + text[-1] in {"[)", "(]"} or r"\infty" in text) and len(split(text[1:-1], ",")) == 2


def _read_piece(text: str) -> Piece:
    if not text.startswith(("(", "[")) or not is_one_bracket(text):
        raise UnreadError(text)
    ends = [INFINITY.get(end.replace(" ", "")) for end in split(text[1:-1], ",")]
    if len(ends) != 2:
        raise UnreadError(text)
    low, high = (real(part) if end is None else end for part, end in zip(split(text[1:-1], ","), ends, strict=True))
    if low >= high:
        raise UnreadError(text)
    return low, text[0] == "[", high, text[-1] == "]"


def _read_matrix(text: str) -> Answer | None:
    match = MATRIX.fullmatch(text)
    if match is None:
        return None
    rows = [row for row in match[2].split("\x02") if row.strip()]
    return "matrix", tuple(tuple(_read(cell.strip()) for cell in row.split("&")) for row in rows)


def _read_list(text: str) -> Answer | None:
    if text.startswith(r"\{") and text.endswith(r"\}"):
        items = split(text[2:-2].strip(), ",")
    else:
        items = split(text, ",")
        if len(items) == 1:
            return None
    return "list", tuple(map(_read, items))


def _read_brackets(text: str) -> Answer | None:
    if text[:1] not in {"(", "["} or not is_one_bracket(text):
        return None
    items = split(text[1:-1], ",")
    return ("tuple" + text[0] + text[-1], tuple(map(_read, items))) if len(items) > 1 else None


def _read_equation(text: str) -> Answer | None:
    sides = split(text, "=")
    if len(sides) == 1:
        return None
    if len(sides) != 2 or RELATION.search(text):
        raise UnreadError(text)
    name = re.fullmatch(r"[a-z](?:\([a-z]\))?", sides[0])
    if name and name[0][0] not in re.sub(r"\\[a-zA-Z]+", "", sides[1]):
        return f"named {name[0][0]}", _read(sides[1])
    return "equation", tuple(sides)


# Comparison


def _of_one_kind(left: Answer, right: Answer) -> tuple[Answer, Answer]:
    """A value as a list of one beside a list, and as an equation's value beside ``y = value``."""
    for this, other, is_swapped in ((left, right, False), (right, left, True)):
        if this[0] == "list" and other[0] == "value":
            other = "list", (other,)
        elif this[0].startswith("named ") and other[0] == "value":
            this = this[1]
        else:
            continue
        return (other, this) if is_swapped else (this, other)
    return left, right


def _same(left: Answer, right: Answer) -> bool | None:
    if left[0] != right[0]:
        return False if {left[0], right[0]} <= {"tuple()", "tuple[]", "list", "value"} else None
    kind, content, other = left[0], left[1], right[1]
    if kind.startswith("named "):
        return _same(content, other)
    if kind.startswith("tuple"):
        return _all_same(content, other)
    if kind == "matrix":
        if [len(row) for row in content] != [len(row) for row in other]:
            return False
        return _all_same([cell for row in content for cell in row], [cell for row in other for cell in row])
    return {"value": _same_values, "list": _same_items, "reals": _same_reals, "equation": _same_equation}[kind](
        content, other
    )


def _same_values(left: Values, right: Values) -> bool | None:
    errors = [abs(a - b) / max(1e-300, abs(a), abs(b)) for a, b in zip(left, right, strict=True)]
    if any(error > PROOF and abs(a - b) > 1e-12 for error, a, b in zip(errors, left, right, strict=True)):
        return False
    return True if max(errors) <= RELATIVE_ERROR else None


def _all_same(left: Sequence[Answer], right: Sequence[Answer]) -> bool | None:
    if len(left) != len(right):
        return False
    outcomes = [_same(a, b) for a, b in zip(left, right, strict=True)]
    return False if False in outcomes else None if None in outcomes else True


def _same_items(left: Sequence[Answer], right: Sequence[Answer]) -> bool | None:
    """As sets: False if an item of one is different from all of the other."""
    outcomes = []
    for items, others in ((left, right), (right, left)):
        for item in items:
            found = [_same(item, other) for other in others]
            outcomes.append(True if True in found else None if None in found else False)
    return False if False in outcomes else None if None in outcomes else True


def _same_reals(left: Sequence[Piece], right: Sequence[Piece]) -> bool:
    """At every end, between every two and beyond all of them."""
    ends = sorted({end for piece in (*left, *right) for end in (piece[0], piece[2]) if math.isfinite(end)})
    ends = [end for index, end in enumerate(ends) if not index or end - ends[index - 1] > PROOF * max(1, abs(end))]
    if not ends:
        return True
    places = [ends[0] - 1, *ends, *((low + high) / 2 for low, high in pairwise(ends)), ends[-1] + 1]
    return all(_contains(left, place) == _contains(right, place) for place in places)


def _contains(pieces: Sequence[Piece], place: float) -> bool:
    for low, has_low, high, has_high in pieces:
        at_low, at_high = (abs(place - end) <= PROOF * max(1, abs(place)) for end in (low, high))
        if (at_low and has_low) or (at_high and has_high) or (low < place < high and not at_low and not at_high):
            return True
    return False


def _same_equation(left: tuple[str, str], right: tuple[str, str]) -> bool | None:
    """False if a solution of the first is none of the second; else nobody knows."""
    for point in _solutions(left):
        distance = abs(_difference(right, point))
        scale = max(abs(value_of(side, point)) for side in right)
        if distance > 1e-6 * max(1.0, scale):
            return False
    return None


def _difference(sides: tuple[str, str], point: dict[str, complex]) -> complex:
    return value_of(sides[0], point) - value_of(sides[1], point)


def _solutions(sides: tuple[str, str]) -> Iterator[dict[str, complex]]:
    """Real points at which an equation holds, found between changes of sign along each name."""
    for name in NAMES:
        for fixed in (0.31, 1.7, -2.3, 4.1):
            point = {other: fixed + index for index, other in enumerate(NAMES)}

            def height(place: float, name: str = name, point: dict[str, complex] = point) -> float:
                return _difference(sides, point | {name: place}).real

            for low, high in pairwise(GRID):
                if height(low) * height(high) < 0:
                    solution = point | {name: _zero_between(height, low, high)}
                    if abs(_difference(sides, solution)) < PROOF / 100:  # and no pole
                        yield solution


def _zero_between(height: Callable[[float], float], low: float, high: float) -> float:
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if height(middle) * height(low) > 0 else (low, middle)
    return (low + high) / 2


# Values of formulas

TOKEN = re.compile(r"\s+|(?P<number>\d+(?:\.\d+)?|\.\d+)|(?P<token>\\[a-zA-Z]+|[a-zA-Z]|[-+*/^!%()\[\]{}|_])")
FUNCTIONS: dict[str, Callable[[complex], complex]] = {
    **{name: getattr(cmath, name) for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh", "exp")},
    **{"arc" + name: getattr(cmath, "a" + name) for name in ("sin", "cos", "tan")},
    "cot": lambda value: 1 / cmath.tan(value),
    "sec": lambda value: 1 / cmath.cos(value),
    "csc": lambda value: 1 / cmath.sin(value),
    "ln": cmath.log,
}
CONSTANTS = {r"\pi": cmath.pi, "e": cmath.e, "i": 1j}
MIXED = re.compile(r"\\frac (?:\{ \d+ \}|\d+) ?(?:\{ \d+ \}|\d*)(?: |$)")
GREEK = re.compile(r"\\(?:alpha|beta|gamma|delta|theta|phi|lambda|mu|omega)")
CLOSING = {"(": ")", "[": "]", "{": "}"}
STARTS = frozenset(["(", "{", "|"])


def value_at(text: str, index: int) -> complex:
    """The value of a formula at point ``index``. Raises UnreadError, or an arithmetic error where it has none."""
    return _Reader(text, None, index).value()


def value_of(text: str, point: dict[str, complex]) -> complex:
    return _Reader(text, point, 0).value()


@lru_cache(maxsize=4096)
def _value_of_name(name: str, index: int) -> float:
    """Some positive number that is the name's own."""
    return 0.4 + 2.5 * int(sha256(f"{name} {index}".encode()).hexdigest()[:8], 16) / 2**32


class _Reader:
    def __init__(self, text: str, point: dict[str, complex] | None, index: int) -> None:
        self._tokens: list[str] = []
        self._point, self._index, self._at = point, index, 0
        self._in_angle = self._in_bars = False
        position = 0
        while position < len(text):
            match = TOKEN.match(text, position)
            if match is None:
                raise UnreadError(text)
            position = match.end()
            self._tokens += [match[0]] if match[0].strip() else []

    def value(self) -> complex:
        value = self._sum()
        if self._peek():
            raise UnreadError(self._peek())
        if not cmath.isfinite(value):
            raise UnreadError("no finite value")
        return value

    def _peek(self, ahead: int = 0) -> str:
        return self._tokens[self._at + ahead] if self._at + ahead < len(self._tokens) else ""

    def _take(self, *tokens: str) -> str:
        token = self._peek()
        if token and token in tokens:
            self._at += 1
            return token
        return ""

    def _expect(self, token: str) -> None:
        if not self._take(token):
            raise UnreadError(f"no {token}")

    def _sum(self) -> complex:
        value = self._product()
        while sign := self._take("+", "-"):
            value = value + self._product() if sign == "+" else value - self._product()
        return value

    def _product(self) -> complex:
        first = self._at + (self._peek() in {"+", "-"})
        value, has_slash = self._signed(), False
        while True:
            if self._take("*", r"\cdot", r"\times"):
                value *= self._signed()
            elif self._take("/"):
                value, has_slash = value / self._signed(), True
            elif not self._starts_factor():
                return value
            elif has_slash or self._is_number(self._peek()):
                raise UnreadError("1/2x, or two numbers side by side")
            else:
                value = self._next_factor(value, is_second=self._at == first + 1)

    def _next_factor(self, value: complex, *, is_second: bool) -> complex:
        r"""``3\frac{1}{2}`` is 3.5, and ``3\sqrt{2}`` a product."""
        is_mixed = self._tokens[self._at - 1].isdigit() and MIXED.match(" ".join(self._tokens[self._at :]))
        if is_mixed and not is_second:
            raise UnreadError("a mixed number inside a product")
        factor = self._power()
        if is_mixed:
            return value + factor if value.real >= 0 else value - factor
        return value * factor

    def _starts_factor(self) -> bool:
        token = self._peek()
        is_command = token.startswith("\\") and token not in {r"\cdot", r"\times", r"\degree"}
        return (
            is_command
            or token.isalpha()
            or self._is_number(token)
            or token in STARTS - ({"|"} if self._in_bars else set())
        )

    @staticmethod
    def _is_number(token: str) -> bool:
        return token[:1].isdigit() or (token[:1] == "." and len(token) > 1)

    def _signed(self) -> complex:
        if self._take("-"):
            return -self._signed()
        self._take("+")
        return self._power()

    def _power(self) -> complex:
        base = self._postfix()
        return complex(base) ** self._script() if self._take("^") else base

    def _script(self) -> complex:
        return self._signed() if self._peek() in {"-", "{"} else self._atom()

    def _postfix(self) -> complex:
        value = self._atom()
        while token := self._take("!", "%", r"\%", r"\degree"):
            if token == "!":
                if value != int(value.real) or not 0 <= value.real < 100:
                    raise UnreadError("factorial")
                value = math.factorial(int(value.real))
            elif token == r"\degree":
                value = value * math.pi / 180 if self._in_angle else value
            else:
                value = value / 100
        return value

    def _atom(self) -> complex:
        token = self._peek()
        self._at += 1
        if self._is_number(token):
            return complex(float(token))
        if token in CLOSING:
            value = self._sum()
            self._expect(CLOSING[token])
            return value
        if token == "|":
            self._in_bars = True
            value = abs(self._sum())
            self._expect("|")
            self._in_bars = False
            return value
        if token in CONSTANTS:
            return CONSTANTS[token]
        if re.fullmatch(r"[a-zA-Z]", token) or GREEK.fullmatch(token):
            return self._name(token)
        return self._command(token.removeprefix("\\"))

    def _name(self, name: str) -> complex:
        if self._peek() in {"_", "("} and (self._peek() == "_" or name in "fgPQ"):
            raise UnreadError("an index, or a function that nobody knows")
        if self._point is None:
            return _value_of_name(name, self._index)
        if name not in self._point:
            raise UnreadError(name)
        return self._point[name]

    def _command(self, name: str) -> complex:
        if name == "frac":
            top = self._argument()
            return top / self._argument()
        if name == "binom":
            top, bottom = self._argument().real, self._argument().real
            return math.comb(int(top), int(bottom))
        if name == "sqrt":
            degree = 2.0
            if self._take("["):
                degree = self._sum().real
                self._expect("]")
            return _root(self._argument(), degree)
        if name == "log":
            base = self._argument() if self._take("_") else None
            if base is None:
                raise UnreadError("a logarithm of no base")
            return cmath.log(self._of_function()) / cmath.log(base)
        if name in FUNCTIONS:
            power = self._script() if self._take("^") else 1
            if power == -1:
                raise UnreadError("an inverse function")
            return (
                FUNCTIONS[name](self._of_function(is_angle=name in {"sin", "cos", "tan", "cot", "sec", "csc"})) ** power
            )
        raise UnreadError(name)

    def _argument(self) -> complex:
        return self._postfix() if self._peek() == "{" else self._digit()

    def _digit(self) -> complex:
        r"""``\frac12``: one digit of the next number, the rest of which stays."""
        token = self._peek()
        if not token.isdigit() or len(token) == 1:
            return self._atom()
        self._tokens[self._at : self._at + 1] = [token[0], token[1:]]
        return self._atom()

    def _of_function(self, *, is_angle: bool = False) -> complex:
        """Brackets, or the factors up to the next sign or function."""
        outer, self._in_angle = self._in_angle, self._in_angle or is_angle
        if self._peek() in CLOSING:
            value = self._postfix()
        else:
            value = self._power()
            while (
                self._starts_factor()
                and self._peek() not in CLOSING
                and self._peek().removeprefix("\\") not in FUNCTIONS
            ):
                value *= self._power()
        self._in_angle = outer
        return value


def _root(radicand: complex, degree: float) -> complex:
    if degree == 2:
        return cmath.sqrt(radicand)
    if radicand.imag or degree != int(degree):
        raise UnreadError("a root of a complex number")
    if radicand.real < 0 and not degree % 2:
        raise UnreadError("an even root of a negative number")
    return math.copysign(abs(radicand.real) ** (1 / degree), radicand.real)
