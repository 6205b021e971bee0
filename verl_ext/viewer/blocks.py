"""Values as blocks of the page: JSON, compressed, in base64, which the browser unpacks when a reader comes to it."""

import json
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from typing import Any

CHUNK_CHARS = 1 << 18
"""Characters of JSON in a chunk: enough to compress well, and unpacked in a few milliseconds."""
_LEVEL = 6  # 9 takes twice as long and saves 1 %


def pack(json_text: str) -> str:
    """JSON as the text of a block."""
    return b64encode(zlib.compress(json_text.encode("ascii"), _LEVEL)).decode("ascii")


def as_json(value: Any) -> str:
    """A value as JSON in ASCII: half a pair of UTF-16 stays what it is, since browsers read it so.

    NaN and infinities, which no browser reads, are texts.
    """
    try:
        return _dumps(value)
    except ValueError:
        return _dumps(json.loads(json.dumps(value), parse_constant=str))


def _dumps(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


class Chunks:
    """Values one after the other, packed into blocks of at least ``CHUNK_CHARS`` characters, but for the last."""

    def __init__(self, add: Callable[[str], int]) -> None:
        """``add`` takes the text of a block and returns its number."""
        self._add = add
        self._waiting: list[str] = []
        self._num_chars = 0
        self._num_values = 0
        self.numbers: list[int] = []
        """Of the blocks."""
        self.starts: list[int] = []
        """The place of each block's first value."""

    def put(self, value: Any) -> None:
        text = as_json(value)
        if not self._waiting:
            self.starts.append(self._num_values)
        self._waiting.append(text)
        self._num_values += 1
        self._num_chars += len(text)
        if self._num_chars >= CHUNK_CHARS:
            self.close()

    def close(self) -> None:
        """Pack what is left."""
        if self._waiting:
            self.numbers.append(self._add(pack(f"[{','.join(self._waiting)}]")))
        self._waiting, self._num_chars = [], 0

    def as_json(self) -> dict[str, list[int]]:
        """Where which value is."""
        return {"blocks": self.numbers, "starts": self.starts}


def elements(blocks: Iterable[str]) -> Iterator[str]:
    """The blocks as elements of the page: base64 holds no character that could end one."""
    for number, block in enumerate(blocks):
        yield f'<script type="text/plain" id="block{number}">{block}</script>\n'
