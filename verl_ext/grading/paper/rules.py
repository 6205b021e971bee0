"""How the paper compares two answers: strings, numbers, lists, matrices, equations, and last two formulas."""

import math
import re
from collections.abc import Callable

from verl_ext.grading.verdict import all_true

RELATIVE_TOLERANCE = 1e-4
LIST = re.compile(r"[(\[].+[)\]]")
MATRIX = re.compile(r"\\begin\{[pb]matrix\}(.*)\\end\{[pb]matrix\}", re.DOTALL)
BRACES = str.maketrans("", "", "{}()")
BRACED_LIST = re.compile(r"\{.*,.*\}")

SameFormula = Callable[[str, str], bool | None]


def same_answer(answer: str, reference: str, leaf: SameFormula) -> bool | None:
    """Walk the paper's rules in their order; ``leaf`` compares two formulas, or returns None where it must not."""
    if answer == reference:
        return True
    left, right = read_number(answer), read_number(reference)
    if left is not None and right is not None:
        return any(
            math.isclose(number, left, rel_tol=RELATIVE_TOLERANCE) for number in (right / 100, right, right * 100)
        )
    if not answer:
        return False
    answer, reference = answer.strip(), reference.strip()
    if "pmatrix" in answer and "pmatrix" not in reference:
        reference = ", ".join(_as_matrix(braced) for braced in BRACED_LIST.findall(reference))
    if _same_without_brackets(answer, reference):
        return True
    for rule in (_same_list, _same_matrix, _same_equation):
        is_same = rule(answer, reference, leaf)
        if is_same is not False:
            return is_same
    return leaf(answer, reference)


def read_number(text: str) -> float | None:
    """A float, with every comma dropped, so that ``2,3`` is 23."""
    plain = text.replace(",", "")
    try:
        return float(plain)
    except ValueError:
        return None


def _as_matrix(braced: str) -> str:
    rows = braced.strip("{}").replace(",", "\\")
    return rf"\begin{{pmatrix}}{rows}\end{{pmatrix}}"


def _same_without_brackets(answer: str, reference: str) -> bool:
    """Braces and parentheses never count; square brackets count unless the answer alone is a list."""
    for opening, closing, other in ("[](", "()["):
        if answer.startswith(opening) and answer.endswith(closing) and not reference.startswith(other):
            answer, reference = answer.strip("[]()"), reference.strip("[]()")
            break
    return answer.translate(BRACES) == reference.translate(BRACES)


def _same_list(answer: str, reference: str, leaf: SameFormula) -> bool | None:
    """Component by component, whatever the brackets."""
    if not (LIST.match(answer) and LIST.match(reference)):
        return False
    return _all_same(answer[1:-1].split(","), reference[1:-1].split(","), leaf)


def _same_matrix(answer: str, reference: str, leaf: SameFormula) -> bool | None:
    """Cell by cell of each row; the normalization has left one row, whose breaks are single backslashes."""
    matches = MATRIX.fullmatch(answer), MATRIX.fullmatch(reference)
    if not matches[0] or not matches[1]:
        return False
    left, right = (
        [row.strip().split("&") for row in match[1].split("\\\\") if row.strip()] for match in matches if match
    )
    if [len(row) for row in left] != [len(row) for row in right]:
        return False
    return _all_same([cell for row in left for cell in row], [cell for row in right for cell in row], leaf)


def _all_same(answers: list[str], references: list[str], leaf: SameFormula) -> bool | None:
    if len(answers) != len(references):
        return False
    return all_true(same_answer(answer, reference, leaf) for answer, reference in zip(answers, references, strict=True))


def _same_equation(answer: str, reference: str, leaf: SameFormula) -> bool | None:
    """Two equations by the difference of their sides; of one that names its value, the value."""
    sides, other_sides = answer.split("="), reference.split("=")
    if len(sides) == len(other_sides) == 2:
        left, right = (f"{first.strip()} - ({second.strip()})" for first, second in (sides, other_sides))
        is_same = leaf(left, right)
        return leaf(f"-({left})", right) if is_same is False else is_same
    if len(sides) == 2 and len(sides[0].strip()) <= 2 and len(other_sides) == 1:
        return same_answer(sides[1], reference, leaf)
    if len(other_sides) == 2 and len(other_sides[0].strip()) <= 2 and len(sides) == 1:
        return same_answer(answer, other_sides[1], leaf)
    return False


def unknown(_answer: str, _reference: str) -> bool | None:
    """The leaf of a process that must not read formulas."""
    return None
