"""The problems of a task, from local files or from the Hugging Face hub, counted and with their references corrected.

    load_rows("math500")                       the folder in VERL_EXT_DATA where it is set, else the hub
    load_rows("math", Path("data"), "train")   data/math_train.parquet

A local file is a copy of the data set's own rows: <name>_<split>.parquet or .jsonl. Those prepare_data.py writes for
verl are another thing, and are read with ``verl_ext.data.parquet``.
"""

import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from verl_ext.data.errata import ERRATA, question_digest
from verl_ext.data.table_file import read_table, rows_in
from verl_ext.host.command_line import typed_path
from verl_ext.tasks import Task, task_named
from verl_ext.tasks.task import SourceRow, Split

SETTING = "VERL_EXT_DATA"


@dataclass(frozen=True)
class Row:
    """A problem.

    Results are to be reported under the paper's references, too. They differ in the few corrected rows, which have a
    ``paper_reference``. It may be empty or broken, so that the grader refuses it: then no response is correct.
    """

    question_id: str
    """The row's place in its split, from 0."""
    messages: list[dict[str, str]]
    """One user message: the bare question."""
    ground_truth: str
    data_source: str
    level: str | None
    subject: str | None
    paper_reference: str | None = None
    """What the paper graded against, in a corrected row; elsewhere None, and ``ground_truth`` is the same answer."""
    also_right: tuple[str, ...] = ()
    """Other right answers to a question that asks for any one of several."""
    correction: str | None = None
    """Why ``ground_truth`` is not the paper's reference."""

    @property
    def question(self) -> str:
        return self.messages[0]["content"]


def load_rows(task_name: str, data_dir: str | Path | None = None, split: Split = "test") -> list[Row]:
    """All problems of a split.

    Args:
        task_name: As in ``verl_ext.tasks.task_named``.
        data_dir: Folder of local files. Without one the folder in the setting VERL_EXT_DATA, or else the hub.
        split: train or test.

    Raises:
        ValueError: The task or split is unknown, a folder is none, or the rows are not those that are expected.
        OSError: The file or the data set cannot be read.
    """
    task = task_named(task_name)
    source_rows, where = read_source(task, data_dir, split)
    return problems_of(task, source_rows, split, where)


def read_source(task: Task, data_dir: str | Path | None, split: Split) -> tuple[Sequence[SourceRow], str]:
    """The rows as the data set has them, counted, and where they come from, for messages."""
    if not task.num_rows:
        raise ValueError(
            f"{task.data_source} has no data set: make problems with scripts/prepare_data.py, and evaluate them with --data."
        )
    if split not in task.num_rows:
        raise ValueError(f"{task.data_source} has no split {split!r}, only {', '.join(task.num_rows)}.")
    folder = _source_folder(data_dir)
    rows, where = _read_hub(task, split) if folder is None else _read_folder(task, folder, split)
    expected = task.num_rows[split]
    if not rows or len(rows) != (expected or len(rows)):
        raise ValueError(
            f"{where} has {len(rows)} rows, expected {expected or 'some'}. Another version of the data set, or a part of it, "
            "gives results that cannot be compared: get the whole one."
        )
    return rows, where


def problems_of(task: Task, source_rows: Sequence[SourceRow], split: Split, where: str) -> list[Row]:
    """The problems of all rows, in their order."""
    return [_problem(task, row, split, index, where) for index, row in enumerate(source_rows)]


def _problem(task: Task, row: SourceRow, split: Split, index: int, where: str) -> Row:
    try:
        question = task.question_of(row)
        answer, level, subject = task.answer_of(row), task.level_of(row), task.subject_of(row)
    except KeyError as missing:
        raise ValueError(
            f"{where}, row {index}, has no field {missing.args[0]}, only {', '.join(row)}. These are not the rows of "
            f"{task.repo_id}. (Files made by prepare_data.py are for verl: give the folder they were made from.)"
        ) from None
    except ValueError as error:
        raise ValueError(f"{where}, row {index}, {error} Get the data set again, or fix the row.") from None
    if not question.strip():
        raise ValueError(f"{where}, row {index}, has an empty question. Get the data set again, or fix the row.")
    erratum = ERRATA.get(task.data_source, {}).get((split, index))
    if erratum is not None and erratum.question_digest != question_digest(question):
        raise ValueError(
            f"{where}, row {index}, is not the question whose reference verl_ext.data.errata corrects, but: {question[:80]!r}. "
            f"The rows must be those of {task.repo_id}, in their order."
        )
    return Row(
        question_id=str(index),
        messages=[{"role": "user", "content": question}],
        ground_truth=answer if erratum is None else erratum.reference,
        data_source=task.data_source,
        level=level,
        subject=subject,
        paper_reference=None if erratum is None else erratum.paper_reference,
        also_right=() if erratum is None else erratum.also_right,
        correction=None if erratum is None else erratum.why,
    )


def _source_folder(data_dir: str | Path | None) -> Path | None:
    named = data_dir if data_dir is not None else os.environ.get(SETTING)
    if not named:
        return None
    folder = typed_path(named)
    if not folder.is_dir():
        origin = "The data folder" if data_dir is not None else f"{SETTING}, the data folder,"
        raise ValueError(
            f"{origin} {named} is not a folder. Name a folder that has the data sets' files, or leave it out to use the hub."
        )
    return folder


def _read_folder(task: Task, folder: Path, split: Split) -> tuple[list[dict[str, Any]], str]:
    names = [f"{task.file_stem}_{split}{suffix}" for suffix in (".parquet", ".jsonl")]
    path = next((folder / name for name in names if (folder / name).is_file()), None)
    if path is None:
        raise FileNotFoundError(
            f"There is no {names[0]} or {names[1]} in {folder}. Copy {task.repo_id} there, or leave the folder (and "
            f"{SETTING}) out to download it from the Hugging Face hub."
        )
    return (_read_parquet if path.suffix == ".parquet" else _read_json_lines)(path), str(path)


def _read_parquet(path: Path) -> list[dict[str, Any]]:
    return rows_in(path, read_table(path))


def _read_json_lines(path: Path) -> list[dict[str, Any]]:
    rows = []
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                # A number that a float would round stays as it is spelled.
                row = json.loads(line, parse_float=_float_or_spelling)
            except ValueError as error:
                raise ValueError(f"{path}, line {number}, is not JSON: {error}.") from None
            if not isinstance(row, dict):
                raise ValueError(f"{path}, line {number}, is not a JSON object.")
            rows.append(row)
    return rows


def _float_or_spelling(text: str) -> float | str:
    value = float(text)
    return value if math.isfinite(value) and Decimal(repr(value)) == Decimal(text) else text


def _read_hub(task: Task, split: Split) -> tuple[list[dict[str, Any]], str]:
    from datasets import load_dataset  # takes a second; only needed here

    where = f"{task.repo_id}@{task.revision}"
    try:
        rows = load_dataset(
            task.repo_id, task.config, split=task.hub_splits.get(split, split), revision=task.revision
        ).to_list()
    except (OSError, ValueError) as error:
        raise OSError(
            f"{where} could not be read from the Hugging Face hub: {error}. Without a network, give a folder with "
            f"{task.file_stem}_{split}.parquet or .jsonl (--data_dir, or {SETTING})."
        ) from error
    return rows, where
