r"""Numbers that a string spells exactly, as rationals: integers, decimals, fractions, mixed and scientific notation.

Two such numbers are equal or they are not: there is no tolerance, and 5, 500 and 0.05 are three numbers. A percent sign
is read only where one side carries it. A decimal is compared with a number that no decimal spells (1/3, or an
irrational one) to the digits it states, of which three have to be behind the point.
"""

import re
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from verl_ext.grading.answers.conventions import DEFAULTS, Conventions

MAX_EXPONENT = 400
MIN_STATED_DECIMALS = 3
ROUGHLY = Fraction(1, 20)
r"""The relative error that ``\approx`` may have between two numbers."""

UNSIGNED = r"(?:\d{1,3}(?:,\d{3})+|\d{1,3}(?: \d{3})+|\d+)(?:\.\d*)?|\.\d+"
SIGN = r"(?P<sign>[-+]?\s*)"
NUMBER = re.compile(
    rf"{SIGN}(?:"
    rf"(?P<mixed>\d+)\s*(?:\\frac\s*\{{\s*(?P<mixed_top>\d+)\s*\}}\s*\{{\s*(?P<mixed_bottom>\d+)\s*\}}"
    r"|(?<=\s)(?P<ascii_top>\d+)\s*/\s*(?P<ascii_bottom>\d+))"
    rf"|\\frac\s*\{{\s*(?P<top>[-+]?\s*(?:{UNSIGNED}))\s*\}}\s*\{{\s*(?P<bottom>[-+]?\s*(?:{UNSIGNED}))\s*\}}"
    rf"|(?P<over>{UNSIGNED})\s*/\s*\(?\s*(?P<under>[-+]?\s*(?:{UNSIGNED}))\s*\)?"
    rf"|(?P<mantissa>{UNSIGNED})(?:\s*(?:\*|x)\s*10\s*\^\s*\{{?\s*(?P<power>[-+]?\s*\d+)\s*\}}?|[eE](?P<exponent>[-+]?\d+))"
    r"|(?P<whole>\d*)\.(?P<before>\d*)\\overline\s*\{(?P<period>\d+)\}"
    rf"|(?P<decimal>{UNSIGNED})"
    r")\s*(?P<percent>%?)"
)


TOPS, BOTTOMS = ("top", "over", "mixed_top", "ascii_top"), ("bottom", "under", "mixed_bottom", "ascii_bottom")


class Exact(NamedTuple):
    """A number read from a string."""

    value: Fraction
    """Without its percent sign."""
    num_decimals: int | None
    """Digits behind the point if it was written as a decimal."""
    is_percent: bool


@lru_cache(maxsize=16384)
def read_exact(text: str) -> Exact | None:
    """Read a normalized answer, or None if it is not one exact number."""
    text = text.strip()
    while text.startswith("(") and text.endswith(")") and text.count("(") == 1 and "," not in text:
        text = text[1:-1].strip()
    match = NUMBER.fullmatch(text)
    if match is None:
        return None
    parts = match.groupdict()
    try:
        value, num_decimals = _value_of(parts)
    except (ZeroDivisionError, OverflowError):
        return None
    if "-" in parts["sign"]:
        value = -value
    return Exact(value, num_decimals, bool(parts["percent"]))


def _value_of(parts: dict[str, str | None]) -> tuple[Fraction, int | None]:
    decimal = parts["decimal"]
    if decimal:
        return _rational(decimal), len(decimal.partition(".")[2]) if "." in decimal else None
    if parts["mantissa"]:
        return _rational(parts["mantissa"]) * _power_of_ten(str(parts["power"] or parts["exponent"])), None
    if parts["period"]:
        return _repeating(parts["whole"] or "0", parts["before"] or "", parts["period"]), None
    top, bottom = (next(filter(None, map(parts.get, names))) for names in (TOPS, BOTTOMS))
    return _rational(parts["mixed"]) + _rational(top) / _rational(bottom), None


def _power_of_ten(exponent: str) -> Fraction:
    power = int(exponent.replace(" ", ""))
    if abs(power) > MAX_EXPONENT:
        raise OverflowError("too large to be written out")
    return Fraction(f"1e{power}")


def _repeating(whole: str, before: str, period: str) -> Fraction:
    r"""``1.2\overline{3}`` from 1, 2 and 3."""
    decimals = int(before or "0") + Fraction(int(period), int("9" * len(period)))
    return int(whole) + decimals / int("1" + "0" * len(before))


def _rational(text: str | None) -> Fraction:
    plain = (text or "").replace(",", "").replace(" ", "")
    return Fraction(plain.rstrip(".") or "0")


def is_terminating(value: Fraction) -> bool:
    """Whether a decimal can spell the number."""
    bottom = value.denominator
    for prime in (2, 5):
        while bottom % prime == 0:
            bottom //= prime
    return bottom == 1


def same_number(left: str, right: str, conventions: Conventions = DEFAULTS) -> bool | None:
    """Whether two normalized texts are the same number; None if one of them is no number."""
    numbers = read_exact(left), read_exact(right)
    if numbers[0] is None or numbers[1] is None:
        return None
    return compare_exact(numbers[0], numbers[1], conventions)


def compare_exact(reference: Exact, answer: Exact, conventions: Conventions = DEFAULTS) -> bool:
    """Whether two numbers are the same number."""
    if reference.is_percent == answer.is_percent:
        return _is_same(reference, answer, conventions)
    percent, plain = (reference, answer) if reference.is_percent else (answer, reference)
    # "What percent" is answered by 28, by 28 % and by 0.28; which one is meant, only one of the two sides says.
    num_decimals = None if percent.num_decimals is None else percent.num_decimals + 2
    as_share = percent._replace(value=percent.value / 100, num_decimals=num_decimals)
    is_sign_nothing = conventions.percent == "either" and _is_same(percent, plain, conventions)
    return is_sign_nothing or _is_same(as_share, plain, conventions)


def _is_same(left: Exact, right: Exact, conventions: Conventions) -> bool:
    if left.value == right.value:
        return True
    if conventions.decimals == "exact":
        return False
    for decimal, other in ((left, right), (right, left)):
        if decimal.num_decimals is not None and other.num_decimals is None and not is_terminating(other.value):
            return is_stated(decimal.value, decimal.num_decimals, other.value)
    return False


def are_near(number: Exact, approximation: Exact) -> bool:
    """Whether two numbers differ by no more than a rough rounding; of a percentage alone, its share or its number."""
    decimals = [each.num_decimals for each in (number, approximation) if each.num_decimals is not None]
    last_digit = Fraction(1, 10 ** min(decimals, default=0))
    scales = [Fraction(1)]
    if number.is_percent != approximation.is_percent:
        scales.append(Fraction(100) if number.is_percent else Fraction(1, 100))
    differences = [(abs(number.value - approximation.value * scale), last_digit * scale) for scale in scales]
    return any(difference <= max(digit, ROUGHLY * abs(number.value)) for difference, digit in differences)


def is_stated(decimal: Fraction, num_decimals: int, value: Fraction) -> bool:
    """Whether ``decimal`` is ``value`` rounded or cut to its ``num_decimals``, which must be three or more."""
    last_digit = Fraction(1, 10**num_decimals)
    # With many digits the last one is often that of a floating-point number.
    is_rounded = abs(decimal - value) * (1 if num_decimals >= 6 else 2) <= last_digit
    is_cut = decimal * value >= 0 and 0 <= abs(value) - abs(decimal) < last_digit
    return num_decimals >= MIN_STATED_DECIMALS and (is_rounded or is_cut)
