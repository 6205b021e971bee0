"""Near misses of a reference: kinds of changes that make another answer of it."""

import random
import re
from collections.abc import Callable, Sequence
from fractions import Fraction

from mutations import (
    AT_MOST,
    BASE,
    DECIMAL,
    DOLLARS,
    INTEGER,
    LETTERS,
    MATRIX,
    NUMBER,
    OTHER_BRACKET,
    PERCENT,
    QUANTITY,
    WORDS,
    is_plain,
    is_untouchable,
    items_of,
    kind_of,
    near_miss,
    real_value,
    replace_one,
    terms_of,
)


def change_digit(generator: random.Random, text: str) -> str | None:
    return replace_one(generator, r"\d", text, lambda m: generator.choice([d for d in "123456789" if d != m[0]]))


def drop_digit(generator: random.Random, text: str) -> str | None:
    return replace_one(generator, r"(?<=\d)\d", text, lambda _match: "")


def double_digit(generator: random.Random, text: str) -> str | None:
    return replace_one(generator, r"\d", text, lambda m: m[0] * 2)


def swap_digits(generator: random.Random, text: str) -> str | None:
    return replace_one(generator, r"\d\d", text, lambda m: m[0][::-1])


def one_more(generator: random.Random, text: str) -> str | None:
    return replace_one(generator, NUMBER.pattern, text, lambda m: nudged(generator, m[0]))


def nudged(generator: random.Random, number: str) -> str:
    """One more or less in the last digit."""
    step = Fraction(generator.choice((1, -1)), 10 ** len(number.partition(".")[2]))
    value = abs(Fraction(number) + step)
    decimals = len(number.partition(".")[2])
    return f"{float(value):.{decimals}f}" if decimals else str(value)


def huge_and_one(generator: random.Random, text: str) -> str | None:
    """An integer that no floating-point number tells from the next one, as a power and one more: the mutant of a mutant."""
    return f"{text}{generator.choice('+-')}1" if re.fullmatch(r"\d+\^\{?\d+\}?|\d{16,}|\d+!", text) else None


def negative(_generator: random.Random, text: str) -> str | None:
    if not is_plain(text):
        return None
    return f"-({text})" if terms_of(text) else text[1:] if text.startswith("-") else f"-{text}"


def negative_part(generator: random.Random, text: str) -> str | None:
    parts = items_of(text)
    if parts is None:
        return None
    opening, items, closing = parts
    at = generator.randrange(len(items))
    changed = negative(generator, items[at].strip())
    return None if changed is None else opening + ", ".join([*items[:at], changed, *items[at + 1 :]]) + closing


def flip_inner_sign(generator: random.Random, text: str) -> str | None:
    if not text or is_untouchable(text):
        return None
    return replace_one(
        generator,
        r"(?<=[^\s(\[{,=+*-])\s*[-+]|(?<=[(\[{,])\s*-",
        text,
        lambda m: m[0].translate(str.maketrans("+-", "-+")),
    )


def swap_fraction(generator: random.Random, text: str) -> str | None:
    return replace_one(
        generator, r"(\\[dt]?frac)\{([^{}]*)\}\{([^{}]*)\}", text, lambda m: f"{m[1]}{{{m[3]}}}{{{m[2]}}}"
    )


def drop_denominator(generator: random.Random, text: str) -> str | None:
    return replace_one(generator, r"\\[dt]?frac\{([^{}]*)\}\{([^{}]*)\}", text, lambda m: f"({m[1]})")


def change_operator(generator: random.Random, text: str) -> str | None:
    if is_untouchable(text):
        return None
    return replace_one(
        generator, r"(?<=[\w})])\s*[-+]\s*(?=[\w\\])", text, lambda _match: generator.choice((r"\cdot ", "/"))
    )


def change_exponent(generator: random.Random, text: str) -> str | None:
    return replace_one(
        generator, r"\^\s*(?:\{(\d+)\}|(\d))", text, lambda m: f"^{{{int(m[1] or m[2]) + generator.choice((1, -1))}}}"
    )


def drop_exponent(generator: random.Random, text: str) -> str | None:
    return replace_one(generator, r"\^\s*(?:\{\d+\}|\d)", text, lambda _match: "")


def exponent_as_factor(generator: random.Random, text: str) -> str | None:
    return replace_one(generator, r"\^\s*(?:\{(\d+)\}|(\d))", text, lambda m: rf" \cdot {m[1] or m[2]}")


def drop_root(generator: random.Random, text: str) -> str | None:
    return replace_one(generator, r"\\sqrt\s*(?:\{([^{}]*)\}|(\d))", text, lambda m: f"({m[1] or m[2]})")


def take_root(_generator: random.Random, text: str) -> str | None:
    return rf"\sqrt{{{text}}}" if is_plain(text) else None


def change_root(generator: random.Random, text: str) -> str | None:
    return replace_one(
        generator, r"\\sqrt(?:\[\d\])?(?=\{)", text, lambda m: r"\sqrt[3]" if m[0] == r"\sqrt" else r"\sqrt"
    )


def change_coefficient(generator: random.Random, text: str) -> str | None:
    return replace_one(
        generator,
        r"(?<![\d.^_])\d+(?=\s*(?:\\sqrt|\\pi|[a-z(]))",
        text,
        lambda m: str(int(m[0]) + generator.choice((1, 2, -1))),
    )


def drop_coefficient(generator: random.Random, text: str) -> str | None:
    return replace_one(generator, r"(?<![\d.^_}])\d+\s*(?=\\sqrt|\\pi|[a-z])", text, lambda _match: "")


def drop_constant(generator: random.Random, text: str) -> str | None:
    return replace_one(generator, r"(?<=\d)\s*\\pi(?![a-zA-Z])|(?<=\d)\s*i(?![a-z])", text, lambda _match: "")


def change_constant(generator: random.Random, text: str) -> str | None:
    return replace_one(
        generator,
        r"\\pi(?![a-zA-Z])",
        text,
        lambda _match: generator.choice(("e", "3", r"\frac{22}{7}", "3.14", r"\sqrt{10}")),
    )


FUNCTIONS = {r"\sin": r"\cos", r"\cos": r"\sin", r"\tan": r"\cot", r"\cot": r"\tan", r"\ln": r"\log_2", r"\arctan": r"\arcsin", r"\sec": r"\csc", r"\csc": r"\sec"}  # fmt: skip


def change_function(generator: random.Random, text: str) -> str | None:
    pattern = "|".join(rf"\{name}(?![a-zA-Z])" for name in FUNCTIONS)
    return replace_one(generator, pattern, text, lambda m: FUNCTIONS[m[0]] + " ")


def change_name(generator: random.Random, text: str) -> str | None:
    """Another name for one occurrence, or for all of them: ``2x+1`` is not ``2y+1``."""
    if is_untouchable(text) or "begin" in text:
        return None
    names = sorted(set(re.findall(r"(?<![a-zA-Z\\])[a-dj-z](?![a-zA-Z])", text)))
    if not names:
        return None
    name = generator.choice(names)
    other = generator.choice([each for each in "abntxyz" if each != name])
    pattern = rf"(?<![a-zA-Z\\]){name}(?![a-zA-Z])"
    return (
        re.sub(pattern, other, text)
        if generator.random() < 0.5
        else replace_one(generator, pattern, text, lambda _m: other)
    )


def add_one(generator: random.Random, text: str) -> str | None:
    return f"{text}{generator.choice(('+1', '-1', ' + x', ' + 0.01'))}" if is_plain(text) else None


def times_two(generator: random.Random, text: str) -> str | None:
    factor = generator.choice(("2", r"\frac12", "10", r"\sqrt{2}", r"\pi ", "100", "0.01"))
    return rf"{factor} \cdot ({text})" if is_plain(text) else None


def factorial_of(_generator: random.Random, text: str) -> str | None:
    return f"{text}!" if re.fullmatch(r"\d{1,2}", text) else None


def shift_point(_generator: random.Random, text: str) -> str | None:
    match = DECIMAL.fullmatch(text)
    if match is None:
        return None
    return match["sign"] + (match["whole"] or "0") + match["decimals"][:1] + "." + (match["decimals"][1:] or "0")


def rounded_wrong(generator: random.Random, text: str) -> str | None:
    """A value as a decimal of six digits, of which the last is off by more than rounding."""
    if not is_plain(text) or INTEGER.fullmatch(text):
        return None
    value = real_value(text)
    if value is None:
        return None
    return f"{value + generator.choice((3, -3, 20, -20)) * 1e-6:.6f}" if abs(value) < 1000 else None


def roughly(_generator: random.Random, text: str) -> str | None:
    """The nearest integer of what is none."""
    value = real_value(text) if is_plain(text) else None
    return None if value is None or not 1e-6 < abs(value) < 1e9 else str(round(value))


def change_bracket(generator: random.Random, text: str) -> str | None:
    if not re.search(r"\\cup|\\infty|^(?:\\left)?\s*\[.*[)\]]$|^(?:\\left)?\s*\(.*\]$", text) or r"\begin" in text:
        return None
    return replace_one(
        generator,
        r"[(\[](?!\s*-\s*\\infty)|(?<!\\infty)(?<!\\infty )[)\]]",
        text,
        lambda m: OTHER_BRACKET[m[0]],
    )


def drop_piece(generator: random.Random, text: str) -> str | None:
    pieces = re.split(r"\s*\\cup\s*", text)
    if len(pieces) == 1:
        return None
    del pieces[generator.randrange(len(pieces))]
    return r" \cup ".join(pieces)


def infinite_end(_generator: random.Random, text: str) -> str | None:
    match = re.fullmatch(r"[(\[]\s*([^,]*),\s*([^,]*[^,\s])\s*[)\]]", re.sub(r"\\(?:left|right)", "", text))
    return rf"({match[1]},\infty)" if match and kind_of(text) == "reals" and "infty" not in match[2] else None


def changed_items(text: str, change: Callable[[list[str]], list[str] | None]) -> str | None:
    parts = items_of(text)
    if parts is None or is_untouchable(text):
        return None
    items = change(list(parts[1]))
    return None if items is None else parts[0] + ", ".join(items) + parts[2]


def drop_item(generator: random.Random, text: str) -> str | None:
    def change(items: list[str]) -> list[str]:
        del items[generator.randrange(len(items))]
        return items

    return changed_items(text, change)


def swap_items(generator: random.Random, text: str) -> str | None:
    def change(items: list[str]) -> list[str]:
        left, right = generator.sample(range(len(items)), 2)
        items[left], items[right] = items[right], items[left]
        return items

    return changed_items(text, change) if text.lstrip().startswith(("(", r"\left(")) else None


def add_item(generator: random.Random, text: str) -> str | None:
    return changed_items(text, lambda items: [*items, str(generator.randrange(50, 90))])


def second_value(generator: random.Random, text: str) -> str | None:
    """A second answer, where there is one: ``3`` is not ``3, 7``."""
    other = generator.choice(("7", "0", "-1", r"\sqrt{5}", "x"))
    return (
        generator.choice((f"{text}, {other}", rf"{text} \text{{ or }} {other}", rf"\{{{text}, {other}\}}"))
        if is_plain(text) and real_value(text) != real_value(other)
        else None
    )


def without_comma(_generator: random.Random, text: str) -> str | None:
    """``2,3`` is not 23."""
    return text.replace(",", "").replace(" ", "") if re.fullmatch(r"\d{1,2}(?:,\s*\d{1,2})+", text) else None


def without_dot(_generator: random.Random, text: str) -> str | None:
    r"""``3\cdot4`` is not 34."""
    return re.sub(r"\s*\\(?:cdot|times)\s*", "", text) if re.search(r"\d\s*\\(?:cdot|times)\s*\d", text) else None


def matrix_of(rows: Sequence[str]) -> str:
    return r"\begin{pmatrix} " + r" \\ ".join(row.strip() for row in rows) + r" \end{pmatrix}"


def swap_rows(generator: random.Random, text: str) -> str | None:
    match = MATRIX.fullmatch(text)
    if match is None:
        return None
    rows = match["cells"].split(r"\\")
    left, right = generator.sample(range(len(rows)), 2) if len(rows) > 1 else (0, 0)
    rows[left], rows[right] = rows[right], rows[left]
    return matrix_of(rows)


def transposed(_generator: random.Random, text: str) -> str | None:
    match = MATRIX.fullmatch(text)
    rows = [row.split("&") for row in match["cells"].split(r"\\")] if match else []
    if len(rows) < 2 or len({len(row) for row in rows}) > 1 or len(rows[0]) != len(rows):
        return None
    turned = [" & ".join(cell.strip() for cell in column) for column in zip(*rows, strict=True)]
    return matrix_of(turned)


OTHER_UNITS = {
    "cm": "mm", "mm": "cm", "m": "cm", "meters": "feet", "km": "miles", "feet": "inches", "ft": "inches", "inches": "feet",
    "miles": "km", "hours": "minutes", "minutes": "seconds", "min": "hours", "seconds": "minutes", "days": "hours",
    "dollars": "cents", "cents": "dollars", "degrees": "radians", "pounds": "ounces", "gallons": "liters", "mph": "km/h",
    "square feet": "feet", "square inches": "cubic inches", "cubic inches": "square inches", "square centimeters": "square meters",
    "gm": "kg", "square cm": "cm", "acres": "square miles", "euros": "cents",
}  # fmt: skip
"""Another unit for each, in which the same number is another quantity."""


def change_unit(_generator: random.Random, text: str) -> str | None:
    match = QUANTITY.fullmatch(text)
    other = OTHER_UNITS.get(match["unit"].strip()) if match else None
    return rf"{match['number']}\text{{ {other}}}{match['power'] or ''}" if match and other else None


def change_power_of_unit(_generator: random.Random, text: str) -> str | None:
    match = QUANTITY.fullmatch(text)
    if match is None or match["unit"].strip() not in {
        "cm",
        "m",
        "km",
        "feet",
        "inches",
        "units",
        "miles",
        "meters",
        "ft",
    }:
        return None
    power = "^3" if match["power"] and "2" in match["power"] else "^2"
    return rf"{match['number']}\text{{ {match['unit'].strip()}}}{power}"


def other_kind_of_thing(generator: random.Random, text: str) -> str | None:
    """A word that makes another answer of a number."""
    words = (
        r"\text{at least }",
        r"\text{at most }",
        r"\text{not }",
        r"\text{more than }",
        r"\text{less than }",
        r"\text{multiples of }",
        r"\text{base }",
    )
    return generator.choice(words) + text if INTEGER.fullmatch(text) else None


def magnitude(generator: random.Random, text: str) -> str | None:
    return (
        rf"{text}\text{{ {generator.choice(('million', 'thousand', 'billion', 'dozen', 'hundred'))}}}"
        if INTEGER.fullmatch(text) and text != "0"
        else None
    )


def other_letter(generator: random.Random, text: str) -> str | None:
    match = LETTERS.fullmatch(text)
    if match is None:
        return None
    own = match["letter"] or match["inside"]
    letter = generator.choice([each for each in "ABCDE" if each != own])
    return generator.choice((rf"\text{{({letter})}}", letter, rf"\textbf{{({letter})}}", f"({letter.lower()})"))


OTHER_WORDS = ("blue", "even", "ellipse", "Friday", "Sunday", "May", "Carla", "no", "neither", "two lines", "circle", "hyperbola", "all", "none")  # fmt: skip


def other_word(generator: random.Random, text: str) -> str | None:
    match = WORDS.fullmatch(text)
    words = [word for word in OTHER_WORDS if match and word.lower() not in match["words"].lower()]
    return rf"\text{{{generator.choice(words)}}}" if words else None


def negated_word(_generator: random.Random, text: str) -> str | None:
    match = WORDS.fullmatch(text)
    return rf"\text{{not {match['words']}}}" if match and len(match["words"]) > 3 else None


def misspelt_word(generator: random.Random, text: str) -> str | None:
    match = WORDS.fullmatch(text)
    if match is None or " " in match["words"]:
        return None
    return replace_one(generator, r"(?<=\w)[a-z]", match["words"], lambda m: chr((ord(m[0]) - 96) % 26 + 97))


def other_base(generator: random.Random, text: str) -> str | None:
    match = BASE.fullmatch(text)
    return (
        f"{match['digits']}_{{{int(match['base']) + generator.choice((1, -1))}}}"
        if match and len(match["digits"].lstrip("0")) > 1
        else None
    )


def digit_in_base(generator: random.Random, text: str) -> str | None:
    match = BASE.fullmatch(text)
    if match is None:
        return None
    at, digits = generator.randrange(len(match["digits"])), match["digits"]
    other = generator.choice([str(digit) for digit in range(min(10, int(match["base"]))) if str(digit) != digits[at]])
    return f"{digits[:at]}{other}{digits[at + 1 :]}_{{{match['base']}}}"


def hundredfold(_generator: random.Random, text: str) -> str | None:
    """No factor of a hundred without a percent sign."""
    return f"{text}00" if re.fullmatch(r"-?[1-9]\d*", text) else None


def percent_of_percent(_generator: random.Random, text: str) -> str | None:
    match = PERCENT.fullmatch(text)
    return rf"{float(Fraction(match['number']) / 100)!r}\%" if match and float(match["number"]) else None


def other_percent(generator: random.Random, text: str) -> str | None:
    match = PERCENT.fullmatch(text)
    return rf"{nudged(generator, match['number'])}\%" if match else None


def other_dollars(generator: random.Random, text: str) -> str | None:
    match = DOLLARS.fullmatch(text)
    return rf"\${nudged(generator, match['number'])}" if match else None


def turned_ratio(_generator: random.Random, text: str) -> str | None:
    match = re.fullmatch(r"(\d+):(\d+)", text)
    return f"{match[2]}:{match[1]}" if match and match[1] != match[2] else None


def mixed_as_product(_generator: random.Random, text: str) -> str | None:
    match = re.fullmatch(r"(\d+)\s*(\\frac\{\d+\}\{\d+\})", text)
    return rf"{match[1]} \cdot {match[2]}" if match else None


def inequality_of(_generator: random.Random, text: str) -> str | None:
    """The other side of a bound."""
    match = re.fullmatch(r"[(\[]\s*-\\infty\s*,\s*([^,]*[^,\s])\s*[)\]]", re.sub(r"\\(?:left|right)", "", text))
    return f"x > {match[1]}" if match else None


def determinant(_generator: random.Random, text: str) -> str | None:
    match = MATRIX.fullmatch(text)
    return rf"\begin{{vmatrix}}{match['cells']}\end{{vmatrix}}" if match else None


def in_radians(generator: random.Random, text: str) -> str | None:
    match = re.fullmatch(r"([^a-z]*)\^\s*\{?\\circ\}?", text)
    return match[1] + generator.choice((r"\text{ radians}", r"\text{ rad}", " rad")) if match else None


AROUND_A_NUMBER = (
    "x > {}", r"x \le {}", r"x \ne {}", r"\pm {}", "f({})", "{}x", "0.{}1", r"{} \text{{ or more}}", r"{} \text{{ or less}}", r"\ln {}", "{} + a",
    r"\{{1, {}, 99\}}", "({}, 0)", r"[{}, \infty)", r"x \equiv {} \pmod{{{}3}}", "{}i", "e^{{{}}}", r"\sqrt[3]{{{}}}", "{} = 99", r"2 \cdot {} = 99",
    r"\text{{between }} 0 \text{{ and }} {}", r"\binom{{{}}}{{2}}", r"n \ge {}", r"{}\text{{ for }} x = 2, 99 \text{{ otherwise}}",
    r"\begin{{pmatrix}} {} \\ 99 \end{{pmatrix}}", r"{}^{{\text{{o}}}} 30'", r"{}:99", "{}k + 1", r"(-\infty, {}]",
)  # fmt: skip


def number_inside(generator: random.Random, text: str) -> str | None:
    """Another answer, in which the number occurs."""
    is_large = re.fullmatch(r"[3-9]|[1-8]\d+", text)  # 0 and 1 are what several of these are
    return (
        generator.choice(AROUND_A_NUMBER).replace("{}", text).replace("{{", "{").replace("}}", "}")
        if is_large
        else None
    )


def reciprocal(generator: random.Random, text: str) -> str | None:
    return generator.choice((r"\frac{{1}}{{{}}}", "({})^{{-1}}", "1/({})")).format(text) if is_plain(text) else None


def rounded_down(_generator: random.Random, text: str) -> str | None:
    return rf"\lfloor {text} \rfloor" if is_plain(text) and (real_value(text) or 0) % 1 > 1e-6 else None


def absolute_value(_generator: random.Random, text: str) -> str | None:
    return rf"\left|{text}\right|" if is_plain(text) and (real_value(text) or 0) < -1e-6 else None


def negative_whole(generator: random.Random, text: str) -> str | None:
    """A sign or a factor before a tuple or a matrix."""
    is_zero = not re.search(r"[1-9a-zA-Z]", re.sub(r"\\begin\{pmatrix\}|\\end\{pmatrix\}", "", text))
    is_whole = kind_of(text) in {"tuple()", "matrix"} and not is_zero
    return generator.choice(("-", "2", r"\frac12 ", "3 ")) + text if is_whole else None


def swap_names(_generator: random.Random, text: str) -> str | None:
    match = re.fullmatch(r"y\s*=\s*([^=y]*x[^=y]*)", text)
    return f"x = {re.sub(r'(?<![a-z])x(?![a-z])', 'y', match[1])}" if match else None


def other_strictness(_generator: random.Random, text: str) -> str | None:
    """An interval as an inequality that is strict where it should not be, and the other way."""
    parts = items_of(text)
    if parts is None or kind_of(text) != "reals" or "cup" in text or "infty" in text:
        return None
    opening, (low, high), closing = parts
    return f"{low} {AT_MOST[OTHER_BRACKET[opening]]} x {AT_MOST[OTHER_BRACKET[closing]]} {high}"


def one_of_two_bounds(_generator: random.Random, text: str) -> str | None:
    """An "or" between the bounds of an interval."""
    parts = items_of(text)
    if parts is None or kind_of(text) != "reals" or "cup" in text or "infty" in text:
        return None
    opening, (low, high), closing = parts
    return rf"{low} {AT_MOST[opening]} x \text{{ or }} x {AT_MOST[closing]} {high}"


NEAR_MISSES = (
    near_miss("a digit changed", change_digit),
    near_miss("another digit changed", change_digit),
    near_miss("a digit dropped", drop_digit),
    near_miss("a digit doubled", double_digit),
    near_miss("two digits swapped", swap_digits),
    near_miss("a number one more or less", one_more),
    near_miss("another number one more or less", one_more),
    near_miss("a huge integer and one", huge_and_one, is_proven=True),
    near_miss("the sign flipped", negative),
    near_miss("the sign of a part flipped", negative_part),
    near_miss("a sign inside flipped", flip_inner_sign),
    near_miss("a fraction turned over", swap_fraction),
    near_miss("a denominator dropped", drop_denominator),
    near_miss("an operator changed", change_operator),
    near_miss("an exponent one more or less", change_exponent),
    near_miss("an exponent dropped", drop_exponent),
    near_miss("an exponent as a factor", exponent_as_factor),
    near_miss("a root dropped", drop_root),
    near_miss("the root taken", take_root),
    near_miss("a root of another degree", change_root),
    near_miss("a coefficient changed", change_coefficient),
    near_miss("a coefficient dropped", drop_coefficient),
    near_miss("pi or i dropped", drop_constant),
    near_miss("pi changed", change_constant),
    near_miss("a function changed", change_function),
    near_miss("a name changed", change_name),
    near_miss("a term added", add_one),
    near_miss("a factor added", times_two),
    near_miss("a factorial taken", factorial_of),
    near_miss("the decimal point moved", shift_point),
    near_miss("a decimal off beyond rounding", rounded_wrong),
    near_miss("rounded to an integer", roughly),
    near_miss("a bracket of an interval changed", change_bracket),
    near_miss("a piece of a union dropped", drop_piece),
    near_miss("an end moved to infinity", infinite_end),
    near_miss("an item dropped", drop_item),
    near_miss("two entries of a tuple swapped", swap_items),
    near_miss("an item added", add_item),
    near_miss("a second answer added", second_value, is_proven=True),
    near_miss("the comma of a list dropped", without_comma),
    near_miss("the sign of a product dropped", without_dot),
    near_miss("two rows swapped", swap_rows),
    near_miss("a matrix transposed", transposed),
    near_miss("another unit", change_unit, is_proven=True),
    near_miss("another power of a unit", change_power_of_unit, is_proven=True),
    near_miss("a qualifier before a number", other_kind_of_thing, is_proven=True),
    near_miss("a magnitude behind a number", magnitude, is_proven=True),
    near_miss("another choice", other_letter, is_proven=True),
    near_miss("another word", other_word, is_proven=True),
    near_miss("a word negated", negated_word, is_proven=True),
    near_miss("a word misspelt", misspelt_word, is_proven=True),
    near_miss("another base", other_base, is_proven=True),
    near_miss("a digit of a number in a base", digit_in_base, is_proven=True),
    near_miss("a hundredfold", hundredfold),
    near_miss("a hundredth of a percentage", percent_of_percent, is_proven=True),
    near_miss("another percentage", other_percent, is_proven=True),
    near_miss("another price", other_dollars),
    near_miss("a ratio turned over", turned_ratio, is_proven=True),
    near_miss("a mixed number as a product", mixed_as_product),
    near_miss("the other side of a bound", inequality_of, is_proven=True),
    near_miss("a number inside another answer", number_inside, is_proven=True),
    near_miss("a number inside yet another answer", number_inside, is_proven=True),
    near_miss("the reciprocal", reciprocal),
    near_miss("rounded down", rounded_down, is_proven=True),
    near_miss("the absolute value", absolute_value),
    near_miss("a factor before a tuple or matrix", negative_whole, is_proven=True),
    near_miss("two names swapped", swap_names, is_proven=True),
    near_miss("an inequality strict or not", other_strictness, is_proven=True),
    near_miss("a determinant", determinant, is_proven=True),
    near_miss("degrees as radians", in_radians, is_proven=True),
    near_miss("one of two bounds", one_of_two_bounds, is_proven=True),
)
