r"""Constants without rounding: is the difference of two formulas zero, decided for what has an exact form.

1. Rationals that can be written out: by ``Fraction``. This proves the verdict either way.
2. Rationals that cannot (``2^{10^9}-1``): by their residues modulo large primes. Different residues prove that two numbers
   differ; the same residues modulo all of the primes are taken for equality, which is beyond reasonable doubt.
3. Real and complex numbers made of rationals, roots and i: an expression that is not zero is larger than its root bound
   (Burnikel, Funke, Mehlhorn, Schirra, Schmitt, "A separation bound for real algebraic expressions", 2001), so its value
   to as many digits decides.

None of these knows logarithms, pi or names: for them the answer is None.
"""

import math
from collections.abc import Callable
from fractions import Fraction

import mpmath

from verl_ext.grading.formulas.expression import ARITHMETIC, ExpressionError, Operation, TooComplexError, evaluate
from verl_ext.grading.formulas.points import in_precision

MAX_BITS = 1 << 16
"""Of a number that is written out."""
MAX_EXPONENT_BITS = 1 << 14
MAX_FACTORIAL = 5000
MAX_MODULAR_FACTORIAL = 50_000
MAX_ROOT_BITS = 25_000
MAX_ROOT_DEGREE = 64
GUARD_BITS = 64
PRIMES = (2**61 - 1, 2**107 - 1, 2**127 - 1)
"""Two hundred and ninety-five bits together."""
NOT_EXACT = (ExpressionError, ZeroDivisionError, ValueError, OverflowError, KeyError, TooComplexError)


class NotExactError(ExpressionError):
    """The formula has no exact form here."""


Rational = Callable[..., Fraction]


def is_zero(tree: Operation, values: dict[str, Fraction] | None = None) -> bool | None:
    """Whether a formula, of which each name has a rational value, is zero; None if it has no exact form here."""
    values = values or {}
    is_rational_zero = is_zero_rational(tree, values)
    if is_rational_zero is not None:
        return is_rational_zero
    for method in (_is_zero_modulo_primes, _is_zero_algebraic):
        try:
            return method(tree, values)
        except NOT_EXACT:
            continue
    return None


def is_zero_rational(tree: Operation, values: dict[str, Fraction]) -> bool | None:
    """``is_zero`` for rational values that can be written out, the cheapest of them."""
    try:
        return rational(tree, values) == 0
    except NOT_EXACT:
        return None


# Rationals that can be written out


def rational(tree: Operation, values: dict[str, Fraction] | None = None) -> Fraction:
    """The value of a rational formula. Raises one of ``NOT_EXACT`` where it is none, or is too long to write out."""
    if tree.kind == "number":
        return _bounded(Fraction(tree.text))
    if tree.kind == "name":
        return (values or {})[tree.text]
    arguments = [rational(argument, values) for argument in tree.arguments]
    if tree.kind not in RATIONAL:
        raise NotExactError(tree.kind)
    return _bounded(RATIONAL[tree.kind](*arguments))


def _bounded(value: Fraction) -> Fraction:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_BITS:
        raise NotExactError("too long to be written out")
    return value


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    power = _integer(exponent)
    size = max(base.numerator.bit_length(), base.denominator.bit_length())
    if size > 1 and abs(power) * (size - 1) > MAX_BITS:
        raise NotExactError("too long to be written out")
    if size <= 1:  # 0, 1 and -1
        power = min(power, 2 + power % 2) if power >= 0 else -(2 + power % 2)
    return base**power


def _integer(value: Fraction) -> int:
    if value.denominator != 1:
        raise NotExactError("no integer")
    return value.numerator


def _natural(value: Fraction, largest: int) -> int:
    number = _integer(value)
    if not 0 <= number <= largest:
        raise NotExactError("no small natural number")
    return number


def _factorial(value: Fraction) -> Fraction:
    return Fraction(math.factorial(_natural(value, MAX_FACTORIAL)))


def _binomial(top: Fraction, bottom: Fraction) -> Fraction:
    return Fraction(math.comb(_natural(top, MAX_FACTORIAL), _natural(bottom, MAX_FACTORIAL)))


RATIONAL: dict[str, Rational] = {
    **ARITHMETIC,
    "modulo": lambda left, right: left - right * math.floor(left / right),
    "floor": lambda value: Fraction(math.floor(value)),
    "ceil": lambda value: Fraction(math.ceil(value)),
    "power": _power,
    "factorial": _factorial,
    "binomial": _binomial,
}


# Rationals by their residues


def _is_zero_modulo_primes(tree: Operation, values: dict[str, Fraction]) -> bool:
    return all(_residue(tree, values, prime) == 0 for prime in PRIMES)


def _residue(tree: Operation, values: dict[str, Fraction], prime: int) -> int:
    """The formula modulo a prime. A denominator that the prime divides is no exact form here."""
    match tree.kind:
        case "number":
            return _reduced(Fraction(tree.text), prime)
        case "name":
            return _reduced(values[tree.text], prime)
        case "power":
            return _power_residue(
                _residue(tree.arguments[0], values, prime), rational(tree.arguments[1], values), prime
            )
        case "factorial":
            return _factorial_residue(_natural(rational(tree.arguments[0], values), MAX_MODULAR_FACTORIAL), prime)
        case "binomial":
            top, bottom = (_natural(rational(part, values), MAX_MODULAR_FACTORIAL) for part in tree.arguments)
            if bottom > top:
                return 0
            below = _factorial_residue(bottom, prime) * _factorial_residue(top - bottom, prime)
            return _factorial_residue(top, prime) * pow(below, -1, prime) % prime
    if tree.kind not in MODULAR:
        return _reduced(rational(tree, values), prime)
    arguments = [_residue(argument, values, prime) for argument in tree.arguments]
    return MODULAR[tree.kind](prime, *arguments) % prime


def _reduced(value: Fraction, prime: int) -> int:
    return value.numerator * pow(value.denominator, -1, prime) % prime


def _power_residue(base: int, exponent: Fraction, prime: int) -> int:
    power = _integer(exponent)
    if power.bit_length() > MAX_EXPONENT_BITS:
        raise NotExactError("an exponent too long to be written out")
    if base == 0 and power <= 0:
        raise ZeroDivisionError
    return pow(base, power, prime)


def _factorial_residue(number: int, prime: int) -> int:
    product = 1
    for factor in range(2, number + 1):
        product = product * factor % prime
    return product


MODULAR: dict[str, Callable[..., int]] = {
    "add": lambda _prime, left, right: left + right,
    "subtract": lambda _prime, left, right: left - right,
    "multiply": lambda _prime, left, right: left * right,
    "divide": lambda prime, left, right: left * pow(right, -1, prime),
    "negate": lambda _prime, value: -value,
    "percent": lambda prime, value: value * pow(100, -1, prime),
}


# Algebraic numbers by their root bound


def _is_zero_algebraic(tree: Operation, values: dict[str, Fraction]) -> bool:
    degrees: dict[Operation, int] = {}
    upper, lower = _root_bound(tree, values, degrees)
    degree = math.prod(degrees.values())
    bits = math.ceil(lower + (degree - 1) * upper) + GUARD_BITS
    if bits > MAX_ROOT_BITS:
        raise NotExactError("a root bound of too many digits")
    # Twice the bound: the error of a root of what cancels to zero is the root of the error.
    with mpmath.workprec(2 * bits + math.ceil(upper)):
        value = evaluate(tree, in_precision(values))
        return bool(abs(value) < mpmath.ldexp(1, GUARD_BITS // 2 - bits))


def _root_bound(tree: Operation, values: dict[str, Fraction], degrees: dict[Operation, int]) -> tuple[float, float]:
    """log2 of u and l of the bound: a formula that is not zero is at least ``1 / (l u^(d-1))``, d the product of degrees.

    ``degrees`` collects those of the distinct roots.
    """
    try:
        value = rational(tree, values)
        return _log2(value.numerator), _log2(value.denominator)
    except NOT_EXACT:
        pass
    if tree.kind == "imaginary":
        degrees[tree] = 2
        return 0.0, 0.0
    if tree.kind in {"sqrt", "cbrt", "root"}:
        degree = _degree(tree, values)
        return _bound_of_root(tree, _root_bound(tree.arguments[0], values, degrees), degree, degrees)
    if tree.kind == "power":
        return _bound_of_power(tree, values, degrees)
    if tree.kind not in BOUNDS:
        raise NotExactError(tree.kind)
    return BOUNDS[tree.kind](*(_root_bound(argument, values, degrees) for argument in tree.arguments))


def _degree(tree: Operation, values: dict[str, Fraction]) -> int:
    degree = {"sqrt": 2, "cbrt": 3}.get(tree.kind) or _natural(rational(tree.arguments[1], values), MAX_ROOT_DEGREE)
    if not degree:
        raise ZeroDivisionError
    return degree


def _bound_of_root(
    tree: Operation, bound: tuple[float, float], degree: int, degrees: dict[Operation, int]
) -> tuple[float, float]:
    degrees[tree] = degree
    upper, lower = bound
    if upper >= lower:
        return (upper + (degree - 1) * lower) / degree, lower
    return upper, ((degree - 1) * upper + lower) / degree


def _bound_of_power(tree: Operation, values: dict[str, Fraction], degrees: dict[Operation, int]) -> tuple[float, float]:
    base, exponent = _root_bound(tree.arguments[0], values, degrees), rational(tree.arguments[1], values)
    if exponent.denominator > MAX_ROOT_DEGREE:
        raise NotExactError("a root of too high a degree")
    power = abs(exponent.numerator)
    upper, lower = power * base[0], power * base[1]
    if exponent < 0:
        upper, lower = lower, upper
    if exponent.denominator == 1:
        return upper, lower
    return _bound_of_root(tree, (upper, lower), exponent.denominator, degrees)


def _log2(value: int) -> float:
    return float(abs(value).bit_length())


def _bound_of_sum(left: tuple[float, float], right: tuple[float, float]) -> tuple[float, float]:
    return max(left[0] + right[1], left[1] + right[0]) + 1, left[1] + right[1]


BOUNDS: dict[str, Callable[..., tuple[float, float]]] = {
    "add": _bound_of_sum,
    "subtract": _bound_of_sum,
    "multiply": lambda left, right: (left[0] + right[0], left[1] + right[1]),
    "divide": lambda left, right: (left[0] + right[1], left[1] + right[0]),
    "negate": lambda bound: bound,
    "percent": lambda bound: (bound[0], bound[1] + 7),
}
