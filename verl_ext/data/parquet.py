"""Read, write and check the files that verl trains on, without torch or verl and in about a second."""

import json
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from verl_ext.data.rows import COLUMNS, VerlRow, row_fault
from verl_ext.data.table_file import JSON_ENDINGS, read_table, rows_in
from verl_ext.host.files import replacing
from verl_ext.tasks.table import DATA_SOURCES, SHOWN_DATA_SOURCES

_INT64_CHARS = len(str(-(2**63)))
READ_COLUMNS = (*COLUMNS, "extra_info", "agent_name")
OWN_PROBLEMS = "docs/data-and-tasks.md#your-own-problems"
REMEDY = f"Make the file again with scripts/prepare_data.py, or fix the row. {OWN_PROBLEMS} shows one."


def write_rows(rows: Sequence[VerlRow], path: str | Path) -> None:
    """Write ``rows`` so that ``path`` holds either all of them or what it held before."""
    write_files({Path(path): rows})


def write_checked(files: Mapping[Path, Sequence[VerlRow]]) -> None:
    """Write the files that belong together, once all their rows are known to be usable; else none of them.

    Raises:
        ValueError: A file would have no rows, or one that ``check_rows`` refuses.
    """
    for path, rows in files.items():
        if not rows:
            raise ValueError(f"{path} would have no rows, so nothing was written.")
        _refuse_faults(path, (row_fault(row, DATA_SOURCES) for row in rows), len(rows), "Nothing was written.")
    write_files(files)


def write_files(files: Mapping[Path, Sequence[VerlRow]]) -> None:
    """Write all files, and only then put them in their places: all of them or none."""
    with ExitStack() as places:
        for path, rows in files.items():
            with places.enter_context(replacing(path)).open("wb") as file:
                pyarrow.parquet.write_table(pa.Table.from_pylist(list(rows)), file)


def read_rows(path: str | Path) -> list[VerlRow]:
    """Read all rows of a parquet file, or of a file of JSON lines."""
    return rows_in(Path(path), _read_table(Path(path)))


def first_template(path: str | Path) -> str | None:
    """The prompt template that the first row says it was prepared with; None if it does not say."""
    rows = rows_in(Path(path), _read_table(Path(path)).slice(0, 1))
    extra_info = rows[0].get("extra_info") if rows else None
    template = extra_info.get("template") if isinstance(extra_info, Mapping) else None
    return template if isinstance(template, str) else None


def check_rows(
    path: str | Path,
    *,
    graded: Collection[str] = tuple(DATA_SOURCES),
    is_graded_here: bool = False,
    prompt_key: str = "prompt",
    also: Callable[[VerlRow], str | None] = lambda _row: None,
) -> int:
    """Check before a launch what verl would only find in the middle of a run, and return the number of rows.

    Args:
        path: A parquet file, or a file of JSON lines.
        graded: The data sources this package grades: their ground truths must be fit to grade against.
        is_graded_here: Also refuse a row of any other data source, because this package's reward will grade them all.
        prompt_key: The column of the prompts, verl's data.prompt_key.
        also: Says what else is wrong with a row that is right otherwise, of ``READ_COLUMNS``, or None.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file cannot be read, is empty or lacks a column, or a row cannot be used; the message names the
            file and the row, counted from 0.
    """
    path = Path(path)
    table = _read_table(path)
    needed = [prompt_key if column == "prompt" else column for column in COLUMNS]
    missing = [column for column in needed if column not in table.column_names]
    if missing:
        raise ValueError(
            f"{path} has no column {', '.join(missing)}, only {', '.join(table.column_names)}. "
            f"Make the file with scripts/prepare_data.py, or your own as {OWN_PROBLEMS} shows."
        )
    if table.num_rows == 0:
        raise ValueError(f"{path} has no rows. Make the file again with scripts/prepare_data.py.")
    columns = [*needed, *(name for name in READ_COLUMNS if name not in COLUMNS and name in table.column_names)]

    def faults() -> Iterator[str | None]:
        rounded = _rounded_ground_truths(path) if path.suffix in JSON_ENDINGS else {}
        for index, row in enumerate(rows_in(path, table.select(columns))):
            fault = rounded.get(index) or row_fault({**row, "prompt": row[prompt_key]}, graded)
            if fault is None and is_graded_here and row["data_source"] not in graded:
                fault = (
                    f"has the data_source {row['data_source']!r}, but there are only graders for {', '.join(SHOWN_DATA_SOURCES)}. "
                    "Name one of these data sources; a training run may also have a reward function of its own, "
                    "reward.custom_reward_function.path=FILE"
                )
            yield fault or also(row)

    _refuse_faults(path, faults(), table.num_rows, REMEDY)
    return int(table.num_rows)


def _refuse_faults(path: Path, faults: Iterator[str | None], num_rows: int, remedy: str) -> None:
    """Raise ValueError for the first fault of a row, with the number of rows that have one."""
    found = [(index, fault) for index, fault in enumerate(faults) if fault is not None]
    if found:
        index, fault = found[0]
        others = f" {len(found):,} of {num_rows:,} rows cannot be used." if len(found) > 1 else ""
        raise ValueError(f"{path}, row {index}, {fault.rstrip('.')}.{others} {remedy}")


def _rounded_ground_truths(path: Path) -> dict[int, str]:
    """What is wrong with rows whose ground truth is a number of more digits than verl's reader keeps, by row."""
    faults: dict[int, str] = {}
    index = 0
    for number, line in enumerate(path.read_bytes().split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line.decode("utf-8-sig"), parse_float=_float_or_digits, parse_int=_int_or_digits)
        except ValueError as error:
            raise ValueError(f"{path}, line {number}, is not a JSON object: {error}.") from None
        reward_model = row.get("reward_model") if isinstance(row, dict) else None
        digits = _first_digits(reward_model.get("ground_truth") if isinstance(reward_model, dict) else None)
        if digits is not None:
            faults[index] = (
                f"has the ground truth {digits.text:.80}, which is read as {float(digits.text)!r}: "
                "write it as a text, in quotes"
            )
        index += 1
    return faults


class _Digits:
    """A number as the file spells it, where reading it changes it."""

    def __init__(self, text: str) -> None:
        self.text = text


def _float_or_digits(text: str) -> float | _Digits:
    value = float(text)
    return value if math.isfinite(value) and Decimal(repr(value)) == Decimal(text) else _Digits(text)


def _int_or_digits(text: str) -> int | _Digits:
    # Python refuses to read thousands of digits
    is_read_exactly = len(text) <= _INT64_CHARS and -(2**63) <= int(text) < 2**63
    return int(text) if is_read_exactly else _Digits(text)


def _first_digits(value: Any) -> _Digits | None:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if isinstance(value, _Digits):
        return value
    return next((found for part in parts if (found := _first_digits(part)) is not None), None)


def _read_table(path: Path) -> pa.Table:
    if not path.is_file():
        raise FileNotFoundError(f"There is no data file {path}. Make it with scripts/prepare_data.py.")
    return read_table(path)
