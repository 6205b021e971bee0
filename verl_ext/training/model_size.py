"""How many parameters the model of a run has, read from the headers of its files in milliseconds."""

from typing import Any

from verl_ext.cpu.precision import parameters_in
from verl_ext.training.model_file import model_folder


def num_parameters(path: Any) -> int | None:
    """Numbers in the model's safetensors files; None where they are not here yet, are pickled, or cannot be read."""
    folder = model_folder(path)
    try:
        return None if folder is None else parameters_in(folder)
    except (ValueError, KeyError):  # no such file after all: whoever loads it says so
        return None
