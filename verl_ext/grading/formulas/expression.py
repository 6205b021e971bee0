r"""A small parser of LaTeX and plain formulas, and their value at a point, to any number of digits.

    sum = product (("+" | "-") product)*          power = postfix ("^" signed)?
    product = signed (("*" | "/" | "") signed)*   postfix = atom ("!" | "%" | "\degree")*
    signed = ("+" | "-") signed | power           atom = number | name | "(" sum ")" | "|" sum "|" | command

Nothing is simplified and nothing is executed: a formula becomes a tree of the operations below, and the tree is
evaluated with mpmath at given values of its names. What the grammar does not know (sums, integrals, limits, words) is an
ExpressionError, never a guess. Runs in grading's worker processes only.
"""

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import mpmath

MAX_NODES = 2000
MAX_DEPTH = 200
MAX_EXPONENT = 10**9
MAX_FACTORIAL = 10**12

TOKEN = re.compile(
    r"\s+"
    r"|(?P<number>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d*)?|\.\d+)"
    r"|(?P<command>\\[a-zA-Z]+|\\[{}|])"
    r"|(?P<word>(?:arc|a)?(?:sin|cos|tan|cot|sec|csc)h?|sqrt|cbrt|exp|log|ln|pi|theta|alpha|beta|gamma|abs|binom)"
    r"|(?P<letter>[a-zA-Z])"
    r"|(?P<symbol>\*\*|[-+*/^_!%()\[\]{}|',=])"
)
MIXED = re.compile(r"\\frac\{\d+\}\{\d+\}")
INVERSES = {name: "arc" + name for name in ("sin", "cos", "tan", "cot", "sec", "csc", "sinh", "cosh", "tanh")}
ANGLE_FUNCTIONS = frozenset(["sin", "cos", "tan", "cot", "sec", "csc", "cis"])
VECTOR = "vec"
ALIASES = {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "arsinh": "arcsinh", "arcosh": "arccosh"}
CONSTANTS = {"pi": mpmath.pi, "e": mpmath.e}
GREEK = frozenset(
    "alpha beta gamma delta epsilon varepsilon zeta eta theta iota kappa lambda mu nu xi rho sigma tau upsilon phi chi psi"
    " omega Gamma Delta Theta Lambda Xi Sigma Phi Psi Omega ell hbar".split()
)
UNKNOWN_FUNCTIONS = frozenset("fghFGH")
CLOSING = {"(": ")", "[": "]", "{": "}", r"\{": r"\}"}
NO_FACTOR = frozenset(
    [
        "",
        "+",
        "-",
        "*",
        "/",
        ")",
        "]",
        "}",
        r"\}",
        "^",
        "_",
        "!",
        "%",
        ",",
        "=",
        r"\rfloor",
        r"\rceil",
        r"\degree",
        r"\bmod",
        r"\mod",
    ]
)
"""Tokens that do not continue a product such as ``2x``."""
OF_TWO_ARGUMENTS = {"frac": "divide", "binom": "binomial"}
ROUNDED = {"lfloor": ("floor", r"\rfloor"), "lceil": ("ceil", r"\rceil")}


class ExpressionError(ValueError):
    """The text is no formula of the grammar; the message says why."""


class TooComplexError(Exception):
    """A formula of the grammar that would take too long to evaluate, here and in any other library."""


@dataclass(frozen=True, slots=True)
class Operation:
    """A node of the tree. Leaves are ``number`` (its text) and ``name``; the rest name an operation on ``arguments``."""

    kind: str
    arguments: tuple["Operation", ...] = ()
    text: str = ""
    depth: int = field(default=1, compare=False)


def parse(text: str) -> Operation:
    """Parse a normalized scalar. Raises ExpressionError."""
    return _Parser(text).parse()


def names_of(tree: Operation) -> frozenset[str]:
    """The names that have no value of their own."""
    if tree.kind == "name":
        return frozenset({tree.text})
    return frozenset().union(*(names_of(argument) for argument in tree.arguments))


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = _tokenize(text)
        self._position = 0
        self._num_nodes = 0
        self._num_open_bars = 0
        self._num_open_angles = 0
        self._num_vectors = 0

    def parse(self) -> Operation:
        tree = self._sum()
        if self._peek():
            raise ExpressionError(f"{self._peek()!r} where an operator belongs")
        return tree

    def _peek(self) -> str:
        return self._tokens[self._position] if self._position < len(self._tokens) else ""

    def _next(self) -> str:
        token = self._peek()
        if not token:
            raise ExpressionError("ends too early")
        self._position += 1
        return token

    def _take(self, token: str) -> bool:
        if self._peek() == token:
            self._position += 1
            return True
        return False

    def _expect(self, token: str) -> None:
        if not self._take(token):
            raise ExpressionError(f"{token!r} is missing")

    def _node(self, kind: str, *arguments: Operation, text: str = "") -> Operation:
        self._num_nodes += 1
        if self._num_nodes > MAX_NODES:
            raise TooComplexError("too many operations")
        depth = 1 + max((argument.depth for argument in arguments), default=0)
        if depth > MAX_DEPTH:
            raise TooComplexError("too many operations inside each other")
        return Operation(kind, arguments, text, depth)

    def _sum(self) -> Operation:
        tree = self._product()
        while self._peek() in {"+", "-"}:
            kind = "add" if self._next() == "+" else "subtract"
            tree = self._node(kind, tree, self._product())
        return tree

    def _product(self) -> Operation:
        tree = self._signed()
        while True:
            if self._take("*"):
                tree = self._product_of(tree, self._signed())
            elif self._take("/"):
                tree = self._node("divide", tree, self._signed())
            elif self._take(r"\bmod") or self._take(r"\mod"):
                tree = self._node("modulo", tree, self._signed())
            elif self._starts_factor():
                if self._peek()[0] in ".0123456789" and self._tokens[self._position - 1][-1] in ".0123456789":
                    raise ExpressionError("two numbers side by side")  # a list, or a slip; nobody means the product
                tree = self._node("multiply", tree, self._power())
            else:
                return tree

    def _product_of(self, left: Operation, right: Operation) -> Operation:
        if self._num_vectors > 1 and _has_vector(left) and _has_vector(right):
            raise ExpressionError("a product of vectors, which has an order if it is a cross product")
        return self._node("multiply", left, right)

    def _starts_factor(self) -> bool:
        token = self._peek()
        return token not in NO_FACTOR and (token != "|" or not self._num_open_bars)

    def _signed(self) -> Operation:
        if self._take("+"):
            return self._signed()
        if self._take("-"):
            return self._node("negate", self._signed())
        return self._power()

    def _power(self) -> Operation:
        base = self._postfix()
        if self._take("^"):
            return self._node("power", base, self._exponent())
        return self._with_fraction(base)

    def _exponent(self) -> Operation:
        """A sign or several, and no mixed number: ``x^2\\frac{1}{3}`` is a product."""
        if self._take("+"):
            return self._exponent()
        if self._take("-"):
            return self._node("negate", self._exponent())
        base = self._postfix()
        return self._node("power", base, self._exponent()) if self._take("^") else base

    def _with_fraction(self, whole: Operation) -> Operation:
        r"""``3\frac{1}{2}`` as the mixed number that it is, also inside a formula; anything else as it is."""
        following = self._tokens[self._position : self._position + 8]
        is_fraction = whole.kind == "number" and whole.text.isdigit() and MIXED.fullmatch("".join(following[:7]))
        return self._node("add", whole, self._atom()) if is_fraction and following[7:] != ["^"] else whole

    def _postfix(self) -> Operation:
        tree = self._atom()
        while True:
            if self._take("!"):
                tree = self._node("factorial", tree)
            elif self._take("%"):
                tree = self._node("percent", tree)
            elif self._take(r"\degree"):  # elsewhere an angle is in degrees as a length is in meters
                tree = self._node("degree", tree) if self._num_open_angles else tree
            else:
                return tree

    def _atom(self) -> Operation:
        token = self._next()
        if token[0].isdigit() or token[0] == ".":
            return self._node("number", text=token.replace(",", ""))
        if token in CLOSING:
            tree = self._sum()
            self._expect(CLOSING[token])
            return tree
        if token in {"|", r"\|"}:
            return self._bars(token)
        if token[0] == "\\":
            return self._command(token[1:])
        if token.isalpha():
            return self._name(token) if len(token) == 1 else self._word(ALIASES.get(token, token))
        raise ExpressionError(f"{token!r} where a number or a name belongs")

    def _bars(self, token: str) -> Operation:
        self._num_open_bars += 1
        tree = self._sum()
        self._expect(token)
        self._num_open_bars -= 1
        return self._node("abs", tree)

    def _command(self, name: str) -> Operation:
        if name in OF_TWO_ARGUMENTS:
            return self._node(OF_TWO_ARGUMENTS[name], self._braced(), self._braced())
        if name == "sqrt":
            return self._root()
        if name == VECTOR and self._take("{"):
            self._num_vectors += 1
            return self._node("name", text=f"{name} {self._without_braces()}")
        if name in ROUNDED:
            kind, closing = ROUNDED[name]
            tree = self._sum()
            self._expect(closing)
            return self._node(kind, tree)
        return self._word(ALIASES.get(name, name))

    def _root(self) -> Operation:
        if not self._take("["):
            return self._node("sqrt", self._braced())
        degree = self._sum()
        self._expect("]")
        return self._node("root", self._braced(), degree)

    def _braced(self) -> Operation:
        if self._take("{"):
            tree = self._sum()
            self._expect("}")
            return tree
        return self._atom()

    def _word(self, name: str) -> Operation:
        if name in GREEK:
            return self._name(name)
        if name == "pi":
            return self._node("constant", text=name)
        if name in FUNCTIONS:
            return self._function(name)
        raise ExpressionError(f"{name} is not known")

    def _function(self, name: str) -> Operation:
        r"""A function with its base, its power and its argument: ``\log_2 8``, ``\sin^2 x``, ``\tan^{-1} 1``."""
        base = self._braced() if self._take("_") else None
        exponent = self._signed() if self._take("^") else None
        if exponent is not None and _is_minus_one(exponent) and name in INVERSES:
            name, exponent = INVERSES[name], None
        self._num_open_angles += name in ANGLE_FUNCTIONS
        tree = self._node(name, self._argument())
        self._num_open_angles -= name in ANGLE_FUNCTIONS
        if base is not None:
            if name != "log":
                raise ExpressionError(f"{name} has no base")
            tree = self._node("divide", tree, self._node("log", base))
        return tree if exponent is None else self._node("power", tree, exponent)

    def _argument(self) -> Operation:
        r"""What a function is applied to: brackets, or the factors up to the next sign or function: ``\sin 2x``."""
        if self._peek() in CLOSING or self._peek() == "|":
            return self._postfix()
        if self._take("-"):
            return self._node("negate", self._argument())
        tree = self._power()
        while self._starts_factor() and self._peek() not in CLOSING and not self._starts_function():
            tree = self._node("multiply", tree, self._power())
        return tree

    def _starts_function(self) -> bool:
        name = self._peek().removeprefix("\\")
        return ALIASES.get(name, name) in FUNCTIONS

    def _name(self, letter: str) -> Operation:
        name = letter
        if self._take("_"):
            name += "_" + self._subscript()
        while self._take("'"):
            name += "'"
        is_applied = letter in UNKNOWN_FUNCTIONS or (
            letter.isupper() and self._tokens[self._position + 2 : self._position + 3] == [")"]
        )
        if is_applied and self._peek() == "(":
            self._next()
            arguments = [self._sum()]
            while self._take(","):
                arguments.append(self._sum())
            self._expect(")")
            return self._node("unknown", *arguments, text=name)
        if name in CONSTANTS:
            return self._node("constant", text=name)
        return self._node("imaginary") if name == "i" else self._node("name", text=name)

    def _subscript(self) -> str:
        return self._without_braces() if self._take("{") else self._next().removeprefix("\\")

    def _without_braces(self) -> str:
        """The tokens up to the brace that closes, without the braces among them."""
        text = ""
        while not self._take("}"):
            text += self._without_braces() if self._take("{") else self._next()
        return text


def _has_vector(tree: Operation) -> bool:
    return any(name.startswith(VECTOR + " ") for name in names_of(tree))


def _is_minus_one(tree: Operation) -> bool:
    return tree.kind == "negate" and tree.arguments[0].kind == "number" and tree.arguments[0].text == "1"


def _tokenize(text: str) -> list[str]:
    tokens = []
    position = 0
    while position < len(text):
        match = TOKEN.match(text, position)
        if match is None:
            raise ExpressionError(f"{text[position]!a} is not part of a formula")
        position = match.end()
        if match.lastgroup:
            tokens.append("^" if match[0] == "**" else match[0])
    return tokens


def evaluate(tree: Operation, values: Mapping[str, Any], watch: Callable[[Any], None] | None = None) -> Any:
    """The value of the tree in mpmath's current precision.

    Args:
        tree: The formula.
        values: Of its names.
        watch: Is shown the value of every operation inside.

    Raises:
        TooComplexError: Evaluating it would be too expensive.
        ZeroDivisionError, ValueError, OverflowError: It has no value at this point.
    """
    match tree.kind:
        case "number":
            return mpmath.mpf(tree.text)
        case "constant":
            return +CONSTANTS[tree.text]
        case "imaginary":
            return mpmath.mpc(0, 1)
        case "name":
            return values[tree.text]
    arguments = [evaluate(argument, values, watch) for argument in tree.arguments]
    unknown = tree.kind == "unknown"
    value = _unknown_function(tree.text, arguments) if unknown else OPERATIONS[tree.kind](*arguments)
    if watch is not None:
        watch(value)
    return value


def _unknown_function(name: str, arguments: Sequence[Any]) -> Any:
    """Some smooth function of the name and the arguments: equal for equal arguments, and for hardly any others."""
    seed = sum(ord(char) * 31**index for index, char in enumerate(name)) % 997
    return mpmath.sin(seed + sum((index + 1) * argument for index, argument in enumerate(arguments)) * mpmath.sqrt(2))


def _bounded(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A function that grows exponentially, and refuses an argument of which its value has too many digits."""

    def bounded(value: Any) -> Any:
        if abs(value) > MAX_EXPONENT:
            raise TooComplexError("an exponent too large to evaluate")
        return function(value)

    return bounded


def _power(base: Any, exponent: Any) -> Any:
    if abs(exponent) > MAX_EXPONENT:
        raise TooComplexError("an exponent too large to evaluate")
    if base == 0 and mpmath.re(exponent) < 0:
        raise ZeroDivisionError
    return mpmath.power(base, exponent)


def _root(radicand: Any, degree: Any) -> Any:
    # An odd root of a negative number is the real one, as in school and in every data set here.
    whole = int(mpmath.re(degree))
    is_real = mpmath.im(radicand) == 0
    if degree == whole and whole > 0 and is_real and mpmath.re(radicand) >= 0:
        return mpmath.root(mpmath.re(radicand), whole)
    if degree == whole and whole % 2 and is_real:
        return -mpmath.power(-radicand, 1 / degree)
    return _power(radicand, 1 / degree)


def _factorial(value: Any) -> Any:
    if abs(value) > MAX_FACTORIAL:
        raise TooComplexError("a factorial too large to evaluate")
    return mpmath.gamma(value + 1)


def _binomial(top: Any, bottom: Any) -> Any:
    if max(abs(top), abs(bottom)) > MAX_FACTORIAL:
        raise TooComplexError("a binomial too large to evaluate")
    return mpmath.binomial(top, bottom)


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    **{
        name: getattr(mpmath, name)
        for name in "sin cos tan cot sec csc tanh coth sech csch ln log sqrt cbrt floor ceil".split()
    },
    **{inverse: getattr(mpmath, "a" + name) for name, inverse in INVERSES.items()},
    **{name: _bounded(getattr(mpmath, name)) for name in ("exp", "sinh", "cosh")},
    "lg": mpmath.log10,
    "cis": mpmath.expj,
    "abs": abs,
}
ARITHMETIC: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
    "negate": operator.neg,
    "percent": lambda value: value / 100,
    "abs": abs,
}
"""The same for every kind of number: rounded ones here, rationals in ``exact``."""
OPERATIONS: dict[str, Callable[..., Any]] = {
    **ARITHMETIC,
    **FUNCTIONS,
    "modulo": lambda left, right: left - right * mpmath.floor(left / right),
    "degree": lambda value: value * mpmath.pi / 180,
    "power": _power,
    "root": _root,
    "factorial": _factorial,
    "binomial": _binomial,
}
