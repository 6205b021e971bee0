"""What a file of tensors (safetensors) says of them, read in a moment, without loading any."""

import json
from collections.abc import Iterator, Mapping, Sequence
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


EXPONENTS = {
    "F64": ("<u8", 0x7FF << 52),
    "F32": ("<u4", 0xFF << 23),
    "BF16": ("<u2", 0xFF << 7),
    "F16": ("<u2", 0x1F << 10),
}
"""Name of a floating type -> its size as an integer's, and the bits that NaN and the infinities alone have all set."""
LOOKED_AT_BYTES = 1 << 30
"""Read in a moment; what more a model has is not looked at."""
_NUMBERS_AT_ONCE = 1 << 18
_COPY = "Copy the model again, or take an earlier checkpoint"


def check_tensors(files: Sequence[Path], most_bytes: int = LOOKED_AT_BYTES) -> None:
    """Look whether files of tensors are whole, and where they are ``most_bytes`` at most, whether every number is finite.

    A mask is left out, which may hold infinities.

    Raises:
        ValueError: One is cut, or holds NaN or an infinity: whatever the model is asked, it answers nothing.
    """
    is_looked_at = sum(file.stat().st_size for file in files) <= most_bytes
    for file in files:
        tensors = tensors_in(file)
        size = file.stat().st_size
        begin = _begin(file)
        needed = begin + max((_places(file, tensor)[1] for tensor in tensors.values()), default=0)
        if needed > size:
            raise ValueError(f"{file} is cut: it has {size:,} of {needed:,} bytes. {_COPY}.")
        for name, tensor in tensors.items():
            if is_looked_at and "mask" not in name and (index := _first_not_finite(file, begin, tensor)) is not None:
                raise ValueError(
                    f"{file} holds NaN or an infinity in {name}, first at its number {index:,}: every answer of such a model is "
                    f"noise. {_COPY}."
                )


def _begin(file: Path) -> int:
    with file.open("rb") as opened:
        return 8 + int.from_bytes(opened.read(8), "little")


def _places(file: Path, tensor: Mapping[str, Any]) -> tuple[int, int]:
    try:
        first, end = map(int, tensor["data_offsets"])
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{file} is no file of tensors (no data_offsets). {_COPY}.") from None
    return first, end


def _first_not_finite(file: Path, begin: int, tensor: Mapping[str, Any]) -> int | None:
    """Of a tensor's numbers; None where all are finite, or are of a type without a place for others."""
    if tensor.get("dtype") not in EXPONENTS:
        return None
    import numpy as np

    kind, exponent = EXPONENTS[tensor["dtype"]]
    first, end = _places(file, tensor)
    count = (end - first) // np.dtype(kind).itemsize
    numbers = np.memmap(file, kind, "r", begin + first, (count,)) if count > 0 else np.empty(0, kind)
    for start in range(0, count, _NUMBERS_AT_ONCE):
        is_wrong = (numbers[start : start + _NUMBERS_AT_ONCE] & exponent) == exponent
        if is_wrong.any():
            return start + int(is_wrong.argmax())
    return None


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
        begin = _begin(file)
        for first, end in places:
            for place in (first, (first + end) // 2):
                opened.seek(begin + place)
                yield opened.read(min(TENSOR_BYTES, end - place))
