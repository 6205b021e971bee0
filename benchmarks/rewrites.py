"""Rewrites of a reference: kinds of changes that leave it the same answer."""

import random
import re
from collections.abc import Callable
from fractions import Fraction

from mutations import (
    AT_LEAST,
    AT_MOST,
    BASE,
    DECIMAL,
    DOLLARS,
    EQUATION,
    FRACTION,
    INTEGER,
    LETTERS,
    MATRIX,
    PERCENT,
    QUANTITY,
    WORDS,
    Kind,
    balanced,
    is_plain,
    is_untouchable,
    is_value,
    items_of,
    kind_of,
    real_value,
    replaced,
    rewrite,
    terms_of,
)


def other_frac(generator: random.Random, text: str) -> str | None:
    return replaced(r"\\[dt]?frac(?![a-zA-Z])", generator.choice((r"\\dfrac", r"\\tfrac", r"\\frac", r"\\cfrac")), text)


def slash(_generator: random.Random, text: str) -> str | None:
    match = FRACTION.fullmatch(text)
    return (
        f"{match['sign']}{match['top']}/{match['bottom']}"
        if match and not (match["sign"] and "-" in match["top"])
        else None
    )


def slash_inside(_generator: random.Random, text: str) -> str | None:
    """``\\frac{a}{b}`` as ``((a)/(b))``, except where a power or a number stands before it."""
    if re.search(r"[\d^_]\s*\\[dt]?frac|sqrt\s*\\|triangle", text):
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
    if not is_value(text) or text.endswith("."):
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
    opening, (low, high), closing = parts
    forms = [rf"x \in {text}"]
    if "infty" not in text:
        forms += [f"{low} {AT_MOST[opening]} x {AT_MOST[closing]} {high}"] * 2
    elif "infty" not in low:
        forms += [f"x {AT_LEAST[opening]} {low}", f"{low} {AT_MOST[opening]} x"]
    elif "infty" not in high:
        forms += [f"x {AT_MOST[closing]} {high}", f"{high} {AT_LEAST[closing]} x"]
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


def there_and_back(generator: random.Random, text: str) -> str | None:
    """A term added and taken away, or a factor and its reciprocal."""
    forms = (
        "({} + 7) - 7",
        r"\frac{{3({}) + 6}}{{3}} - 2",
        r"\left({}\right) \cdot \frac{{5}}{{5}}",
        r"2\left(\frac{{{}}}{{2}}\right)",
        r"\frac{{\frac{{{}}}{{2}}}}{{\frac12}}",
    )
    return generator.choice(forms).format(text) if is_plain(text) and "x" not in text else None


def as_product(generator: random.Random, text: str) -> str | None:
    match = FRACTION.fullmatch(text)
    if match is None or "-" in match["top"]:
        return None
    forms = (
        r"{0}{1} \cdot \frac{{1}}{{{2}}}",
        r"{0}{1} \cdot {2}^{{-1}}",
        r"{0}\frac{{1}}{{{2}}} \cdot {1}",
        r"{0}{1} \div {2}",
        r"{0}\frac{{{1} \cdot 1}}{{{2}}}",
    )
    return generator.choice(forms).format(match["sign"], match["top"], match["bottom"])


def split_power(_generator: random.Random, text: str) -> str | None:
    match = re.fullmatch(r"(\d+)\^\{?(\d+)\}?", text)
    return rf"{match[1]}^{{{int(match[2]) - 1}}} \cdot {match[1]}" if match and int(match[2]) > 1 else None


def complement(_generator: random.Random, text: str) -> str | None:
    match = re.fullmatch(r"\\(sin|cos|tan)\s*\(?(\d+)\s*\^\s*\{?\\circ\}?\)?", text)
    if match is None or int(match[2]) >= 90:
        return None
    other = {"sin": "cos", "cos": "sin", "tan": "cot"}[match[1]]
    return rf"\{other} {90 - int(match[2])}^\circ"


def complex_otherwise(generator: random.Random, text: str) -> str | None:
    match = re.fullmatch(r"(-?\d+)\s*([-+])\s*(\d*)i", text)
    if match is None:
        return None
    real, sign, size = match[1], match[2].replace("+", ""), match[3]
    forms = (
        f"{real} + ({sign}{size or 1})i",
        f"{sign}{size}i + {real}".replace("+ -", "- "),
        rf"{real} {match[2]} {size}\mathrm{{i}}",
        rf"{real} {match[2]} {size or 1} \cdot i",
        rf"{real} {match[2]} {size}\sqrt{{-1}}",
        f"{real} {match[2]} i{size}" if size else text,
    )
    return generator.choice(forms)


def as_set_of_reals(generator: random.Random, text: str) -> str | None:
    """An interval as a set with a condition, or as two inequalities."""
    parts = items_of(text)
    if parts is None or kind_of(text) != "reals" or "cup" in text or "infty" in text:
        return None
    opening, (low, high), closing = parts
    left, right = AT_MOST[opening], AT_MOST[closing]
    forms = (
        rf"\{{x \mid {low} {left} x {right} {high}\}}",
        rf"{low} {left} x \text{{ and }} x {right} {high}",
        f"{high} {AT_LEAST[closing]} x {AT_LEAST[opening]} {low}",
    )
    return generator.choice(forms)


def tuple_otherwise(generator: random.Random, text: str) -> str | None:
    parts = items_of(text)
    if parts is None or kind_of(text) != "tuple()" or len(parts[1]) > 3 or re.search("[xyz]", text):
        return None
    names, items = "xyz"[: len(parts[1])], parts[1]
    forms = (
        rf"\langle {', '.join(items)} \rangle",
        f"({', '.join(names)}) = ({', '.join(items)})",
        ", ".join(f"{name} = {item}" for name, item in zip(names, items, strict=True)),
    )
    return generator.choice(forms)


def list_otherwise(generator: random.Random, text: str) -> str | None:
    join = generator.choice(("; ", " and ", r" \text{ or } ", r", \quad ", r"\text{, }"))
    words = generator.choice(("plain", "plain", "or", "indexed", "member"))

    def change(items: list[str]) -> str:
        if words == "or":
            return r" \text{ or } ".join(f"x = {item}" for item in items)
        if words == "indexed":
            return ", ".join(f"x_{index} = {item}" for index, item in enumerate(items, 1))
        return rf"x \in \{{{', '.join(items)}\}}" if words == "member" else join.join(items)

    return changed_list(text, change) if not re.search("[a-df-hj-z]", re.sub(r"\\[a-z]+", "", text)) else None


def moved_term(generator: random.Random, text: str) -> str | None:
    """``y = 3x-7`` as ``3x - y = 7``, ``y + 7 = 3x`` and the like."""
    match = re.fullmatch(r"y\s*=\s*(-?\d*x)\s*([-+])\s*(\d+)", text)
    if match is None:
        return None
    slope, sign, constant = match[1], match[2], match[3]
    other = "+" if sign == "-" else "-"
    return generator.choice(
        (
            f"y {other} {constant} = {slope}",
            f"{slope} - y = {'' if sign == '-' else '-'}{constant}",
            f"y - ({slope}) = {'-' if sign == '-' else ''}{constant}",
            f"{slope} - y {sign} {constant} = 0",
            f"f(x) = {slope} {sign} {constant}",
        )
    )


def factor_before_matrix(_generator: random.Random, text: str) -> str | None:
    match = MATRIX.fullmatch(text)
    cells = re.split(r"&|\\\\", match["cells"]) if match else []
    if not cells or not all(INTEGER.fullmatch(cell.strip()) for cell in cells):
        return None
    doubled = re.sub(r"-?\d+", lambda m: str(2 * int(m[0])), match["cells"])
    return rf"\frac{{1}}{{2}} \begin{{pmatrix}}{doubled}\end{{pmatrix}}"


OTHER_NAMES = {"cm": "centimeters", "km": "kilometers", "ft": "feet", "feet": "ft", "inches": "in", "square feet": "ft^2", "square inches": "in^2", "hours": "h", "minutes": "min", "mph": "miles per hour", "miles": "mi", "meters": "m", "pounds": "lb"}  # fmt: skip


def other_name_of_unit(_generator: random.Random, text: str) -> str | None:
    match = QUANTITY.fullmatch(text)
    name = OTHER_NAMES.get(match["unit"].strip()) if match and not match["power"] else None
    return (
        rf"{match['number'].strip()}\ \text{{{name.removesuffix('^2')}}}{'^2' if '^2' in name else ''}"
        if match and name
        else None
    )


def with_approximation(generator: random.Random, text: str) -> str | None:
    value = real_value(text) if is_plain(text) and not INTEGER.fullmatch(text) and not DECIMAL.fullmatch(text) else None
    if value is None or not 0.1 < abs(value) < 1e4:
        return None
    return rf"{text} \approx {value:.{generator.choice((2, 3, 4))}f}"


def in_a_chain(generator: random.Random, text: str) -> str | None:
    """A step before the answer: ``\\frac{6}{8} = \\frac{3}{4}``."""
    if not is_plain(text) or real_value(text) is None:
        return None
    return generator.choice(
        (rf"\frac{{2({text})}}{{2}} = {text}", rf"x = ({text}) \cdot 1 = {text}", rf"({text}) + 3 - 3 = {text}")
    )


def dressed(generator: random.Random, text: str) -> str | None:
    """What changes only the looks."""
    if "," in text or r"\begin" in text or "$" in text:
        return None
    forms = (
        r"\mathbf{{{}}}",
        r"\displaystyle {}",
        r"\,{}\,",
        r"\color{{red}}{}",
        r"\underline{{{}}}",
        r"{} \\",
        r"{}\;",
        r"\boldsymbol{{{}}}",
        r"\bf {}",
        r"\large {}",
        r"\textcolor{{blue}}{{{}}}",
        r"{}\quad",
        r"\mathrm{{{}}}",
    )
    return generator.choice(forms).format(text) if is_value(text) and "^" not in text else None


def in_ascii(_generator: random.Random, text: str) -> str | None:
    """As typed on a keyboard: ``(3-sqrt(5))/2``."""
    if not is_value(text) or re.search(r"\\(?!d?frac|tfrac|sqrt\{|pi|cdot|left|right)|\d\s*\\[dt]?frac|\^\s*\\", text):
        return None
    plain = re.sub(r"\\left|\\right", "", text)
    for _ in range(3):
        plain = re.sub(r"\\sqrt\{([^{}]*)\}", r"sqrt(\1)", plain)
        plain = re.sub(r"\\[dt]?frac\{([^{}]*)\}\{([^{}]*)\}", r"((\1)/(\2))", plain)
    plain = re.sub(r"\^\{([^{}]*)\}", r"^(\1)", plain).replace(r"\cdot", "*")
    plain = re.sub(r"(?<=\d)\s*(?=sqrt|\\pi)", "*", plain).replace(r"\pi", "pi")
    return plain if "\\" not in plain and "{" not in plain else None


def rewritten_part(generator: random.Random, text: str) -> str | None:
    """One item of a tuple, a list or an interval spelled otherwise."""
    parts = items_of(text)
    if parts is None or is_untouchable(text) or r"\;" in text:
        return None
    opening, items, closing = parts
    at = generator.randrange(len(items))
    part = generator.choice(OF_VALUES).mutant(generator, items[at].strip())
    return None if part is None else opening + ", ".join([*items[:at], part, *items[at + 1 :]]) + closing


def rewritten_cell(generator: random.Random, text: str) -> str | None:
    """One cell of a matrix spelled otherwise."""
    match = MATRIX.fullmatch(text)
    cells = re.split(r"(\s*(?:&|\\\\)\s*)", match["cells"].strip()) if match else []
    if not cells:
        return None
    at = 2 * generator.randrange((len(cells) + 1) // 2)
    part = generator.choice(OF_VALUES).mutant(generator, cells[at].strip())
    return (
        None if part is None else rf"\begin{{pmatrix}} {''.join([*cells[:at], part, *cells[at + 1 :]])} \end{{pmatrix}}"
    )


def rewritten_value(generator: random.Random, text: str) -> str | None:
    """The value of ``y = value`` spelled otherwise."""
    match = EQUATION.fullmatch(text)
    part = generator.choice(OF_VALUES).mutant(generator, match["value"].strip()) if match else None
    return f"{match['name']} = {part}" if match and part else None


OF_VALUES = tuple(
    Kind(make.__name__, True, make)
    for make in (
        other_frac, slash, unbraced_fraction, as_decimal, as_fraction, more_zeros, unreduced, mixed, sign_inside, sign_below,
        reordered_terms, reordered_factors, dot_between_factors, root_as_power, root_without_factor, split_fraction, rationalized,
        times_one, plus_zero, twice_negative, there_and_back, as_product, complex_otherwise, in_ascii, typographic, no_blanks,
    )
)  # fmt: skip
"""Rewrites of a value that may stand inside something else."""

REWRITES = (
    rewrite("another \\frac", other_frac),
    rewrite("a/b", slash),
    rewrite("(a)/(b) inside", slash_inside),
    rewrite("\\frac without braces", unbraced_fraction),
    rewrite("\\frac with braces", braced_fraction),
    rewrite("a fraction as a decimal", as_decimal),
    rewrite("stated decimals", as_stated_decimal, is_composable=False),
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
    rewrite("spaces of LaTeX", thin_spaces, is_composable=False),
    rewrite("thousands separated", thousands, is_composable=False),
    rewrite("thousands not separated", no_thousands),
    rewrite("a power of ten", scientific),
    rewrite("a unit spelled otherwise", respelled_unit, is_composable=False),
    rewrite("a unit left out", without_unit, is_composable=False),
    rewrite("degrees spelled otherwise", respelled_degrees, is_composable=False),
    rewrite("terms reordered", reordered_terms),
    rewrite("factors reordered", reordered_factors),
    rewrite("a sign between factors", dot_between_factors),
    rewrite("a value with a name", named),
    rewrite("a value without its name", unnamed, is_composable=False),
    rewrite("an equation turned around", turned_equation),
    rewrite("an equation moved or doubled", moved_equation, is_composable=False),
    rewrite("a list reversed", reversed_list),
    rewrite("a list as a set", list_as_set),
    rewrite("a list with a word", list_with_and),
    rewrite("a list of equations", list_of_equations),
    rewrite("plus and minus", plus_minus),
    rewrite("a power written out", expanded_power),
    rewrite("scripts with braces", braced_script),
    rewrite("percent spelled otherwise", respelled_percent, is_composable=False),
    rewrite("dollars spelled otherwise", respelled_dollars, is_composable=False),
    rewrite("a root as a power", root_as_power),
    rewrite("\\sqrt without braces", unbraced_root),
    rewrite("a factor under the root", root_without_factor),
    rewrite("a fraction split", split_fraction),
    rewrite("a root above or below", rationalized),
    rewrite("a common factor", common_factor),
    rewrite("times one", times_one),
    rewrite("plus zero", plus_zero),
    rewrite("twice negative", twice_negative),
    rewrite("in dollar signs", in_dollars, is_composable=False),
    rewrite("a full stop behind it", with_period, is_composable=False),
    rewrite("in braces", in_braces, is_composable=False),
    rewrite("boxed twice", boxed_twice, is_composable=False),
    rewrite("in a text", in_text, is_composable=False),
    rewrite("typographic signs", typographic),
    rewrite("an interval as an inequality", as_inequality),
    rewrite("U for a union", union_by_letter),
    rewrite("a union reordered", reordered_union),
    rewrite("+ before infinity", plus_infinity),
    rewrite("another matrix", other_matrix),
    rewrite("a vector as a tuple", vector_as_tuple),
    rewrite("a choice spelled otherwise", respelled_choice, is_composable=False),
    rewrite("a word spelled otherwise", respelled_word, is_composable=False),
    rewrite("a number in a base spelled otherwise", respelled_base, is_composable=False),
    rewrite("a ratio spelled otherwise", respelled_ratio, is_composable=False),
    rewrite("there and back", there_and_back),
    rewrite("a fraction as a product", as_product),
    rewrite("a power split", split_power),
    rewrite("the complement of an angle", complement),
    rewrite("a complex number otherwise", complex_otherwise),
    rewrite("an interval as a set", as_set_of_reals),
    rewrite("a tuple otherwise", tuple_otherwise, is_composable=False),
    rewrite("a list otherwise", list_otherwise, is_composable=False),
    rewrite("a term of an equation moved", moved_term),
    rewrite("a factor before a matrix", factor_before_matrix),
    rewrite("another name of a unit", other_name_of_unit),
    rewrite("with an approximation", with_approximation, is_composable=False),
    rewrite("at the end of a chain", in_a_chain, is_composable=False),
    rewrite("dressed", dressed, is_composable=False),
    rewrite("in ASCII", in_ascii),
    rewrite("a part rewritten", rewritten_part),
    rewrite("another part rewritten", rewritten_part),
    rewrite("a cell rewritten", rewritten_cell),
    rewrite("the value of an equation rewritten", rewritten_value),
)
