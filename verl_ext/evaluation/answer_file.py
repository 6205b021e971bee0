"""The file of generations: a line per answer, appended as they come, and never two of one (question_id, generation_id).

A sampler killed at any moment leaves at most one cut line, which the next one removes; what is in the file is never
sampled again. A finished file may be packed (``.zst`` or ``.gz``); to draw more answers it is unpacked again. While both
are there the plain file is the one that counts: it holds all that the packed one does.
"""

import fcntl
import gzip
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pyarrow

from verl_ext.host.files import replacing
from verl_ext.metrics.json_lines import decode_exactly, read_lines, read_objects
from verl_ext.metrics.side_file import PACKED_ENDINGS, plain_path

HEADER_KIND = "header"
_PIECE_BYTES = 1 << 20


@dataclass
class Done:
    """What a file of generations holds."""

    generation_ids: dict[str, set[int]] = field(default_factory=dict)
    """By question id."""
    num_correct: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)

    def add(self, question_id: str, generation_id: int, is_correct: bool, reason: str) -> bool:
        """Count an answer; False where it is there already."""
        ids = self.generation_ids.setdefault(question_id, set())
        if generation_id in ids:
            return False
        ids.add(generation_id)
        self.num_correct[question_id] = self.num_correct.get(question_id, 0) + is_correct
        self.reasons[reason] = self.reasons.get(reason, 0) + 1
        return True

    @property
    def num_answers(self) -> int:
        return sum(map(len, self.generation_ids.values()))


def existing_path(path: Path) -> Path | None:
    """Which of the plain and the packed file there is; the plain one counts."""
    plain = plain_path(path)
    candidates = (plain, *(plain.with_name(plain.name + ending) for ending in PACKED_ENDINGS))
    return next((candidate for candidate in candidates if candidate.exists()), None)


def read_done(path: Path) -> Done:
    """What the file already holds; nothing for a missing file.

    Raises:
        ValueError: A line is not a generation, or comes twice; names the file and the line.
    """
    done = Done()
    if not path.exists():
        return done
    for number, record, _ in read_objects(path):
        if record is not None and record.get("kind") == HEADER_KIND:
            continue
        fields = record or {}
        question_id, generation_id, label = (fields.get(name) for name in ("question_id", "generation_id", "label"))
        if type(question_id) is not str or type(generation_id) is not int or label not in (True, False):
            raise ValueError(
                f"{path}, line {number}, is not a generation (a JSON object with question_id, generation_id and label). "
                "Delete the line, or sample into another file."
            )
        if not done.add(question_id, generation_id, bool(label), str(fields.get("reason"))):
            raise ValueError(
                f"{path}, line {number}, repeats question_id {question_id!r}, generation_id {generation_id}. "
                "Delete one of the lines."
            )
    return done


def drop_cut_line(path: Path) -> int:
    """Remove a last line without its newline, which a kill has cut, and return how many bytes went."""
    with path.open("rb+") as file:
        size = position = file.seek(0, os.SEEK_END)
        while position > 0:
            start = max(0, position - 4096)
            file.seek(start)
            newline = file.read(position - start).rfind(b"\n")
            if newline >= 0:
                file.truncate(start + newline + 1)
                return size - (start + newline + 1)
            position = start
        file.truncate(0)
        return size


def line_of(record: Mapping[str, Any]) -> bytes:
    """A record as its line."""
    try:
        return orjson.dumps(record) + b"\n"
    except TypeError:  # a lone surrogate, which a server may send and UTF-8 cannot hold
        return json.dumps(record).encode() + b"\n"


class GenerationWriter:
    """Appends lines to a generations file; each ``write`` is on disk in whole lines when it returns.

    Nobody else can append meanwhile: the file is locked, and the lock ends with the process, however that ends.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._descriptor)
            raise ValueError(
                f"{path} is being written by another evaluation. Wait for it, or sample into another file."
            ) from None
        drop_cut_line(path)

    def write(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Append the lines; raises OSError, with the file's name, where there is no room for them."""
        data = b"".join(map(line_of, records))
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError as error:
            raise OSError(
                f"{self.path} cannot be written: {error.strerror}. The answers before are in it: make room, and run the same "
                "command again to go on."
            ) from error

    def close(self) -> None:
        """Leave the file, or none where there is nothing in it."""
        os.fsync(self._descriptor)
        if os.fstat(self._descriptor).st_size == 0:
            self.path.unlink()
        os.close(self._descriptor)


def unpack(path: Path) -> None:
    """Make the plain file from a packed one, unless it is there."""
    plain = plain_path(path)
    packed = existing_path(path)
    if packed is None or packed == plain:
        return
    with replacing(plain) as unfinished, unfinished.open("wb") as target:
        target.writelines(read_lines(packed))
    packed.unlink()


def pack(path: Path, kind: str) -> Path:
    """Replace the plain file by one packed as ``kind`` (zst or gz), whole or not at all; returns where it is."""
    plain = plain_path(path)
    target = plain.with_name(f"{plain.name}.{kind}")
    with replacing(target) as unfinished, plain.open("rb") as source, create_lines(unfinished, target.suffix) as packed:
        shutil.copyfileobj(source, packed, _PIECE_BYTES)
    plain.unlink()
    return target


def create_lines(path: Path, ending: str) -> Any:
    """A stream of bytes into a new file, packed as the ending ``.gz`` or ``.zst`` says; plain for any other."""
    if ending == ".gz":
        return gzip.open(path, "wb", compresslevel=6)
    if ending == ".zst":
        return pyarrow.output_stream(path.open("wb"), compression="zstd")
    return path.open("wb")


def read_records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Every line as (line number, record), whole.

    Raises:
        ValueError: A line is not a JSON object; names the file and the line.
    """
    for number, line in enumerate(read_lines(path), start=1):
        record = decode_exactly(line)
        if record is None:
            raise ValueError(f"{path}, line {number}, is not a JSON object. Correct or delete the line.")
        yield number, record


def read_starting_with(path: Path, starts: tuple[bytes, ...]) -> Iterator[dict[str, Any]]:
    """The records of the lines that begin with one of ``starts``."""
    return (json.loads(line) for line in read_lines(path) if line.startswith(starts))
