"""Findings about prepared data: corrected references, references that cannot be graded, and repeated questions."""

import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from verl_ext.data.sources import Row
from verl_ext.grading import grade
from verl_ext.host.files import write_whole
from verl_ext.tasks import Task
from verl_ext.tasks.task import SourceRow

REPORT_NAME = "report.json"

Finding = dict[str, Any]


def corrected_references(rows: Sequence[Row]) -> list[Finding]:
    """The rows whose reference is not the paper's, or is one of several right answers."""
    return [
        {
            "index": int(row.question_id),
            "paper_reference": row.paper_reference,
            "reference": row.ground_truth,
            "also_right": list(row.also_right),
            "why": row.correction,
        }
        for row in rows
        if row.correction is not None
    ]


def ungradable_references(rows: Sequence[Row]) -> list[Finding]:
    """The rows on which the very reference, given as an answer, is not graded correct: no response can be."""
    findings = []
    for row in rows:
        why = _why_ungradable(row.ground_truth, row.ground_truth, row.data_source)
        if why is not None:
            findings.append({"index": int(row.question_id), "reference": row.ground_truth, "why": why})
    return findings


def respelled_references(task: Task, rows: Sequence[Row], source_rows: Sequence[SourceRow]) -> list[Finding]:
    """The rows whose printed reference would have rejected the answer that their solution boxes.

    The same answer in another spelling was taken from the solution; corrected rows are not listed again.
    """
    findings = []
    for row, source_row in zip(rows, source_rows, strict=True):
        printed = task.printed_answer_of(source_row)
        if printed is None or printed == row.ground_truth or row.correction is not None:
            continue
        if _why_ungradable(row.ground_truth, printed, row.data_source) is not None:
            findings.append(
                {"index": int(row.question_id), "printed_reference": printed, "reference": row.ground_truth}
            )
    return findings


def _why_ungradable(answer: str, reference: str, data_source: str) -> str | None:
    try:
        verdict = grade(rf"\boxed{{{answer}}}", reference, data_source)
    except ValueError as error:
        return str(error)
    if verdict.is_correct:
        return None
    return f"given as an answer it is {verdict.reason}" + (f" ({verdict.detail})" if verdict.detail else "")


def same_questions(first: Sequence[Row], second: Sequence[Row]) -> list[Finding]:
    """Pairs of rows that ask the same question, up to its layout; of one sequence with itself, each pair once."""
    is_itself = first is second
    by_text: dict[str, list[Row]] = defaultdict(list)
    for row in first:
        by_text[normalized_question(row.question)].append(row)
    return [
        {"index": int(row.question_id), "other_index": int(other.question_id), "question": other.question}
        for other in second
        for row in by_text[normalized_question(other.question)]
        if not is_itself or int(row.question_id) < int(other.question_id)
    ]


def normalized_question(question: str) -> str:
    r"""The text without what does not change the question: case, white space, dollar signs, LaTeX's spacing and sizes,
    braces around one sign, and punctuation that is not inside a number."""
    text = re.sub(r"\\(?:[,;:! ]|(?:left|right|displaystyle|quad|qquad)(?![a-zA-Z]))|[\s$?]", "", question)
    text = re.sub(r"\\[dt]frac", r"\\frac", text)
    text = re.sub(r"([\^_])\{(\w)\}", r"\1\2", text)
    return re.sub(r"[.,](?!\d)", "", text).casefold()


def write_report(folder: Path, task_name: str, findings: Mapping[str, Any]) -> Path:
    """Put a task's findings into the folder's report, beside those of other tasks, which stay."""
    path = folder / REPORT_NAME
    report: dict[str, Any] = {}
    if path.is_file():
        try:
            report = json.loads(path.read_text(encoding="utf-8"))
        except json.JSONDecodeError as error:
            raise ValueError(f"{path} is not a report of prepare_data.py ({error}). Move it away.") from None
    report[task_name] = findings
    write_whole(path, json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    return path
