r"""Signs that spelling drops, where the other side shows that they count: of currencies and of degrees.

``\$5`` is spelled as 5, which is what most references leave of it. But ``\$5`` is 500 cents, and not 5 cents or 5 euros;
and ``60^\circ`` is ``\frac{\pi}{3}``.
"""

import re

from verl_ext.grading.answers.spelling import DEGREE, TRIGONOMETRY

CURRENCY_SIGNS = {
    "dollar": re.compile(r"\\\$|\\textdollar(?![a-zA-Z])"),
    "eur": re.compile(r"\\(?:euro|texteuro)(?![a-zA-Z])|\u20ac"),
    "gbp": re.compile(r"\\(?:pounds|textsterling)(?![a-zA-Z])|\u00a3"),
    "yuan": re.compile(r"\u00a5|\uffe5"),
}
CURRENCY_WORDS = re.compile(
    r"(?<![a-zA-Z])(?:dollars?|cents?|bucks?|euros?|pounds?|sterling|yuan|rmb|yen|rupees?|USD|EUR|GBP|CNY|INR)(?![a-zA-Z])"
    r"|[\u5143\u89d2]"
)
POUNDS = re.compile(r"(?<![a-zA-Z\\])pounds?(?![a-zA-Z])")
PI = re.compile(r"\\pi(?![a-zA-Z])|\u03c0")
DEGREE_SIGN = re.compile(rf"{DEGREE.pattern}|\u00b0")
RADIANS = r"*\\frac{\\pi}{180}"


def in_one_notation(reference: str, answer: str) -> tuple[str, str]:
    """Both with their currencies in words if both have one, and with degrees in radians beside radians."""
    if reference.isdigit() or reference == answer:  # most often: there is no sign to read
        return reference, answer
    if _has_currency(reference) and _has_currency(answer):
        reference, answer = _with_named_currency(reference), _with_named_currency(answer)
    return _beside(reference, answer), _beside(answer, reference)


def _has_currency(text: str) -> bool:
    return any(sign.search(text) for sign in CURRENCY_SIGNS.values()) or CURRENCY_WORDS.search(text) is not None


def _with_named_currency(text: str) -> str:
    """With the name of a currency behind the amount, for a sign before it; several amounts stay as they are."""
    for name, sign in CURRENCY_SIGNS.items():
        if len(sign.findall(text)) == 1:
            return rf"{sign.sub('', text).strip().rstrip('.,;:')}\text{{ {name}}}"
    return text


def _beside(text: str, other: str) -> str:
    """``text`` in radians, if it has a sign of degrees and ``other`` has a pi and none."""
    if not DEGREE_SIGN.search(text) or DEGREE_SIGN.search(other) or not PI.search(other) or TRIGONOMETRY.search(text):
        return text
    return DEGREE_SIGN.sub(RADIANS, text)
