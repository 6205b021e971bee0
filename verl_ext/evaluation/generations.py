"""The file of generations: a header line that says what was sampled, then a line per answer, appended as they come.

A line is ``question_id``, ``generation_id``, ``response`` and what the grader made of it. A sampler killed at any moment
leaves at most one cut line, which the next one removes; what is in the file is never sampled again.
"""

import json
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

HEADER_KIND = "header"


def read_done(path: Path) -> tuple[dict[str, Any] | None, dict[str, set[int]]]:
    """What the file already holds: its header and the generation ids per question id; nothing for a missing file.

    A last line without its newline was cut by a kill and is removed from the file.

    Raises:
        ValueError: A line is not a generation; names the file and the line.
    """
    done: dict[str, set[int]] = defaultdict(set)
    header = None
    if not path.exists():
        return None, done
    _drop_cut_line(path)
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                record = json.loads(line)
                if record.get("kind") == HEADER_KIND:
                    header = record
                else:
                    done[record["question_id"]].add(record["generation_id"])
            except (json.JSONDecodeError, AttributeError, KeyError) as error:
                raise ValueError(
                    f"{path}, line {number}, is not a generation (a JSON object with question_id and generation_id). "
                    "Delete the line, or sample into another file."
                ) from error
    return header, done


def _drop_cut_line(path: Path) -> None:
    with path.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        position = size
        while position > 0:
            start = max(0, position - 4096)
            file.seek(start)
            newline = file.read(position - start).rfind(b"\n")
            if newline >= 0:
                file.truncate(start + newline + 1)
                return
            position = start
        file.truncate(0)


def check_same_sampling(path: Path, header: Mapping[str, Any] | None, wanted: Mapping[str, Any]) -> None:
    """Refuse to add to a file that was sampled another way.

    Raises:
        ValueError: Names what differs.
    """
    if header is None:
        return
    differences = [
        f"{name} was {header.get(name)!r} and is {value!r}"
        for name, value in wanted.items()
        if header.get(name) != value
    ]
    if differences:
        raise ValueError(
            f"{path} was sampled differently: {'; '.join(differences)}. Choose another output file, or delete this one."
        )


class GenerationWriter:
    """Appends lines to a generations file; each ``write`` is on disk in whole lines when it returns."""

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        is_new = not path.exists() or path.stat().st_size == 0
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        if is_new:
            self.write([{"kind": HEADER_KIND, **header}])

    def write(self, records: Iterable[Mapping[str, Any]]) -> None:
        data = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()
        while data:
            data = data[os.write(self._descriptor, data) :]

    def close(self) -> None:
        os.fsync(self._descriptor)
        os.close(self._descriptor)
