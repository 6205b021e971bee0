r"""Answers made of a reference by a kind of change: near misses, which are wrong, and rewrites, which are right.

A near miss is wrong by construction, or ``oracle`` has proven that its value differs. A rewrite is right by construction, and
the oracle has nothing against it. What a kind does not apply to, it makes None of.
"""

import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import oracle

MAX_ATTEMPTS = 6
"""Draws of a near miss, until one is proven to differ."""

Make = Callable[[random.Random, str], str | None]


@dataclass(frozen=True)
class Kind:
    """A row of the tables below."""

    name: str
    is_equal: bool
    """Whether the mutant is still a right answer."""
    make: Make
    is_proven: bool = False
    """A near miss that differs by construction, without the oracle's word."""

    def mutant(self, generator: random.Random, reference: str) -> str | None:
        """The reference changed; None if the kind does not apply to it, or nothing proves what it is."""
        for _ in range(MAX_ATTEMPTS):
            mutant = self.make(generator, reference)
            if mutant not in {None, reference} and self._is_labeled(oracle.same(reference, mutant)):
                return mutant
        return None

    def _is_labeled(self, is_same: bool | None) -> bool:
        if self.is_equal:
            return is_same is not False
        return is_same is False or (self.is_proven and is_same is None)


def near_miss(name: str, make: Make, *, is_proven: bool = False) -> Kind:
    return Kind(name, False, make, is_proven)


def rewrite(name: str, make: Make) -> Kind:
    return Kind(name, True, make)


def mutants(kinds: Sequence[Kind], references: Sequence[str], seed: int) -> Iterator[tuple[Kind, str, str]]:
    """Each reference with what each kind makes of it: kind, reference and mutant."""
    for reference in references:
        for kind in kinds:
            mutant = kind.mutant(random.Random(f"{seed} {kind.name} {reference}"), reference)
            if mutant is not None:
                yield kind, reference, mutant


def pairs(references: Sequence[str], number: int, seed: int) -> list[tuple[str, str]]:
    """Pairs of different references: half of them at random, half of one shape, which differ in their digits alone."""
    generator = random.Random(seed)
    shapes: dict[str, list[str]] = {}
    for reference in references:
        shapes.setdefault(re.sub(r"\s|\d", "", reference), []).append(reference)
    alike = [shape for shape in shapes.values() if len(shape) > 1]
    chosen: set[tuple[str, str]] = set()
    for index in range(number):
        left, right = generator.sample(generator.choice(alike) if index % 2 and alike else references, 2)
        chosen.add((left, right))
    return sorted(chosen)


# Parts of a reference

INTEGER = re.compile(r"-?\d+")
DECIMAL = re.compile(r"(?P<sign>-?)(?P<whole>\d*)\.(?P<decimals>\d+)")
FRACTION = re.compile(r"(?P<sign>-?)\s*\\[dt]?frac\s*\{(?P<top>-?\d+)\}\s*\{(?P<bottom>\d+)\}")
NUMBER = re.compile(r"(?<![\d.,])\d+(?:\.\d+)?(?![\d.,])")
COMMAND_OR_NUMBER = r"\\[a-zA-Z]+|\d+(?:\.\d+)?|."
QUANTITY = re.compile(
    r"(?P<number>[^a-zA-Z]*?(?:\\(?:frac|sqrt)[^a-zA-Z]*?)*)\s*(?:\\[,; ]|\\!)*\s*"
    r"\\(?:text|mbox|mathrm|textnormal)\{\s*~?(?P<unit>[a-zA-Z. ]+?)\.?\s*\}(?P<power>\^\{?[23]\}?)?"
)
LETTERS = re.compile(r"\\text(?:bf)?\{\(?(?P<letter>[A-F])\)?\}|\(\\text\{(?P<inside>[A-F])\}\)")
WORDS = re.compile(r"\\text\{(?P<words>[A-Za-z][A-Za-z -]{2,})\}")
BASE = re.compile(r"(?P<digits>[0-9A-C]+)_\{?(?P<base>\d+)\}?")
PERCENT = re.compile(r"(?P<number>-?\d+(?:\.\d+)?)\s*\\%")
DOLLARS = re.compile(r"\\\$\s*(?P<number>\d+(?:\.\d+)?)")
BRACKETED = re.compile(r"(?:\\left)?\s*(?P<opening>[(\[])(?P<inside>.*?)(?:\\right)?\s*(?P<closing>[)\]])", re.DOTALL)
MATRIX = re.compile(r"\\begin\{pmatrix\}(?P<cells>.*)\\end\{pmatrix\}", re.DOTALL)
EQUATION = re.compile(r"(?P<name>[a-z])\s*=\s*(?P<value>[^=]*)")


def kind_of(text: str) -> str:
    """What the oracle reads in a reference: a value, a list, a tuple, ..; nothing if it reads none."""
    try:
        return oracle.read(text)[0]
    except oracle.UNREAD:
        return ""


def is_value(text: str) -> bool:
    """Whether it is one formula, without its name, a list or words."""
    return kind_of(text) == "value"


def is_plain(text: str) -> bool:
    """A formula that stays one in brackets, between signs and before a power."""
    return is_value(text) and not re.search(r"\\degree|\\circ|\$|[A-Z]{2}|\.$", text)


def items_of(text: str) -> tuple[str, list[str], str] | None:
    """Opening bracket, items and closing bracket of a tuple, an interval or a list of several."""
    plain = re.sub(r"\\(?:left|right)(?![a-zA-Z])", "", text).strip()
    for opening, closing in (("(", ")"), ("[", "]"), ("(", "]"), ("[", ")"), (r"\{", r"\}")):
        if (
            plain.startswith(opening)
            and plain.endswith(closing)
            and oracle.is_one_bracket(plain.replace("\\{", "{").replace("\\}", "}"))
        ):
            items = oracle.split(plain[len(opening) : len(plain) - len(closing)], ",")
            return (opening, items, closing) if len(items) > 1 else None
    items = oracle.split(plain, ",")
    is_number = re.fullmatch(r"[^a-zA-Z]*\d{1,3}(?:,\s*(?:\\!\s*)?\d{3})+.*", plain)
    return ("", items, "") if len(items) > 1 and not is_number else None


def terms_of(text: str) -> list[str]:
    """The terms of a sum with their signs, outside all brackets; an empty list if it is none."""
    terms, depth, previous = [""], 0, ""
    for token in re.findall(COMMAND_OR_NUMBER, text, re.DOTALL):
        depth += oracle.BRACKETS.get(token, 0)
        if token in "+-" and not depth and terms[-1].strip() and previous not in "^_*/(":
            terms.append("")
        terms[-1] += token
        previous = token if token.strip() else previous
    return [term.strip() for term in terms] if len(terms) > 1 else []


def replace_one(
    generator: random.Random, pattern: str, text: str, change: Callable[[re.Match[str]], str]
) -> str | None:
    """The text with one match of the pattern changed; None without a match."""
    matches = list(re.finditer(pattern, text))
    if not matches:
        return None
    match = generator.choice(matches)
    return text[: match.start()] + change(match) + text[match.end() :]


def is_untouchable(text: str) -> bool:
    """Whether its digits are part of words or of the layout."""
    return any(mark in text for mark in (r"\text", r"\mbox", r"\begin{array}"))


# Near misses


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


def real_value(text: str) -> float | None:
    """Of a constant."""
    try:
        return oracle.real(text)
    except oracle.UNREAD:
        return None


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
        lambda m: {"(": "[", "[": "(", ")": "]", "]": ")"}[m[0]],
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
)


# Rewrites


def other_frac(generator: random.Random, text: str) -> str | None:
    return replaced(r"\\[dt]?frac(?![a-zA-Z])", generator.choice((r"\\dfrac", r"\\tfrac", r"\\frac", r"\\cfrac")), text)


def replaced(pattern: str, replacement: str, text: str) -> str | None:
    """The text with every match replaced; None without a match."""
    return re.sub(pattern, replacement, text) if re.search(pattern, text) else None


def slash(_generator: random.Random, text: str) -> str | None:
    match = FRACTION.fullmatch(text)
    return (
        f"{match['sign']}{match['top']}/{match['bottom']}"
        if match and not (match["sign"] and "-" in match["top"])
        else None
    )


def slash_inside(_generator: random.Random, text: str) -> str | None:
    """``\\frac{a}{b}`` as ``((a)/(b))``, except where a power or a number stands before it."""
    if re.search(r"[\d^_]\s*\\[dt]?frac|sqrt\s*\\", text):
        return None
    return replaced(r"\\[dt]?frac\{([^{}]*)\}\{([^{}]*)\}", r"((\1)/(\2))", text)


def unbraced_fraction(_generator: random.Random, text: str) -> str | None:
    return replaced(r"\\frac\{(\d)\}\{(\d)\}", r"\\frac\1\2", text)


def braced_fraction(_generator: random.Random, text: str) -> str | None:
    return replaced(r"frac\s*(\d)\s*(\d)", r"frac{\1}{\2}", text)


def fraction_value(text: str) -> Fraction | None:
    match = FRACTION.fullmatch(text)
    if match is None or not int(match["bottom"]):
        return None
    return Fraction(int(match["top"]), int(match["bottom"])) * (-1 if match["sign"] else 1)


def as_decimal(_generator: random.Random, text: str) -> str | None:
    value = fraction_value(text)
    decimals = next((size for size in range(1, 9) if value and (value * 10**size).denominator == 1), None)
    return f"{float(value):.{decimals}f}" if value and decimals else None


def as_stated_decimal(generator: random.Random, text: str) -> str | None:
    """A number that no decimal spells, to some decimals."""
    value = real_value(text) if is_plain(text) and not DECIMAL.search(text) else None
    if value is None or not 0.01 < abs(value) < 1e5:
        return None
    exact = Fraction(value).limit_denominator(10**6)
    is_finite = abs(float(exact) - value) < 1e-9 * abs(value) and (exact * 10**12).denominator == 1
    return None if is_finite else f"{value:.{generator.choice((4, 5, 6, 8))}f}"


def as_fraction(_generator: random.Random, text: str) -> str | None:
    value = Fraction(text) if DECIMAL.fullmatch(text) else None
    return (
        f"{'-' if value < 0 else ''}\\frac{{{abs(value.numerator)}}}{{{value.denominator}}}"
        if value is not None and value.denominator > 1
        else None
    )


def more_zeros(_generator: random.Random, text: str) -> str | None:
    return f"{text}0" if DECIMAL.fullmatch(text) else f"{text}.0" if INTEGER.fullmatch(text) and len(text) < 7 else None


def no_leading_zero(_generator: random.Random, text: str) -> str | None:
    return replaced(r"^(-?)0\.(?=\d)", r"\1.", text) if DECIMAL.fullmatch(text) else None


def unreduced(generator: random.Random, text: str) -> str | None:
    match = FRACTION.fullmatch(text)
    factor = generator.choice((2, 3, 5, 7))
    return (
        rf"{match['sign']}\frac{{{int(match['top']) * factor}}}{{{int(match['bottom']) * factor}}}" if match else None
    )


def mixed(_generator: random.Random, text: str) -> str | None:
    value = fraction_value(text)
    if value is None or abs(value) < 1 or value.denominator == 1:
        return None
    whole, rest = divmod(abs(value.numerator), value.denominator)
    return rf"{'-' if value < 0 else ''}{whole}\frac{{{rest}}}{{{value.denominator}}}"


def sign_inside(_generator: random.Random, text: str) -> str | None:
    return replaced(r"^-\s*\\([dt]?)frac\{(\d+)\}", r"\\\1frac{-\2}", text)


def sign_below(_generator: random.Random, text: str) -> str | None:
    match = FRACTION.fullmatch(text)
    return (
        rf"\frac{{{match['top']}}}{{-{match['bottom']}}}"
        if match and match["sign"] and "-" not in match["top"]
        else None
    )


def with_left_right(_generator: random.Random, text: str) -> str | None:
    if r"\left" in text or not balanced(text):
        return None
    return (
        replaced(r"(?<![\\a-z])([(\[])(.*)([)\]])", r"\\left\1\2\\right\3", text)
        if text.count("(") + text.count("[") == 1
        else None
    )


def balanced(text: str) -> bool:
    return sum(oracle.BRACKETS.get(char, 0) for char in text) == 0


def without_left_right(_generator: random.Random, text: str) -> str | None:
    return replaced(r"\\(?:left|right)(?![a-zA-Z])\s*", "", text)


def big_brackets(_generator: random.Random, text: str) -> str | None:
    return replaced(r"(?<![\\a-zA-Z])([()\[\]])", r"\\big\1", text) if r"\left" not in text and balanced(text) else None


def more_blanks(_generator: random.Random, text: str) -> str | None:
    return (
        None
        if is_untouchable(text) or r"\begin" in text
        else replaced(r"(?<=[^\\\s])([-+=()]|,(?![\d\\}]))(?=\S)", r" \1 ", text)
    )


def no_blanks(_generator: random.Random, text: str) -> str | None:
    if is_untouchable(text) or r"\ " in text or re.search(r"\d\s+\d", text):
        return None
    return replaced(r"(?<![a-zA-Z\\]) +| +(?![a-zA-Z])", "", text)


def thin_spaces(generator: random.Random, text: str) -> str | None:
    space = generator.choice((r"\\, ", r"\\; ", r"\\: ", r"\\ ", "~", r"\\quad "))
    return (
        None
        if is_untouchable(text)
        else replaced(r"(?<=[^\\\s,])\s*([-+=])\s*(?=\S)", rf"{space}\1{space}", text)
        if r"\begin" not in text
        else None
    )


def thousands(generator: random.Random, text: str) -> str | None:
    if not re.fullmatch(r"-?\d{4,}", text):
        return None
    mark = generator.choice((",", "{,}", r"\,", r",\!", r"\ ", " "))
    return f"{int(text):,}".replace(",", mark)


def no_thousands(_generator: random.Random, text: str) -> str | None:
    return replaced(r"(?<=\d)(?:,\s*\\!\s*|\{,\})(?=\d{3}(?!\d))", "", text)


def scientific(_generator: random.Random, text: str) -> str | None:
    match = re.fullmatch(r"(-?\d+?)(0{3,})", re.sub(r",\\!", "", text))
    return rf"{match[1]} \times 10^{{{len(match[2])}}}" if match else None


def respelled_unit(generator: random.Random, text: str) -> str | None:
    match = QUANTITY.fullmatch(text)
    if match is None:
        return None
    unit, power = match["unit"].strip(), match["power"] or ""
    shapes = (r"\text{{ {}}}", r"\,\mathrm{{{}}}", r"\ \text{{{}}}", " {}", r"~\textrm{{{}}}", r"\mbox{{ {}}}")
    return match["number"].strip() + generator.choice(shapes).format(unit) + power


def without_unit(_generator: random.Random, text: str) -> str | None:
    match = QUANTITY.fullmatch(text)
    return match["number"].strip() or None if match and "m." not in match["unit"] else None


def respelled_degrees(generator: random.Random, text: str) -> str | None:
    if re.search(r"sin|cos|tan|cot|sec|csc", text):
        return replaced(r"\^\s*\{?\\circ\}?", "\u00b0", text)
    sign = generator.choice((r"^\\circ", r"^{\\circ}", "\u00b0", r"\\text{ degrees}", " degrees", r"^{\\circ }", ""))
    return replaced(r"\^\s*\{?\s*\\circ\s*\}?|\\text\{ ?degrees\}", sign, text)


def reordered_terms(generator: random.Random, text: str) -> str | None:
    equation = EQUATION.fullmatch(text)
    head, value = (f"{equation['name']} = ", equation["value"].strip()) if equation else ("", text)
    terms = terms_of(value)
    if not terms or not is_value(value) or r"\begin" in value:
        return None
    first, *others = terms
    order = [f"+{first}" if first[0] not in "+-" else first, *others]
    generator.shuffle(order)
    return head + "".join(order).removeprefix("+")


def reordered_factors(_generator: random.Random, text: str) -> str | None:
    match = re.fullmatch(r"(\d+)\s*(\\sqrt\{\d+\}|\\pi|i|\\sqrt\d)", text)
    return rf"{match[2]} \cdot {match[1]}" if match else None


def dot_between_factors(generator: random.Random, text: str) -> str | None:
    sign = generator.choice((r"\\cdot ", r"\\times ", "*", r" \\cdot "))
    return (
        replaced(r"(?<![\^_]\d)(?<=\d)\s*(?=\\sqrt|\\pi|[a-hj-z](?![a-z])|\()", sign, text)
        if is_value(text) and "frac" not in text
        else None
    )


def named(generator: random.Random, text: str) -> str | None:
    if not is_value(text):
        return None
    names = [name for name in ("x", "y", "n", "k", "S", "A", r"\text{Area}", r"\theta", "f(x)") if name[0] not in text]
    return f"{generator.choice(names)} = {text}" if names and "=" not in text else None


def unnamed(_generator: random.Random, text: str) -> str | None:
    match = EQUATION.fullmatch(text)
    return match["value"].strip() if match and match["name"] not in re.sub(r"\\[a-zA-Z]+", "", match["value"]) else None


def turned_equation(_generator: random.Random, text: str) -> str | None:
    match = EQUATION.fullmatch(text)
    return f"{match['value'].strip()} = {match['name']}" if match else None


def moved_equation(generator: random.Random, text: str) -> str | None:
    """All of an equation on one side, or twice both sides."""
    match = re.fullmatch(r"([^=<>]*)=([^=<>]*)", text)
    if match is None or not kind_of(text) or match[1].strip() not in {"y", "x", "z"}:
        return None
    left, right = match[1].strip(), match[2].strip()
    return generator.choice(
        (
            f"{left} - ({right}) = 0",
            f"2({left}) = 2({right})",
            f"{right} - {left} = 0" if not right.startswith("0") else f"{left} = {right}",
        )
    )


def reversed_list(_generator: random.Random, text: str) -> str | None:
    parts = items_of(text)
    if parts is None or parts[0] not in {"", r"\{"} or is_untouchable(text) or "=" in text:
        return None
    return parts[0] + ", ".join(parts[1][::-1]) + parts[2]


def list_as_set(_generator: random.Random, text: str) -> str | None:
    return changed_list(text, lambda items: rf"\{{ {', '.join(items)} \}}")


def list_with_and(generator: random.Random, text: str) -> str | None:
    word = generator.choice(("and", "or"))
    return changed_list(text, lambda items: rf"{', '.join(items[:-1])} \text{{ {word} }} {items[-1]}")


def list_of_equations(_generator: random.Random, text: str) -> str | None:
    return changed_list(text, lambda items: ", ".join(f"x = {item}" for item in items)) if "x" not in text else None


def changed_list(text: str, change: Callable[[list[str]], str]) -> str | None:
    parts = items_of(text)
    is_list = parts is not None and parts[0] == "" and kind_of(text) == "list" and "=" not in text
    return change(parts[1]) if parts and is_list else None


def plus_minus(_generator: random.Random, text: str) -> str | None:
    parts = items_of(text)
    if parts is None or parts[0] or len(parts[1]) != 2:
        return None
    left, right = (re.sub(r"\s", "", item) for item in parts[1])
    for one, other in ((left, right), (right, left)):
        terms = terms_of(one)
        if one == other.removeprefix("-") and other.startswith("-") and not terms:
            return rf"\pm {one}"
        if len(terms) == 2 and terms[1].startswith("+") and other == f"{terms[0]}-{terms[1][1:]}":
            return rf"{terms[0]} \pm {terms[1][1:]}"
    return None


def expanded_power(_generator: random.Random, text: str) -> str | None:
    match = re.fullmatch(r"(\d+)\^\{?(\d+)\}?", text)
    if match:
        return str(int(match[1]) ** int(match[2])) if int(match[2]) < 60 else None
    return (
        replaced(r"(?<![a-zA-Z\\])([a-z])\^2(?!\d)", r"\1 \\cdot \1 ", text)
        if is_value(text) and "frac" not in text
        else None
    )


def braced_script(_generator: random.Random, text: str) -> str | None:
    return replaced(r"([\^_])(\d|[a-z])(?![a-z])", r"\1{\2}", text)


def respelled_percent(generator: random.Random, text: str) -> str | None:
    match = PERCENT.fullmatch(text)
    if match is None:
        return None
    share = f"{float(Fraction(match['number']) / 100):.6f}".rstrip("0").rstrip(".")
    return generator.choice(
        (
            match["number"],
            rf"{match['number']} \%",
            f"{match['number']}%",
            f"{match['number']} percent",
            share,
            rf"{match['number']}\text{{ percent}}",
        )
    )


def respelled_dollars(generator: random.Random, text: str) -> str | None:
    match = DOLLARS.fullmatch(text)
    if match is None:
        return None
    number = match["number"]
    cents = number if "." in number else f"{number}.00"
    return generator.choice(
        (number, rf"\$ {number}", rf"{number} \text{{ dollars}}", cents, rf"\text{{\${number}}}", f"${number}$")
    )


def root_as_power(generator: random.Random, text: str) -> str | None:
    half = generator.choice((r"{1/2}", r"{\\frac{1}{2}}", "{0.5}", r"{\\frac12}"))
    return (
        replaced(r"\\sqrt\{([^{}]*)\}", rf"(\1)^{half}", text)
        if not re.search(r"\^\s*\\sqrt|[a-z]\s*\\sqrt", text)
        else None
    )


def unbraced_root(_generator: random.Random, text: str) -> str | None:
    return replaced(r"\\sqrt\{(\d)\}", r"\\sqrt\1", text)


def root_without_factor(_generator: random.Random, text: str) -> str | None:
    match = re.fullmatch(r"(-?)(\d+)\s*\\sqrt\{?(\d+)\}?", text)
    return (
        rf"{match[1]}\sqrt{{{int(match[2]) ** 2 * int(match[3])}}}"
        if match
        and len(match[0]) - match[0].find("sqrt") < 12
        and (match[0].endswith("}") or re.search(r"sqrt\d$", text))
        else None
    )


def split_fraction(_generator: random.Random, text: str) -> str | None:
    match = re.fullmatch(r"\\[dt]?frac\{(.*)\}\{(\d+)\}", text)
    terms = terms_of(match[1]) if match and balanced(match[1]) else []
    return (
        "".join(
            f"{'+' if index and term[0] not in '+-' else ''}{split_sign(term)[0]}\\frac{{{split_sign(term)[1]}}}{{{match[2]}}}"
            for index, term in enumerate(terms)
        )
        if match and terms
        else None
    )


def split_sign(term: str) -> tuple[str, str]:
    return (term[0], term[1:].strip()) if term[0] in "+-" else ("", term)


def rationalized(_generator: random.Random, text: str) -> str | None:
    r"""``\frac{a\sqrt{b}}{c}`` as ``\frac{ab}{c\sqrt{b}}``, and ``\frac{a}{\sqrt{b}}`` as ``\frac{a\sqrt{b}}{b}``."""
    match = re.fullmatch(r"\\[dt]?frac\{(\d*)\s*\\sqrt\{(\d+)\}\}\{(\d+)\}", text)
    if match:
        return rf"\frac{{{int(match[1] or 1) * int(match[2])}}}{{{match[3]}\sqrt{{{match[2]}}}}}"
    match = re.fullmatch(r"\\[dt]?frac\{(\d+)\}\{\\sqrt\{(\d+)\}\}", text)
    return rf"\frac{{{match[1]}\sqrt{{{match[2]}}}}}{{{match[2]}}}" if match else None


def common_factor(_generator: random.Random, text: str) -> str | None:
    """``6+6\\sqrt{2}`` with a factor in front of brackets."""
    match = re.fullmatch(r"(\d+)\s*([-+])\s*(\d+)\s*(\\sqrt\{\d+\}|i|\\pi)", text)
    factor = _divisor(int(match[1]), int(match[3])) if match else 1
    return (
        rf"{factor}({int(match[1]) // factor} {match[2]} {int(match[3]) // factor}{match[4]})"
        if match and factor > 1
        else None
    )


def _divisor(left: int, right: int) -> int:
    return _divisor(right, left % right) if right else left


def times_one(generator: random.Random, text: str) -> str | None:
    forms = (r"1 \cdot ({})", r"\frac{{{}}}{{1}}", "({})", r"({}) \cdot 1", r"\frac{{7({})}}{{7}}")
    return generator.choice(forms).format(text) if is_plain(text) else None


def plus_zero(generator: random.Random, text: str) -> str | None:
    return (
        generator.choice(("{} + 0", "0 + {}", "{} - 0")).format(text)
        if is_plain(text) and not text.startswith("-")
        else None
    )


def twice_negative(_generator: random.Random, text: str) -> str | None:
    return f"-(-({text}))" if is_plain(text) else None


def in_dollars(generator: random.Random, text: str) -> str | None:
    return (
        None
        if "$" in text
        else generator.choice(("${}$", r"\({}\)", r"$\displaystyle {}$", r"\[{}\]", "$${}$$")).replace("{}", text)
    )


def with_period(generator: random.Random, text: str) -> str | None:
    return text + generator.choice((".", " .", ","))


def in_braces(_generator: random.Random, text: str) -> str | None:
    return None if "," in text else f"{{{text}}}"


def boxed_twice(_generator: random.Random, text: str) -> str | None:
    return rf"\boxed{{{text}}}"


def in_text(generator: random.Random, text: str) -> str | None:
    font = generator.choice(("text", "mathrm", "textbf", "mathbf", "mbox"))
    return rf"\{font}{{{text}}}" if INTEGER.fullmatch(text) and int(text) >= 0 else None


def typographic(_generator: random.Random, text: str) -> str | None:
    signs = (
        ("-", "\u2212"),
        (r"\pi", "\u03c0"),
        (r"\infty", "\u221e"),
        (r"\cup", "\u222a"),
        (r"\cdot", "\u00b7"),
        (r"\times", "\u00d7"),
        (r"\pm", "\u00b1"),
    )
    changed = text
    for sign, other in signs if not is_untouchable(text) else ():
        changed = re.sub(re.escape(sign) + r"(?![a-zA-Z])", other, changed)
    return changed if changed != text else None


def as_inequality(generator: random.Random, text: str) -> str | None:
    """An interval as an inequality, or as what a name is in."""
    parts = items_of(text)
    if parts is None or kind_of(text) != "reals" or "cup" in text:
        return None
    (opening, (low, high), closing) = parts
    left, right = (r"\le" if opening == "[" else "<"), (r"\le" if closing == "]" else "<")
    forms = [rf"x \in {text}"]
    if "infty" not in text:
        forms += [f"{low} {left} x {right} {high}"] * 2
    elif "infty" not in low:
        forms += [f"x {'>' if left == '<' else chr(92) + 'ge'} {low}", f"{low} {left} x"]
    elif "infty" not in high:
        forms += [f"x {right} {high}", f"{high} {'>' if right == '<' else chr(92) + 'ge'} x"]
    return generator.choice(forms)


def union_by_letter(_generator: random.Random, text: str) -> str | None:
    return replaced(r"(?<=[)\]])\s*\\cup\s*(?=[(\[]|\\left)", " U ", text)


def reordered_union(_generator: random.Random, text: str) -> str | None:
    pieces = re.split(r"\s*\\cup\s*", text)
    return r" \cup ".join(pieces[::-1]) if len(pieces) > 1 else None


def plus_infinity(_generator: random.Random, text: str) -> str | None:
    return replaced(r"(?<=,)\s*\\infty", r" +\\infty", text)


def other_matrix(generator: random.Random, text: str) -> str | None:
    match = MATRIX.fullmatch(text)
    shape = generator.choice(("bmatrix", "matrix", "array"))
    if match is None:
        return None
    if shape != "array":
        return (
            rf"\begin{{{shape}}}{match['cells']}\end{{{shape}}}"
            if shape == "bmatrix"
            else rf"\left(\begin{{matrix}}{match['cells']}\end{{matrix}}\right)"
        )
    columns = "c" * (match["cells"].split(r"\\")[0].count("&") + 1)
    return rf"\left(\begin{{array}}{{{columns}}}{match['cells']}\end{{array}}\right)"


def vector_as_tuple(_generator: random.Random, text: str) -> str | None:
    match = MATRIX.fullmatch(text)
    rows = [row.strip() for row in match["cells"].split(r"\\") if row.strip()] if match else []
    return f"({', '.join(rows)})" if len(rows) > 1 and "&" not in text else None


def respelled_choice(generator: random.Random, text: str) -> str | None:
    match = LETTERS.fullmatch(text)
    letter = (match["letter"] or match["inside"]) if match else ""
    return (
        generator.choice(
            (
                rf"\textbf{{({letter})}}",
                letter,
                f"({letter})",
                rf"\text{{{letter}}}",
                f"{letter}.",
                rf"\mathrm{{{letter}}}",
            )
        )
        if match
        else None
    )


def respelled_word(generator: random.Random, text: str) -> str | None:
    match = WORDS.fullmatch(text)
    words = match["words"].strip() if match else ""
    return (
        generator.choice(
            (
                words,
                words.lower(),
                rf"\textbf{{{words}}}",
                rf"\mathrm{{{words}}}" if " " not in words else words,
                rf"\text{{{words}.}}",
                rf"\text{{ {words} }}",
            )
        )
        if match
        else None
    )


def respelled_base(generator: random.Random, text: str) -> str | None:
    match = BASE.fullmatch(text)
    if match is None:
        return None
    digits, base = match["digits"], match["base"]
    return generator.choice(
        (
            f"{digits}_{{{base}}}",
            f"{digits}_{base}" if len(base) == 1 else f"{digits}_{{{base}}}",
            digits,
            rf"({digits})_{{{base}}}",
            rf"{digits}_{{\text{{{base}}}}}",
            rf"\text{{{digits}}}_{{{base}}}",
        )
    )


def respelled_ratio(generator: random.Random, text: str) -> str | None:
    match = re.fullmatch(r"(\d+)\s*:\s*(\d+)", text)
    return (
        generator.choice(
            (
                f"{match[1]} : {match[2]}",
                f"{match[1]}/{match[2]}",
                rf"\frac{{{match[1]}}}{{{match[2]}}}",
                f"{2 * int(match[1])}:{2 * int(match[2])}",
            )
        )
        if match
        else None
    )


REWRITES = (
    rewrite("another \\frac", other_frac),
    rewrite("a/b", slash),
    rewrite("(a)/(b) inside", slash_inside),
    rewrite("\\frac without braces", unbraced_fraction),
    rewrite("\\frac with braces", braced_fraction),
    rewrite("a fraction as a decimal", as_decimal),
    rewrite("stated decimals", as_stated_decimal),
    rewrite("a decimal as a fraction", as_fraction),
    rewrite("zeros behind the point", more_zeros),
    rewrite("no zero before the point", no_leading_zero),
    rewrite("a fraction unreduced", unreduced),
    rewrite("a mixed number", mixed),
    rewrite("a sign in the numerator", sign_inside),
    rewrite("a sign in the denominator", sign_below),
    rewrite("with \\left and \\right", with_left_right),
    rewrite("without \\left and \\right", without_left_right),
    rewrite("\\big brackets", big_brackets),
    rewrite("more blanks", more_blanks),
    rewrite("no blanks", no_blanks),
    rewrite("spaces of LaTeX", thin_spaces),
    rewrite("thousands separated", thousands),
    rewrite("thousands not separated", no_thousands),
    rewrite("a power of ten", scientific),
    rewrite("a unit spelled otherwise", respelled_unit),
    rewrite("a unit left out", without_unit),
    rewrite("degrees spelled otherwise", respelled_degrees),
    rewrite("terms reordered", reordered_terms),
    rewrite("factors reordered", reordered_factors),
    rewrite("a sign between factors", dot_between_factors),
    rewrite("a value with a name", named),
    rewrite("a value without its name", unnamed),
    rewrite("an equation turned around", turned_equation),
    rewrite("an equation moved or doubled", moved_equation),
    rewrite("a list reversed", reversed_list),
    rewrite("a list as a set", list_as_set),
    rewrite("a list with a word", list_with_and),
    rewrite("a list of equations", list_of_equations),
    rewrite("plus and minus", plus_minus),
    rewrite("a power written out", expanded_power),
    rewrite("scripts with braces", braced_script),
    rewrite("percent spelled otherwise", respelled_percent),
    rewrite("dollars spelled otherwise", respelled_dollars),
    rewrite("a root as a power", root_as_power),
    rewrite("\\sqrt without braces", unbraced_root),
    rewrite("a factor under the root", root_without_factor),
    rewrite("a fraction split", split_fraction),
    rewrite("a root above or below", rationalized),
    rewrite("a common factor", common_factor),
    rewrite("times one", times_one),
    rewrite("plus zero", plus_zero),
    rewrite("twice negative", twice_negative),
    rewrite("in dollar signs", in_dollars),
    rewrite("a full stop behind it", with_period),
    rewrite("in braces", in_braces),
    rewrite("boxed twice", boxed_twice),
    rewrite("in a text", in_text),
    rewrite("typographic signs", typographic),
    rewrite("an interval as an inequality", as_inequality),
    rewrite("U for a union", union_by_letter),
    rewrite("a union reordered", reordered_union),
    rewrite("+ before infinity", plus_infinity),
    rewrite("another matrix", other_matrix),
    rewrite("a vector as a tuple", vector_as_tuple),
    rewrite("a choice spelled otherwise", respelled_choice),
    rewrite("a word spelled otherwise", respelled_word),
    rewrite("a number in a base spelled otherwise", respelled_base),
    rewrite("a ratio spelled otherwise", respelled_ratio),
)
KINDS = (*NEAR_MISSES, *REWRITES)
