r"""Spell an answer in one way: LaTeX that looks the same, or is read the same, becomes the same string.

Only spelling changes here, never a value: ``\cdot`` becomes ``*``, ``\dfrac12`` becomes ``\frac{1}{2}``, thin spaces
go; a comma between digits stays, because ``2,3`` is a list. Every substitution is linear in the answer, whose length
``limits`` has bounded.
"""

import re
import unicodedata
from fractions import Fraction
from functools import lru_cache

from verl_ext.grading.answers.brackets import CURLY, is_outer_pair, outside

TYPOGRAPHY = str.maketrans(
    {
        "\u2212": "-", "\u2013": "-", "\u2010": "-", "\ufe63": "-",  # minus, dashes
        "\u00d7": r"\times ", "\u22c5": r"\cdot ", "\u00b7": r"\cdot ", "\u2217": "*", "\u00f7": r"\div ",
        "\u03c0": r"\pi ", "\u221e": r"\infty ", "\u221a": r"\sqrt ", "\u00b1": r"\pm ", "\u2208": r"\in ",
        "\u2264": r"\le ", "\u2265": r"\ge ", "\u2260": r"\ne ", "\u2248": r"\approx ", "\u222a": r"\cup ",
        "\u2229": r"\cap ", "\u2205": r"\emptyset ", "\u00b0": r"^\circ ", "\u03b8": r"\theta ", "\u03b1": r"\alpha ",
        "\u03b2": r"\beta ", "\u2018": "'", "\u2019": "'", "\u2032": "'", "\u2044": "/",
        "\u00b2": "^{2}", "\u00b3": "^{3}", "\u2074": "^{4}", "\u00bd": r"\frac{1}{2}", "\u00bc": r"\frac{1}{4}",
        "\u00be": r"\frac{3}{4}", "\u200b": None, "\u2060": None, "\ufeff": None, "\u00a0": " ", "\u202f": " ",
        "\u2009": " ",
    }
)  # fmt: skip

DELIMITERS = re.compile(
    r"\\(?:left|right|[bB]ig+[lrm]?|displaystyle|textstyle|scriptstyle|limits|mathstrut)(?![a-zA-Z])\.?"
)
SPACES = re.compile(
    r"\\[,;:!> ]|\\(?:quad|qquad|hfill|thinspace|medspace|enspace|allowbreak|space|phantom\{[^{}]*\})(?![a-zA-Z])|~|\s+"
)
FONTS = re.compile(
    r"\\(?:math(?:rm|bf|it|sf|tt|cal|frak|bb|normal)|boldsymbol|bm|pmb|rm|bf|it|emph|underline)(?![a-zA-Z])"
    r"|\\(?:tiny|(?:script|footnote|normal)size|small|large|Large|LARGE|huge|Huge)(?![a-zA-Z])"
    r"|\\(?:text)?color\s*\{[^{}]*\}"
)
DEGREE = re.compile(r"\^\s*\{\s*\\(?:circ|degree)\s*\}|\^\s*\\(?:circ|degree)(?![a-zA-Z])|\\degree(?![a-zA-Z])")
GAP = r"(?:\\[,;:! ]|~|\s)*"
PRIME = r"(?:'|\^\s*\{?\s*\\prime(?![a-zA-Z])\s*\}?)"
DEGREES_AND_MINUTES = re.compile(
    rf"(?<![\d.,_^])(?P<degrees>\d+)\s*(?:{DEGREE.pattern}){GAP}(?P<minutes>[0-5]?\d){GAP}{PRIME}(?!')"
    rf"(?:{GAP}(?P<seconds>[0-5]?\d(?:\.\d+)?){GAP}(?:{PRIME}{{2}}|\"|\^\s*\{{?\s*\\prime\s*\\prime\s*\}}?))?"
)
UNIT_VECTOR = re.compile(
    r"\\(?:hat|widehat|vec|mathbf|boldsymbol|bm)(?![a-zA-Z])\s*(?:\{\s*)?(?:\\(?:hat|mathbf|boldsymbol|bm)(?![a-zA-Z])\s*(?:\{\s*)?)?"
    r"(?:\\(?P<dotless>[ij])math|(?P<letter>[ijk]))(?![a-zA-Z])\s*\}{0,2}"
)
RADIANS = re.compile(r"(?<![a-zA-Z])rad(?:ians?)?(?![a-zA-Z])")
RENAMED = (
    (re.compile(r"\\[dtc]frac(?![a-zA-Z])"), r"\\frac"),
    (re.compile(r"\\[dt]binom(?![a-zA-Z])"), r"\\binom"),
    (re.compile(r"\\(?:leqslant|leq|le|leqq)(?![a-zA-Z])|<=|=<"), r"\\le "),
    (re.compile(r"\\(?:geqslant|geq|ge|geqq)(?![a-zA-Z])|>=|=>"), r"\\ge "),
    (re.compile(r"\\lt(?![a-zA-Z])"), "<"),
    (re.compile(r"\\gt(?![a-zA-Z])"), ">"),
    (re.compile(r"\\(?:neq|ne|not\s*=)(?![a-zA-Z=])|!=|/="), r"\\ne "),
    (re.compile(r"\\(?:cdot|times|ast|star)(?![a-zA-Z])"), "*"),
    (re.compile(r"\\div(?![a-zA-Z])"), "/"),
    (re.compile(r"\\(?:lbrace|\{)"), r"\\{"),
    (re.compile(r"\\(?:rbrace|\})"), r"\\}"),
    (re.compile(r"\\(?:lbrack)(?![a-zA-Z])"), "["),
    (re.compile(r"\\(?:rbrack)(?![a-zA-Z])"), "]"),
    (re.compile(r"\\(?:lparen)(?![a-zA-Z])"), "("),
    (re.compile(r"\\(?:rparen)(?![a-zA-Z])"), ")"),
    (re.compile(r"\\(?:langle)(?![a-zA-Z])"), "("),
    (re.compile(r"\\(?:rangle)(?![a-zA-Z])"), ")"),
    (re.compile(r"\\(?:lvert|rvert|vert|mid)(?![a-zA-Z])"), "|"),
    (re.compile(r"\\(?:land|wedge)(?![a-zA-Z])"), ","),
    (re.compile(r"\\(?:simeq|doteq|approxeq)(?![a-zA-Z])"), r"\\approx "),
    (re.compile(r"\\(?:ldots|dots|cdots)(?![a-zA-Z])"), "..."),
    (re.compile(r"\+\s*\\infty(?![a-zA-Z])|(?<![a-zA-Z\\])(?:oo|inf|infinity)(?![a-zA-Z])"), r"\\infty "),
    (re.compile(r"\\varphi(?![a-zA-Z])"), r"\\phi "),
    (re.compile(r"\\varnothing(?![a-zA-Z])"), r"\\emptyset "),
    (DEGREE, ""),
    (re.compile(r"\\(?:pounds|euro)(?![a-zA-Z])|\u20ac|\u00a3"), ""),
    (re.compile(r"\\%|\uff05"), "%"),
    (re.compile(r"\b(?:percent|pct)\b", re.IGNORECASE), "%"),
    (re.compile(r"\\(?:begin|end)\{(?:equation|align|aligned|gather|gathered|split|center|displaymath|math)\*?\}"), ""),
)
MATRIX = re.compile(r"\\(begin|end)\{(?:[pbB]?matrix|smallmatrix|psmallmatrix|array)\}(?:\{[clr|]+\})?")
TEXT = re.compile(
    r"\\(?:text(?:rm|bf|it|sf|tt|normal|up)?|mbox|hbox|operatorname\*?)\s*\{([^{}]*)\}"
    r"|\\math(?:rm|bf|it|sf)\s*\{([a-zA-Z]{2,}[a-zA-Z .]*)\}"
)
DOUBLED_COMMAND = re.compile(r"\\\\(?=[a-zA-Z]{2})")
BLANK_BEFORE_ARGUMENT = re.compile(r"(\\(?:frac|binom|sqrt)(?:\{[^{}]*\}|\[[^\[\]{}]*\])?) (?=[{\[])")
FRACTION_ARGUMENTS = re.compile(r"\\frac\s*(\d|[a-zA-Z]|\\[a-zA-Z]+)\s*(\d|[a-zA-Z]|\\[a-zA-Z]+)")
FRACTION_FIRST = re.compile(r"\\frac\s*(\d|[a-zA-Z])\s*\{")
FRACTION_SECOND = re.compile(r"(\\frac\{[^{}]*\})\s*(\d|[a-zA-Z])")
ROOT_ARGUMENT = re.compile(r"\\sqrt\s*(\d|[a-zA-Z])(?![a-zA-Z])")
ROOT_BRACKETS = re.compile(r"\\?sqrt\s*\(([^()]*)\)")
SCRIPT_BRACES = re.compile(r"([\^_])\{([0-9a-zA-Z])\}")
DIGIT_GAPS = re.compile(r"(?<=\d)(?:\\,|\\!|\\ |\s*\{,\s*\}(?:\\!)?|,\\!|\u2009|\u202f)\s*(?=\d{3}(?!\d))")
THOUSANDS = re.compile(
    r"(?<![\d.,^_])\d{1,3}(?:(?:\\,|\\!|\\ |\s*\{,\s*\}(?:\\!)?|,\s*\\!|\u2009|\u202f)\s*\d{3})++(?!\d)"
)
r"""An integer of which each group of three digits is set apart as nobody sets apart the items of a list."""
BETWEEN_ITEMS = re.compile(r"(?:(?<=circ)|(?<=degree)|(?<=[}$])),|,(?=\\?\$)")
r"""A comma beside a sign that will be dropped: without its blank, ``30^\circ,150^\circ`` would become a number of thousands."""
COMMA = re.compile(",")
COMMA_OF_THOUSANDS = re.compile(r"(?<![\d.,^_/])\d{1,3}(?:,\d{3})++(?![\d,])")
LOST_COMMAND = re.compile(r"(?<!\\)\\\\(?=(?:[dt]?frac|sqrt|pi|cos|sin|tan|theta|text|infty)(?![a-zA-Z]))")
LOST_ROW_END = re.compile(r"(?<!\\)\\(?=[-+.\d])")
GAP_AND_UNIT = re.compile(r"(?<=[\d}])(?:\\[,;: ]|~)\s*([KJWVNLmsgh])\s*\.?\s*$")
r"""``300\,K``: LaTeX sets a gap before a unit, and none before a factor."""
EMPTY_BETWEEN_DIGITS = re.compile(r"(?<=\d)\s*\{\}\s*(?=\d)")
EMPTY_GROUP = re.compile(r"(?<!\\text)\{\}")
WORDS = re.compile(r"\\text\{([^{}]*)\}")
ROW_END = "\x02"
ROW_GAP = re.compile(r"(\\\\)\s*\[\s*-?[\d.]{1,9}\s*(?:pt|ex|em|mm|cm|in)\s*\]")
BRACKET_OF_MATH = re.compile(r"\\[()\[\]]")
MARK_OF_MATH = re.compile(r"(?<!\\)" + BRACKET_OF_MATH.pattern)
r"""In a matrix, the ``\\(`` of ``1 \\(2+3)`` ends a row."""
DEGREE_OF_AN_ANGLE = "\x03"
OVER = re.compile(r"\{([^{}]*)\\over(?![a-zA-Z])([^{}]*)\}")
RECURRING = re.compile(r"\\dot\s*\{?(\d)\}?(?:(\d*)\\dot\s*\{?(\d)\}?)?")
TRIGONOMETRY = re.compile(r"(?<![a-zA-Z])(?:sin|cos|tan|cot|sec|csc|cis)(?![a-zA-Z])")
BETWEEN_PARTS = re.compile(r"([=,;<>&])")
BLANKS = re.compile(r"(?<![0-9]) | (?![0-9])")
"""Every blank but one between two digits, where blanks in a row have been made one: ``1 1/2`` is not ``11/2``."""


@lru_cache(maxsize=16384)
def normalize(answer: str) -> str:
    """The canonical spelling of ``answer``; text in words stays inside ``\\text{}``."""
    text = _in_ascii(answer)
    if "," in text:
        text = BETWEEN_ITEMS.sub(", ", text)
    text = without_math_delimiters(ROW_GAP.sub(r"\1 ", text.replace(r"\$", "").strip()))
    if text.startswith("**") and text.endswith("**"):  # bold, of Markdown
        text = text.strip("* ")
    if text.isdigit():
        return text
    # Before rows are: a comma of thousands, spelled in the many ways LaTeX needs so that it looks right.
    text = THOUSANDS.sub(_digits, text)
    text = _without_thousands(text) if "," in text else text
    text = DIGIT_GAPS.sub(",", text).replace("{,}", ",")
    text = _with_todays_notation(_with_marked_rows(text))
    text = _with_whole_degrees(_with_unit_vectors(text))
    text = DELIMITERS.sub("", text)
    text = GAP_AND_UNIT.sub(r"\\text{\1}", TEXT.sub(_as_words, text))
    # "19 {} 43" was "19 and 43" before its words were taken out; elsewhere an empty group is a gap in the layout.
    text = EMPTY_BETWEEN_DIGITS.sub(",", text)
    text = EMPTY_GROUP.sub("", text)
    text = _with_marked_degrees(FONTS.sub("", text))
    for pattern, replacement in RENAMED:
        text = pattern.sub(replacement, text)
    text = MATRIX.sub(lambda match: rf"\{match[1]}{{matrix}}", text)
    text = _with_braced_arguments(SPACES.sub(" ", text))
    return _without_outer_noise(text.replace(ROW_END, r"\\").replace(DEGREE_OF_AN_ANGLE, r"\degree "))


def normalize_pair(reference: str, answer: str) -> tuple[str, str]:
    r"""``normalize`` of both. Beside radians the sign of a degree is a unit, and not left out as elsewhere."""
    if RADIANS.search(reference) or RADIANS.search(answer):
        reference, answer = (DEGREE.sub(r"\\text{ degrees}", _in_ascii(text)) for text in (reference, answer))
    return normalize(reference), normalize(answer)


def _in_ascii(text: str) -> str:
    """With operators, signs and digits of other scripts in ASCII or as LaTeX commands."""
    text = text.translate(TYPOGRAPHY)
    if text.isascii():
        return text
    text = unicodedata.normalize("NFKC", text).translate(TYPOGRAPHY)
    return "".join(str(unicodedata.decimal(char)) if char.isdecimal() else char for char in text)


def _with_marked_rows(text: str) -> str:
    """With ``ROW_END`` for the end of a matrix row, which must not be taken for an escaped blank."""
    if r"\\begin" in text:  # escaped twice on its way here
        text = text.replace(r"\\", "\\")
    elif r"\begin" not in text:  # outside a matrix no row ends
        text = DOUBLED_COMMAND.sub(r"\\", text)
    if r"\begin" in text:
        # The paper's rows have lost every second backslash: "4\0" is two rows, and so is "4\\frac{1}{2}".
        text = LOST_COMMAND.sub(rf"{ROW_END}\\", text)
        text = LOST_ROW_END.sub(ROW_END, text)
    return text.replace(r"\\", ROW_END)


def _with_whole_degrees(text: str) -> str:
    r"""``30^\circ 15'`` as a fraction of degrees."""
    return DEGREES_AND_MINUTES.sub(_as_degrees, text) if "'" in text or r"\prime" in text else text


def _as_degrees(match: re.Match[str]) -> str:
    degrees = int(match["degrees"]) + Fraction(match["minutes"]) / 60 + Fraction(match["seconds"] or 0) / 3600
    return rf"\frac{{{degrees.numerator}}}{{{degrees.denominator}}}^\circ"


def _with_unit_vectors(text: str) -> str:
    r"""``3\mathbf{i}-\mathbf{j}`` with hats on its unit vectors: two or more different ones, since one i may be imaginary."""
    matches = list(UNIT_VECTOR.finditer(text)) if "j" in text or "k" in text else []
    if len({match["dotless"] or match["letter"] for match in matches}) < 2:
        return text
    for match in reversed(matches):
        braces = match[0].count("{") - match[0].count("}")
        letter = match["dotless"] or match["letter"]
        text = text[: match.start()] + rf"\hat{{{letter}}}" + "}" * -braces + text[match.end() :]
    return text


def _with_todays_notation(text: str) -> str:
    r"""``{1 \over 2}`` as ``\frac{1}{2}``, ``0.\dot{1}\dot{8}`` as ``0.\overline{18}``; one arrow over vectors."""
    if r"\over" in text:
        text = OVER.sub(r"\\frac{\1}{\2}", text).replace(r"\overrightarrow", r"\vec")
    return RECURRING.sub(r"\\overline{\1\2\3}", text) if r"\dot" in text else text


def _with_marked_degrees(text: str) -> str:
    r"""With ``DEGREE_OF_AN_ANGLE`` for the sign of a degree behind a sine and the like: ``\sin 30^\circ`` is no ``\sin 30``."""
    if not TRIGONOMETRY.search(text):
        return text
    parts = BETWEEN_PARTS.split(text)
    for index, part in enumerate(parts):
        trigonometry = TRIGONOMETRY.search(part)
        if trigonometry:
            at = trigonometry.start()
            parts[index] = part[:at] + DEGREE.sub(DEGREE_OF_AN_ANGLE, part[at:])
    return "".join(parts)


def _with_braced_arguments(text: str) -> str:
    r"""``\frac12`` as ``\frac{1}{2}``, ``\sqrt2`` as ``\sqrt{2}``, ``x^{2}`` as ``x^2``."""
    text = BLANK_BEFORE_ARGUMENT.sub(r"\1", BLANK_BEFORE_ARGUMENT.sub(r"\1", text))
    for _ in range(2):  # \frac1{\frac12}: the inner one first
        text = FRACTION_ARGUMENTS.sub(r"\\frac{\1}{\2}", text)
        text = FRACTION_FIRST.sub(r"\\frac{\1}{", text)
        text = FRACTION_SECOND.sub(r"\1{\2}", text)
    text = ROOT_ARGUMENT.sub(r"\\sqrt{\1}", text)
    text = ROOT_BRACKETS.sub(r"\\sqrt{\1}", text)
    return SCRIPT_BRACES.sub(r"\1\2", text)


def _digits(match: re.Match[str]) -> str:
    return "".join(filter(str.isdigit, match[0]))


def _as_words(match: re.Match[str]) -> str:
    r"""``\text{ cm}`` in one spelling; ``\text{A, B}`` and ``\text{A5}`` are more than words."""
    content: str = (match[1] or match[2] or "").strip()
    if content == "cis":
        return r"\cis "
    return content if "," in content or any(char.isdigit() for char in content) else rf"\text{{{content}}}"


def without_math_delimiters(text: str) -> str:
    r"""Without ``$..$``, ``\(..\)`` or ``\[..\]`` around it, and without such marks inside a text that mixes both."""
    for opening, closing in (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]")):
        if text.startswith(opening) and text.endswith(closing) and len(text) >= len(opening) + len(closing):
            text = text[len(opening) : len(text) - len(closing)].strip()
    text = text.replace("$", "")
    return (MARK_OF_MATH if r"\begin" in text else BRACKET_OF_MATH).sub(" ", text).strip()


def _without_outer_noise(text: str) -> str:
    while True:
        shorter = text.strip().rstrip(".,;:").removesuffix("\\\\").removesuffix("\\").strip()
        shorter = shorter.lstrip(",;:").strip()
        if shorter == text:
            break
        text = shorter
    if text.startswith("{") and text.endswith("}") and is_outer_pair(text, CURLY) and "," not in text:
        return _without_outer_noise(text[1:-1])
    return text


def _without_thousands(text: str) -> str:
    """``x = 10,000`` without its comma, where all that are in no brackets can be of thousands."""
    numbers = list(outside(text, COMMA_OF_THOUSANDS))
    if sum(match[0].count(",") for match in numbers) < sum(1 for _ in outside(text, COMMA)):
        return text
    for match in reversed(numbers):
        text = text[: match.start()] + _digits(match) + text[match.end() :]
    return text


@lru_cache(maxsize=16384)
def key(answer: str) -> str:
    """``normalize`` without blanks and without the marks of text: two answers with the same key are the same answer."""
    text = WORDS.sub(r"\1", normalize(answer))
    return BLANKS.sub("", " ".join(text.split()))
