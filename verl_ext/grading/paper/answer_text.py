"""How the paper finds an answer in a response, and how it spells it."""

import re

from verl_ext.grading.answers.brackets import CURLY, brackets, closing

LAST_NUMBER = re.compile(r"-?\d*\.?\d+")

# In this order: later ones see what earlier ones left.
RENAMED = (("\\\\", "\\"), ("\\\\", "\\"), ("tfrac", "frac"), ("dfrac", "frac"), (r"\left", ""), (r"\right", ""))
UNIT_AT_END = re.compile(r"\\text\{.*?\}$")
DROPPED = (r"^{\circ}", r"^\circ", r"\$", "$", r"\text", r"x\in", r"\%", "%")
ZERO_POINT = ((" .", " 0."), ("{.", "{0."))
TEXT_BOX = re.compile(r"\\mbox\{.*?\}")
TRAILING_ZEROS = re.compile(r"(\d+)\.0+([^\d]|$)")
BARE_ROOT = re.compile(r"\\sqrt(\w+)")


def extract(response: str) -> tuple[str, str]:
    """The answer and the rule that found it: the last "boxed", "he answer is", or the last number."""
    if "boxed" in response:
        answer, rule = _after_box(response.rpartition("boxed")[2]), "box"
    elif "he answer is" in response:
        answer, rule = response.rpartition("he answer is")[2].strip(), "phrase"
    else:
        numbers = LAST_NUMBER.findall(response.replace(",", ""))
        answer, rule = (numbers[-1], "last_number") if numbers else ("", "")
    first_line = answer.partition("\n")[0]
    return first_line.removeprefix(":").removesuffix(".").removesuffix("/"), rule


def _after_box(text: str) -> str:
    """Up to the brace that closes the first; of a box that is cut, all; without a brace, up to the next ``$``."""
    if not text.startswith("{"):
        return text.partition("$")[0].strip()
    return text[1 : closing(brackets(text, CURLY))]


def ends_in_closed_box(response: str) -> bool:
    """Whether the last box is complete: its brace is closed or, without one, its formula."""
    _, box, text = response.rpartition("boxed")
    if not box:
        return False
    if not text.startswith("{"):
        return "$" in text
    return closing(brackets(text, CURLY)) is not None


def normalize(answer: str) -> str:
    """The paper's spelling of an answer, which drops units, percent signs, products and blanks."""
    text = answer.strip().replace("\n", "").rstrip(".").replace(r"\!", "").replace(r"\ ", "")
    for old, new in RENAMED:
        text = text.replace(old, new)
    text = UNIT_AT_END.sub("", text).strip() or text
    for piece in DROPPED:
        text = text.replace(piece, "")
    for old, new in ZERO_POINT:
        text = text.replace(old, new)
    text = text.replace(r"\cdot", "").replace("infinity", r"\infty")
    if r"\infty" not in text:
        text = text.replace("inf", r"\infty")
    text = TEXT_BOX.sub("", text.replace("and", "").replace(r"\mathbf", ""))
    if "i" not in text:
        text = text.replace("j", "i")
    text = TRAILING_ZEROS.sub(r"\1\2", text)
    if text.startswith("."):
        text = "0" + text
    name, equals, value = text.partition("=")
    if equals and "=" not in value and len(name) <= 2:
        text = value
    text = BARE_ROOT.sub(r"\\sqrt{\1}", text).replace(" ", "")
    return _with_fraction_of_integers(_with_braced_fractions(text))


def _with_braced_fractions(text: str) -> str:
    r"""``\frac12`` as ``\frac{1}{2}``; a fraction that ends too early leaves the whole as it was."""
    first, *rest = text.split(r"\frac")
    pieces = [first]
    for piece in rest:
        if not piece.startswith("{"):
            if len(piece) < 2:
                return text
            top, bottom = piece[0], piece[1]
            piece = f"{{{top}}}{bottom if bottom == '{' else f'{{{bottom}}}'}{piece[2:]}"
        pieces.append(piece)
    return r"\frac".join(pieces)


def _with_fraction_of_integers(text: str) -> str:
    top, slash, bottom = text.partition("/")
    if not slash or "/" in bottom:
        return text
    is_plain = all(
        "sqrt" in part or (part.removeprefix("-").isdecimal() and part == str(int(part))) for part in (top, bottom)
    )
    return rf"\frac{{{top}}}{{{bottom}}}" if is_plain else text
