"""The labels of a generations file beside it, ``<file>.labels.npz``: kilobytes instead of gigabytes to read.

``write_labels`` makes it from a finished file, ``read_labels`` gives the same counts as ``read_generations`` in
milliseconds. It holds the size and the time of the last change of the file it was made from, and is refused once they
differ. Shapes: P = problems, N = the most samples of a problem; a problem with fewer has ``MISSING`` in its last columns.

    labels   (P, N) int8    1 correct, 0 not, -1 missing
    strict   (P, N) int8    the same by ``STRICT_TIERS`` alone; (0, 0) where a correct answer does not name its tier
    answers  (P, N) uint    equal within a problem where ``pred_answer`` is; 0 for none and for missing
    facts    (bytes,) uint8 JSON: question ids, references, level and subject, reasons, headers, and of which file

Columns are in the order of generation ids if all are integers, else in the order of the lines.
"""

import json
import os
import zipfile
import zlib
from array import array
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from verl_ext.host.command_line import shown
from verl_ext.host.files import replacing
from verl_ext.metrics.counter import (
    STRICT_TIERS,
    AnswerCounter,
    ConstantFields,
    ProblemCounts,
    answer_in,
    count_answers,
)
from verl_ext.metrics.generations import LABELS_ENDING, Generations, read_generations, stem
from verl_ext.metrics.pass_at_k import IntArray

MISSING = -1
GROUP_FIELDS = ("level", "subject", "type", "task", "data_source")
"""Kept for grouping where every line of the file has one and it is the same throughout a problem."""

_FORMAT = 1
_MOST_INT64 = (1 << 63) - 1


class UnusableLabels(ValueError):
    """A label file that says nothing about its generations file as it is now; the message says why."""


def labels_path(generations_path: Path) -> Path:
    """Where the label file of a generations file is."""
    return generations_path.with_name(generations_path.name + LABELS_ENDING)


def write_labels(generations_path: Path) -> Path:
    """Read a finished generations file once and write its label file, whole or not at all; returns where it is.

    Raises:
        ValueError: The file cannot be counted (see ``read_generations``), or changed while it was read.
    """
    before = generations_path.stat()
    labels = _Labels()
    counter = AnswerCounter(generations_path, on_answer=labels.add)
    count_answers(generations_path, counter)
    after = generations_path.stat()
    if _stamp(before) != _stamp(after):
        raise ValueError(
            f"{generations_path} changed while it was read: write its labels when nothing is added to it any more."
        )
    problems = list(counter.problems.values())
    num_samples_P = [problem.num_samples for problem in problems]
    order, rows, columns = labels.places(num_samples_P)
    shape = (len(problems), max(num_samples_P))
    facts = {
        "format": _FORMAT,
        **_stamp(after),
        "question_ids": list(counter.problems),
        "references": [problem.reference for problem in problems],
        "groups": {field: list(map(str, values)) for field, values in labels.constant_fields.values.items()},
        "reasons": counter.reasons,
        "headers": counter.headers,
    }
    arrays = {
        "labels": _table(shape, rows, columns, np.array(labels.labels, dtype=np.int8)[order], MISSING),
        "strict": (
            _table(shape, rows, columns, np.array(labels.strict_labels, dtype=np.int8)[order], MISSING)
            if counter.has_strict_labels
            else np.zeros((0, 0), dtype=np.int8)
        ),
        "answers": _table(shape, rows, columns, _narrow(np.array(labels.answer_ids, dtype=np.int64)[order]), 0),
        "facts": np.frombuffer(json.dumps(facts).encode(), dtype=np.uint8),
    }
    target = labels_path(generations_path)
    with replacing(target) as unfinished, unfinished.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
        file.flush()
        os.fsync(file.fileno())
    return target


def read_labels(
    generations_path: Path,
    *,
    name: str | None = None,
    by: Sequence[str] = (),
    by_if_constant: Sequence[str] = (),
    with_answers: bool = False,
) -> Generations:
    """The counts of a generations file, from its label file.

    Arguments as in ``read_generations``, ``by_if_constant`` from ``GROUP_FIELDS``. ``answers`` are numbered instead of
    spelled out.

    Raises:
        UnusableLabels: The label file is of another state of the generations file, damaged, or lacks a field of ``by``.
    """
    path = labels_path(generations_path)
    facts, arrays = _load(path)
    if facts["format"] != _FORMAT:
        raise UnusableLabels(f"{path} is of another version of this package")
    if any(facts[name] != value for name, value in _stamp(generations_path.stat()).items()):
        raise UnusableLabels(f"{path} was made from another state of {generations_path} (its size or time differs)")
    for field in by:
        if field not in facts["groups"]:
            raise UnusableLabels(f"{path} does not hold {field} (it holds {', '.join(facts['groups']) or 'no field'})")
    labels_PN, strict_PN, answers_PN = arrays["labels"], arrays["strict"], arrays["answers"]
    return Generations(
        name=shown(stem(generations_path) if name is None else name),
        path=shown(generations_path),
        question_ids=[str(question_id) for question_id in facts["question_ids"]],
        num_samples_P=(labels_PN != MISSING).sum(axis=1),
        num_correct_P=(labels_PN == 1).sum(axis=1),
        num_strict_P=(strict_PN == 1).sum(axis=1) if strict_PN.size else None,
        references=facts["references"],
        groups={field: facts["groups"][field] for field in (*by, *by_if_constant) if field in facts["groups"]},
        answers=_counts(answers_PN) if with_answers else None,
        correct_answers=_counts(np.where(labels_PN == 1, answers_PN, 0)) if with_answers else None,
        reasons=facts["reasons"],
        headers=facts["headers"],
        counted_from=shown(path),
    )


def left_aside(reason: UnusableLabels) -> str:
    """What a command prints of a label file that it does not use."""
    return f"Note: {reason}. It is left aside, and the answers themselves are read."


def read_counts(
    generations_path: Path,
    *,
    name: str | None = None,
    by: Sequence[str] = (),
    by_if_constant: Sequence[str] = (),
    with_answers: bool = False,
    skip_bad_lines: bool = False,
    verdict: str | None = None,
    on_unusable: Callable[[UnusableLabels], None],
) -> Generations:
    """The counts of a generations file: from its label file where that is there and belongs to it, else from its lines.

    Arguments as in ``read_generations``; ``on_unusable`` is told why a label file that is there is left aside.
    """
    if verdict is None and labels_path(generations_path).exists():
        try:
            return read_labels(
                generations_path, name=name, by=by, by_if_constant=by_if_constant, with_answers=with_answers
            )
        except UnusableLabels as reason:
            on_unusable(reason)
    return read_generations(
        generations_path,
        name=name,
        by=by,
        by_if_constant=by_if_constant,
        with_answers=with_answers,
        skip_bad_lines=skip_bad_lines,
        verdict=verdict,
    )


class _Labels:
    """Every answer's label, not only their number: about 20 bytes an answer."""

    def __init__(self) -> None:
        self.rows = array("q")
        self.generation_ids: array[int] | None = array("q")
        """None where one of them is no integer of 64 bits."""
        self.labels = array("b")
        self.strict_labels = array("b")
        self.answer_ids = array("q")
        self.constant_fields = ConstantFields(GROUP_FIELDS)
        self._id_of_answer: list[dict[str, int]] = []

    def add(self, problem: ProblemCounts, record: Mapping[str, Any]) -> None:
        """Note the answer that ``problem`` was just counted with."""
        row = problem.index
        if row == len(self._id_of_answer):
            self._id_of_answer.append({})
        is_correct = bool(record["label"])
        self.rows.append(row)
        self.labels.append(is_correct)
        self.strict_labels.append(is_correct and record.get("tier") in STRICT_TIERS)
        ids = self._id_of_answer[row]
        answer = answer_in(record)
        self.answer_ids.append(ids.setdefault(answer, len(ids) + 1) if answer else 0)
        self._note_generation_id(record.get("generation_id"))
        self.constant_fields.note(row, record)

    def _note_generation_id(self, generation_id: Any) -> None:
        if type(generation_id) is not int or not -_MOST_INT64 <= generation_id <= _MOST_INT64:
            self.generation_ids = None
        elif self.generation_ids is not None:
            self.generation_ids.append(generation_id)

    def places(self, num_samples_P: Sequence[int]) -> tuple[IntArray, IntArray, IntArray]:
        """In which order the answers go into a table by problem, and the row and the column of each."""
        rows = np.array(self.rows, dtype=np.int64)
        if self.generation_ids is None:
            order = np.argsort(rows, kind="stable")
        else:
            order = np.lexsort((np.array(self.generation_ids, dtype=np.int64), rows))
        first_P = np.cumsum([0, *num_samples_P[:-1]])
        return order, rows[order], np.arange(len(rows)) - first_P[rows[order]]


def _stamp(stat: os.stat_result) -> dict[str, int]:
    return {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns}


def _table(
    shape: tuple[int, int], rows: IntArray, columns: IntArray, values: npt.NDArray[Any], missing: int
) -> npt.NDArray[Any]:
    table_PN = np.full(shape, missing, dtype=values.dtype)
    table_PN[rows, columns] = values
    return table_PN


def _narrow(values: IntArray) -> npt.NDArray[Any]:
    return values.astype(np.min_scalar_type(int(values.max(initial=0))))


def _counts(ids_PN: npt.NDArray[Any]) -> list[dict[str, int]]:
    """How often each answer was given, per problem."""
    return [dict(Counter(str(answer) for answer in row if answer)) for row in ids_PN.tolist()]


def _load(path: Path) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    try:
        # numpy leaves a file open that it cannot read as an archive.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in ("labels", "strict", "answers", "facts")}
        facts = json.loads(arrays["facts"].tobytes())
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise UnusableLabels(f"{path} cannot be read ({error})") from error
    return facts, arrays
