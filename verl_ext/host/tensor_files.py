"""What a file of tensors (safetensors) says of them, read in a moment, without loading any."""

import json
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
