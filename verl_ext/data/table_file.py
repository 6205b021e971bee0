"""Tables of rows from files, parquet or JSON lines: damage is one error that names the file."""

import re
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.json
import pyarrow.parquet

JSON_ENDINGS = (".json", ".jsonl")
MAX_DEPTH = 256
"""Of lists and objects in each other: at some thousands the C++ reader that verl uses, too, ends the process."""
_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*+"')
_NOT_BRACKETS = re.compile(rb"[^][{}]+")
_STEP = {byte: 1 if byte in b"[{" else -1 for byte in b"[{]}"}


def read_table(path: Path) -> pa.Table:
    """All of a file, its texts and offsets looked at.

    Raises:
        ValueError: It cannot be read, is cut or is damaged.
    """
    if path.suffix in JSON_ENDINGS:
        _refuse_deep_lines(path)
    try:
        # Open files: pyarrow takes a name that is UTF-8 only.
        with path.open("rb") as file:
            table = (pyarrow.json.read_json if path.suffix in JSON_ENDINGS else pyarrow.parquet.read_table)(file)
        table.validate(full=True)  # of a damaged file columns are read whose texts are none
    except (
        pa.ArrowException,
        OSError,
        ValueError,
    ) as error:  # for damaged pages and for names of columns that are none
        raise _unreadable(path, error) from None
    return table


def _refuse_deep_lines(path: Path) -> None:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.count(b"[") + line.count(b"{") > MAX_DEPTH and _depth(line) > MAX_DEPTH:
                raise ValueError(
                    f"{path}, line {number}, has lists and objects nested deeper than {MAX_DEPTH}. Fix or delete the line."
                )


def _depth(line: bytes) -> int:
    brackets = _NOT_BRACKETS.sub(b"", _TEXT.sub(b"", line))
    return max(accumulate(_STEP[byte] for byte in brackets), default=0)


def rows_in(path: Path, table: pa.Table) -> list[dict[str, Any]]:
    """The rows of ``table``, which was read from ``path``; raises ValueError for a value that Python has no type for."""
    try:
        rows: list[dict[str, Any]] = table.to_pylist()
    except (pa.ArrowException, ValueError, OverflowError) as error:  # a time after the year 9999, say
        raise _unreadable(path, error) from None
    return rows


def _unreadable(path: Path, error: Exception) -> ValueError:
    reason = " ".join(str(error).split()).rstrip(".")
    return ValueError(
        f"{path} cannot be read as {path.suffix or 'parquet'}: {reason}. Copy it again, or make it again."
    )
