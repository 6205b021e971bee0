"""What a file of tensors (safetensors) says of them, read in a moment, without loading any."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def tensors_in(file: Path) -> dict[str, dict[str, Any]]:
    """Name -> ``dtype``, ``shape`` and ``data_offsets`` of each tensor.

    Raises:
        ValueError: It is no such file, or the beginning of one.
    """
    with file.open("rb") as opened:
        size = int.from_bytes(opened.read(8), "little")
        try:
            if size > file.stat().st_size:
                raise ValueError(f"a header of {size} bytes")
            header = json.loads(opened.read(size))
            return {name: tensor for name, tensor in header.items() if name != "__metadata__"}
        except (ValueError, AttributeError) as error:
            raise ValueError(f"{file} is no file of tensors ({error}). Copy the model again.") from None


NUM_PIECES, PIECE_BYTES = 16, 1 << 16
TENSOR_BYTES = 1 << 12


def pieces_of(file: Path) -> Iterator[bytes]:
    """Some of a file's bytes, by which two versions of a model differ: of every tensor its first and its middle ones.

    Of a file that is no safetensors: ``NUM_PIECES`` pieces, the first and the last among them.
    """
    size = file.stat().st_size
    yield f"{file.name} {size}".encode()
    try:
        tensors = tensors_in(file) if file.suffix == ".safetensors" else {}
        places = sorted(tuple(tensor["data_offsets"]) for tensor in tensors.values())
    except (ValueError, KeyError, TypeError):
        places = []
    with file.open("rb") as opened:
        if not places:
            for piece in range(NUM_PIECES):
                opened.seek(piece * max(0, size - PIECE_BYTES) // (NUM_PIECES - 1))
                yield opened.read(PIECE_BYTES)
            return
        begin = 8 + int.from_bytes(opened.read(8), "little")
        for first, end in places:
            for place in (first, (first + end) // 2):
                opened.seek(begin + place)
                yield opened.read(min(TENSOR_BYTES, end - place))
