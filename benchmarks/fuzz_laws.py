"""Laws of what reads untrusted texts and files, each a function of any input: ``benchmarks/fuzz.py`` searches for a breach.

A law raises AssertionError, or what its subject may not raise. The oracles here share nothing with what they judge: Python's
own parser, a scan from each bracket, ``json.loads`` line by line.
"""

import ast
import json
import operator
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

from verl_ext.grading import Reason, Verdict
from verl_ext.grading.answers.boxes import (
    BOX,
    Box,
    CutBox,
    Extracted,
    all_boxes,
    closed_boxes,
    find_box,
    reference_boxes,
)
from verl_ext.grading.answers.extract import RULES, extract_answer
from verl_ext.grading.answers.limits import breach
from verl_ext.grading.arithmetic import MAX_EXPRESSION_CHARS, NotAnExpressionError, canonical_answer, evaluate, parse
from verl_ext.grading.countdown_grader import grade_countdown, parse_reference
from verl_ext.metrics.generations import Generations, read_generations

# ---------------------------------------------------------------------- Countdown

ASCII = {0xD7: "*", 0xF7: "/", 0x2212: "-"}
OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}
NOT_OURS = re.compile(r"[^-+*/()0-9 ]|\*\*|//|\b0[0-9]")
"""What Python reads and the grammar does not have."""
READ_BY_PYTHON = 400
"""Characters: more nested parentheses than Python takes do not fit."""


def countdown(text: str) -> None:
    """Any text is an expression of Python's value and numbers, or none; its canonical spelling is one of its own."""
    try:
        expression = parse(text)
    except NotAnExpressionError:
        expression = None
    if len(text) <= READ_BY_PYTHON and text.count("(") <= 50:
        node = _python_reads(text)
        assert (node is None) == (expression is None), "Python reads it and we do not, or the other way"
    canonical = canonical_answer(text)
    assert canonical_answer(canonical) == canonical
    if expression is not None and len(text) <= MAX_EXPRESSION_CHARS:
        assert _numbers(parse(canonical)) == _numbers(expression)
        value = _value_or_none(lambda: evaluate(expression))
        if len(text) <= READ_BY_PYTHON and node is not None:
            assert value == _value_or_none(lambda: _python_value(node))
        if value is not None:
            assert evaluate(parse(canonical)) == value
    _grades(text)


@contextmanager
def _refused_with(words: str) -> Iterator[None]:
    """What is done here may raise one thing, a ValueError with these words."""
    try:
        yield
    except ValueError as error:
        if words not in str(error):
            raise AssertionError(f"It lacks {words!r}: {error}") from error


def _grades(text: str) -> None:
    for is_truncated in (False, True):
        verdict = grade_countdown(text, {"numbers": [3, 5, 7], "target": 22}, is_truncated=is_truncated)
        assert isinstance(verdict, Verdict)
        assert verdict.reason is not Reason.GRADER_ERROR
    with _refused_with("The ground truth of a countdown row"):
        reference = parse_reference(text)
        assert reference.numbers
        assert min(reference.numbers) >= 0


def _numbers(expression: Sequence[int | str]) -> Counter[int | str]:
    return Counter(token for token in expression if isinstance(token, int))


def _value_or_none(value: Any) -> Fraction | None:
    try:
        return value()
    except ZeroDivisionError:
        return None


def _python_reads(text: str) -> ast.expr | None:
    """The text as Python's parser sees it, where it is of the grammar; None where it is not."""
    plain = text.translate(ASCII)
    for blank in "\t\r\n":
        plain = plain.replace(blank, " ")
    if NOT_OURS.search(plain):
        return None
    try:
        node = ast.parse(plain.strip(" "), mode="eval").body
    except SyntaxError:
        return None
    kinds = (ast.BinOp, ast.Constant, ast.operator)
    return node if all(isinstance(one, kinds) for one in ast.walk(node)) else None


def _python_value(node: ast.expr) -> Fraction:
    if isinstance(node, ast.BinOp):
        return OPERATORS[type(node.op)](_python_value(node.left), _python_value(node.right))
    assert isinstance(node, ast.Constant)
    return Fraction(node.value)


# ---------------------------------------------------------------------- boxes

SCANNED_CHARS = 3000
"""Of a text that the oracle scans from each box, which is quadratic."""


def boxes(text: str) -> None:
    """Any text has the boxes that a scan from each of them closes, and its last box decides."""
    found = find_box(text)
    assert found is None or isinstance(found, Extracted | CutBox)
    closed = closed_boxes(text)
    if len(text) <= SCANNED_CHARS:
        assert closed == _scanned_boxes(text)
    contents = {box.content for box in closed}
    assert set(all_boxes(text)) <= contents
    assert set(reference_boxes(text)) <= contents
    assert bool(reference_boxes(text)) == bool(closed)
    if isinstance(found, CutBox):
        assert found.before is None or found.before.text in contents
    last = find_box(text + " \\boxed{7}")
    assert isinstance(last, Extracted)
    assert last.text.endswith("7")
    for is_truncated in (False, True):
        answer = extract_answer(text, tuple(RULES), is_truncated=is_truncated)
        if isinstance(answer, Extracted):
            reason = breach(answer.text)
            assert reason is None or reason
            _is_its_own_box(answer)


def _is_its_own_box(answer: Extracted) -> None:
    """What was in one box is found again in a box of its own."""
    content = answer.text
    if answer.rule == "box" and not BOX.search(content) and _is_closed(content):
        again = find_box(f"\\boxed{{{content}}}")
        assert isinstance(again, Extracted)
        assert again.text == content


def _is_closed(content: str) -> bool:
    box = f"{{{content}}}"
    return _partner(box, 0) == len(box) - 1


def _scanned_boxes(text: str) -> list[Box]:
    found = []
    for match in BOX.finditer(text):
        brace = match.end()
        end = _partner(text, brace) if text[brace : brace + 1] == "{" else None
        if end is not None:
            found.append(Box(match.start(), end, text[brace + 1 : end].strip()))
    return found


def _partner(text: str, brace: int) -> int | None:
    """Where the brace at ``brace`` is closed, a character behind a backslash left out."""
    depth, position = 0, brace
    while position < len(text):
        if text[position] == "\\":
            position += 1
        elif text[position] in "{}":
            depth += 1 if text[position] == "{" else -1
            if not depth:
                return position
        position += 1
    return None


# ---------------------------------------------------------------------- generations

NAMES = ("run.jsonl", "run.json")
"""A file of the second name may be one log that fills it."""


def generations(content: bytes, folder: Path) -> None:
    """Any file is counted, the same each time and as a reader of one line after the other counts, or refused by its name."""
    for name in NAMES:
        _is_read_or_refused(content, folder / name)


def _is_read_or_refused(content: bytes, path: Path) -> None:
    path.write_bytes(content)
    counted = _counted(path, skip_bad_lines=False)
    tolerant = _counted(path, skip_bad_lines=True)
    if counted is not None:
        assert tolerant is not None
        assert _counts(counted) == _counts(tolerant)
        assert tolerant.num_bad_lines == 0
    expected = _counted_line_by_line(content)
    if expected is not None:
        assert tolerant is not None
        assert _counts(tolerant) == expected


def _counted(path: Path, *, skip_bad_lines: bool) -> Generations | None:
    found = None
    with _refused_with(str(path)):
        found = read_generations(path, with_answers=True, by_if_constant=("level",), skip_bad_lines=skip_bad_lines)
    if found is None:
        return None
    assert found.num_problems > 0
    assert (found.num_correct_P >= 0).all()
    assert (found.num_correct_P <= found.num_samples_P).all()
    return found


def _counts(found: Generations) -> dict[str, tuple[int, int]]:
    numbers = zip(found.question_ids, found.num_samples_P.tolist(), found.num_correct_P.tolist(), strict=True)
    return {name: (num_samples, num_correct) for name, num_samples, num_correct in numbers}


def _counted_line_by_line(content: bytes) -> dict[str, tuple[int, int]] | None:
    """Samples and correct ones of each problem; None for a file of another kind, or one that may be refused."""
    counts: dict[str, tuple[int, int]] = {}
    for line in content.split(b"\n"):
        if not line.strip():
            continue
        try:
            record = json.loads(line.decode())
        except (ValueError, RecursionError):
            return None
        if not isinstance(record, dict) or not set(record) <= {"question_id", "label", "response", "pred_answer"}:
            return None
        if type(record.get("question_id")) not in (int, str) or type(record.get("label")) is not bool:
            return None
        num_samples, num_correct = counts.get(str(record["question_id"]), (0, 0))
        counts[str(record["question_id"])] = num_samples + 1, num_correct + record["label"]
    return counts or None
