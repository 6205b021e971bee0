"""Read a file with one JSON object per line, plain or compressed by gzip or zstd, whatever it is called."""

import gzip
import io
import json
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import orjson

_BUFFER_BYTES = 1 << 18  # twice as fast as Python's default
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_GZIP_MARK = b"\x1f\x8b"  # no text in UTF-8 starts with it, nor with the next
_ZSTD_MARK = b"\x28\xb5\x2f\xfd"
_REMEDY = "Decompress what can be read into a .jsonl file, and measure that with --skip_bad_lines."


def read_objects(path: Path) -> Iterator[tuple[int, dict[str, Any] | None, bytes]]:
    """Yield (number of the line from 1, its object, its text); blank lines are left out.

    The object is None for a line that is not a JSON object in UTF-8. It is that of ``json.loads``, but for integers
    beyond 64 bits, which are floats: ``decode_exactly`` of the text has them.

    Raises:
        ValueError: See ``read_lines``.
    """
    for number, line in enumerate(read_lines(path), start=1):
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError:
            record = decode_exactly(line)
            if record is None and not line.strip():
                continue
        yield number, record if type(record) is dict else None, line


def decode_exactly(line: bytes) -> dict[str, Any] | None:
    """The object on a line, by the standard library; None where there is none.

    It takes what orjson refuses: NaN, infinities, and halves of UTF-16 pairs written as escapes.
    """
    try:
        record = json.loads(line.decode())
    except (ValueError, RecursionError):
        return None
    return record if type(record) is dict else None


def read_lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file, with their newlines and without a byte order mark, in memory for a few lines.

    Raises:
        ValueError: The file is compressed, and cut or damaged.
    """
    with path.open("rb", buffering=_BUFFER_BYTES) as file:
        head = file.read(len(_ZSTD_MARK))
        file.seek(0)
        if head.startswith(_GZIP_MARK):
            lines: Iterator[bytes] = _gunzipped(path, file)
        elif head.startswith(_ZSTD_MARK):
            lines = _unzstd(path, file)
        else:
            lines = file
        yield from (line.removeprefix(_BYTE_ORDER_MARK) for line in islice(lines, 1))
        yield from lines


def _gunzipped(path: Path, file: BinaryIO) -> Iterator[bytes]:
    try:
        with gzip.open(file) as lines:
            yield from lines
    except EOFError as error:
        raise ValueError(f"{path} is cut, or is still being written. {_REMEDY}") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} is damaged ({error}). {_REMEDY}") from error


def _unzstd(path: Path, file: BinaryIO) -> Iterator[bytes]:
    import pyarrow  # takes longer to load than most files to read

    try:
        with pyarrow.CompressedInputStream(pyarrow.PythonFile(file), "zstd") as stream:
            yield from io.BufferedReader(stream, _BUFFER_BYTES)
    except OSError as error:
        raise ValueError(f"{path} is damaged or cut ({error}). {_REMEDY}") from error
