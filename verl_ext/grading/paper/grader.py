r"""The paper's verdicts (arXiv:2506.01347), for parity with its reported numbers. Not to be trusted.

It calls wrong answers right: 5, 500 and 0.05 are one number to it, so are 10000 and 10001, ``2,3`` is 23, ``(1,2]`` is
``[1,2)``, ``3\cdot4`` is 34, ``2^3`` is 1 and an answer of several lines equals an empty reference. It calls right ones
wrong wherever its parsers give up. And it reads formulas with sympy's ``parse_expr``, which executes them as Python, so
that happens in a worker process only, in a child without rights (``sandbox``). Even there an answer can lie about
itself: whoever runs code in the child also writes its verdict.

Written from the documented behaviour of the paper's evaluation, not from its code. The normalisation gives MATH's 12,500
published targets from their solutions. Known to differ:

- its LaTeX parser is latex2sympy2 1.5.4 or 1.9.1, of which the first reads ``2\pi r`` as ``2\pi``; here it is
  latex2sympy2_extended, which reads more, so that a few more right answers are accepted;
- its time limit of 1 s misses tuples, matrices and equations, where it hangs; here it covers the whole comparison,
  counts processor time, and the verdict is ``timed_out``;
- an answer longer than MAX_ANSWER_CHARS is ``unparsable``: its regular expressions are quadratic in it;
- its training run compares AIME and AMC as strings, its evaluation does not; this is the evaluation.
"""

import math
import re
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, NamedTuple

from verl_ext.grading.answers.limits import MAX_ANSWER_CHARS
from verl_ext.grading.answers.number_text import number_text
from verl_ext.grading.verdict import Decision, Reason, Tier, Verdict
from verl_ext.grading.workers.decisions import settled, shared_decisions
from verl_ext.grading.workers.process import Comparison, TimedOutError, WorkerError

RELATIVE_TOLERANCE = 1e-4
LAST_NUMBER = re.compile(r"-?\d*\.?\d+")

# In this order: later ones see what earlier ones left.
DROPPED_FIRST = ("\n", r"\!", r"\ ")
RENAMED = (("\\\\", "\\"), ("\\\\", "\\"), ("tfrac", "frac"), ("dfrac", "frac"), (r"\left", ""), (r"\right", ""))
UNIT_AT_END = re.compile(r"\\text\{.*?\}$")
DROPPED = (r"^{\circ}", r"^\circ", r"\$", "$", r"\text", r"x\in", r"\%", "%")
ZERO_POINT = ((" .", " 0."), ("{.", "{0."))
TEXT_BOX = re.compile(r"\\mbox\{.*?\}")
TRAILING_ZEROS = re.compile(r"(\d+)\.0+([^\d]|$)")
BARE_ROOT = re.compile(r"\\sqrt(\w+)")

LIST = re.compile(r"[(\[].+[)\]]")
MATRIX = re.compile(r"\\begin\{[pb]matrix\}(.*)\\end\{[pb]matrix\}", re.DOTALL)
BRACES = str.maketrans("", "", "{}()")
BRACED_LIST = re.compile(r"\{.*,.*\}")

Leaf = Callable[[str, str], bool | None]


def extract(response: str) -> tuple[str, str]:
    """The normalised answer and the rule that found it: the last "boxed", "he answer is", or the last number."""
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
    depth = 0
    for position, char in enumerate(text):
        depth += (char == "{") - (char == "}")
        if not depth:
            return text[1:position]
    return text[1:]


def _ends_in_closed_box(response: str) -> bool:
    """Whether the last box is complete: its brace is closed or, without one, its formula."""
    _, box, text = response.rpartition("boxed")
    if not box:
        return False
    if not text.startswith("{"):
        return "$" in text
    return _after_box(text) != text[1:]


def normalize(answer: str) -> str:
    """The paper's spelling of an answer, which drops units, percent signs, products and blanks."""
    text = answer.strip()
    for piece in DROPPED_FIRST:
        text = text.replace(piece, "") if piece != "\n" else text.replace(piece, "").rstrip(".")
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


def same_answer(answer: str, reference: str, leaf: Leaf) -> bool | None:
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


def _same_list(answer: str, reference: str, leaf: Leaf) -> bool | None:
    """Component by component, whatever the brackets."""
    if not (LIST.match(answer) and LIST.match(reference)):
        return False
    return _all_same(answer[1:-1].split(","), reference[1:-1].split(","), leaf)


def _same_matrix(answer: str, reference: str, leaf: Leaf) -> bool | None:
    """Cell by cell of each row; the normalisation has left one row, whose breaks are single backslashes."""
    matches = MATRIX.fullmatch(answer), MATRIX.fullmatch(reference)
    if not matches[0] or not matches[1]:
        return False
    left, right = (
        [row.strip().split("&") for row in match[1].split("\\\\") if row.strip()] for match in matches if match
    )
    if [len(row) for row in left] != [len(row) for row in right]:
        return False
    return _all_same([cell for row in left for cell in row], [cell for row in right for cell in row], leaf)


def _all_same(answers: list[str], references: list[str], leaf: Leaf) -> bool | None:
    if len(answers) != len(references):
        return False
    is_known = True
    for answer, reference in zip(answers, references, strict=True):
        is_same = same_answer(answer, reference, leaf)
        if is_same is False:
            return False
        is_known &= is_same is not None
    return True if is_known else None


def _same_equation(answer: str, reference: str, leaf: Leaf) -> bool | None:
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


def parse_reference(reference: object) -> str:
    """What the paper compares with: a row's ``target``, or the normalised answer of a solution or of a bare answer.

    Raises:
        ValueError: It is no text, or longer than an answer may be. An empty one stands: the paper has such a target.
    """
    if isinstance(reference, Mapping) and "target" in reference:
        target = reference["target"]
    elif isinstance(reference, int | float) and not isinstance(reference, bool):
        number_text(reference)  # refuses what is no number, or a rounded one
        target = str(reference)
    elif isinstance(reference, str):
        target = reference.rpartition("####")[2] if "####" in reference else reference
        target = normalize(extract(target)[0] if "boxed" in target else target)
    else:
        target = reference
    if not isinstance(target, str):
        raise ValueError(f"The ground truth of a math row must be a text, got {reference!r:.200}.")
    if len(target) > MAX_ANSWER_CHARS:
        raise ValueError(f"The ground truth {reference!r:.200} is longer than {MAX_ANSWER_CHARS} characters.")
    return target


def paper_grade(response: str, reference: Any, *, is_truncated: bool = False) -> Verdict:
    """Grade as the paper's evaluation does, which asks neither whether a response was cut nor whether it has a box.

    Right and wrong are the paper's. A wrong one that was cut before its last box was closed has the reason ``truncated``,
    so that a run can tell it from an answer.
    """
    return grade_parsed(response, parse_reference(reference), is_truncated=is_truncated)


def grade_parsed(response: str, reference: str, *, is_truncated: bool = False) -> Verdict:
    """``paper_grade`` with a reference from ``parse_reference``, which must not be normalized twice."""
    begun = start(response, reference, is_truncated=is_truncated)
    return begun if isinstance(begun, Verdict) else finish(begun, submit(begun))


async def grade_parsed_async(response: str, reference: str, *, is_truncated: bool = False) -> Verdict:
    """``grade_parsed`` for an event loop: other responses are graded while a worker is busy."""
    begun = start(response, reference, is_truncated=is_truncated)
    if isinstance(begun, Verdict):
        return begun
    future = submit(begun)
    await settled(future)
    return finish(begun, future)


class Pending(NamedTuple):
    """An answer that this process must not compare."""

    reference: str
    answer: str
    rule: str
    is_cut: bool


def start(response: str, reference: str, *, is_truncated: bool) -> Verdict | Pending:
    """Grade as far as strings and numbers go."""
    raw, rule = extract(response)
    is_cut = is_truncated and not _ends_in_closed_box(response)
    if len(raw) > MAX_ANSWER_CHARS:
        if is_cut:
            return Verdict(Reason.TRUNCATED, None, rule, tier=Tier.PAPER, detail="cut inside its last box")
        detail = f"longer than {MAX_ANSWER_CHARS} characters"
        return Verdict(Reason.UNPARSABLE, raw[:MAX_ANSWER_CHARS], rule, tier=Tier.PAPER, detail=detail)
    pending = Pending(reference, normalize(raw), rule, is_cut)
    is_same = same_answer(pending.answer, reference, leaf=_unknown)
    return pending if is_same is None else _verdict(pending, is_same)


def submit(pending: Pending) -> "Future[Decision]":
    return shared_decisions().submit(pending.reference, pending.answer, Comparison.PAPER)


def finish(pending: Pending, future: "Future[Decision]") -> Verdict:
    """The verdict of a pending answer once its comparison is done (waits for it)."""
    try:
        decision = future.result()
    except TimedOutError as error:
        return Verdict(Reason.TIMED_OUT, pending.answer, pending.rule, tier=Tier.PAPER, detail=str(error))
    except WorkerError as error:
        return Verdict(Reason.GRADER_ERROR, pending.answer, pending.rule, tier=Tier.GRADER, detail=str(error))
    if decision.is_same is None:
        return Verdict(Reason.GRADER_ERROR, pending.answer, pending.rule, tier=Tier.GRADER, detail=decision.detail)
    return _verdict(pending, decision.is_same)


def _verdict(pending: Pending, is_same: bool) -> Verdict:
    _, answer, rule, is_cut = pending
    if is_same:
        return Verdict(Reason.CORRECT, answer, rule, tier=Tier.PAPER)
    if is_cut:
        return Verdict(
            Reason.TRUNCATED, answer or None, rule, tier=Tier.PAPER, detail="cut before its answer was complete"
        )
    if not answer:
        detail = "no box, no phrase and no number, or an empty one"
        return Verdict(Reason.NO_ANSWER, None, rule, tier=Tier.PAPER, detail=detail)
    return Verdict(Reason.INCORRECT, answer, rule, tier=Tier.PAPER)


def _unknown(_answer: str, _reference: str) -> bool | None:
    """The leaf of a process that must not read formulas."""
    return None
