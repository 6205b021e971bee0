"""From llama.cpp's ``.gguf`` file, quantized or not, to a float32 folder that transformers, vLLM and verl load.

transformers reads the weights. Its tokenizer of such a file has three faults, which are put right here, since they decide
where an answer ends and how a number is read: the end-of-text token is the beginning one, there is no padding token, and
text is split as GPT-2 splits it, whatever the file says (put right where digits stand alone).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from gguf import GGUFReader
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers import __version__ as transformers_version
from transformers.tokenization_utils_base import VERY_LARGE_INTEGER
from transformers.utils import logging

FLOAT32_BYTES = 4
SPECIAL_TOKENS = {"bos_token": "bos", "eos_token": "eos", "unk_token": "unknown", "pad_token": "padding"}
"""A tokenizer's attribute -> the file's word for it, as in ``tokenizer.ggml.eos_token_id``."""
DIGIT_BY_DIGIT = frozenset({"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"})
"""Values of ``tokenizer.ggml.pre`` for which llama.cpp makes every digit a piece, and splits the rest as GPT-2 does."""


@dataclass(frozen=True)
class GgufFile:
    """What a file says about itself."""

    path: Path
    fields: dict[str, Any]
    """Its metadata, without lists."""
    num_parameters: int

    @property
    def architecture(self) -> str:
        return str(self.fields.get("general.architecture"))


def read(path: Path) -> GgufFile:
    """Read the head of a ``.gguf`` file.

    Raises:
        ValueError: It is no such file, was cut, or is one of several that belong together.
    """
    try:
        reader = GGUFReader(path)
    except (ValueError, IndexError, KeyError, OverflowError) as error:  # whatever damaged numbers lead to
        raise ValueError(f"{path} is not a whole .gguf file ({error}). Get it again.") from None
    fields = {name: field.contents() for name, field in reader.fields.items() if len(field.data) == 1}
    if fields.get("split.count", 1) > 1:
        raise ValueError(
            f"{path} is one of {fields['split.count']} parts of a model. Join them with llama-gguf-split --merge."
        )
    return GgufFile(path, fields, sum(int(tensor.n_elements) for tensor in reader.tensors))


def convert(file: GgufFile, folder: Path) -> None:
    """Write the model and its tokenizer into ``folder``.

    Raises:
        ValueError: transformers cannot read a model of this architecture, or the file lacks some of its weights.
        OSError: The tokenizer cannot be written.
    """
    model, tokenizer, found = _read_all(file)
    _check_complete(file, found)
    correct_tokenizer(tokenizer, file, max_length=longest_text(model.config, file))
    model.save_pretrained(folder)
    _save_tokenizer(tokenizer, folder)


def longest_text(config: Any, file: GgufFile) -> int:
    """Tokens of a text; not every architecture has it among its sizes (BLOOM)."""
    found = getattr(config, "max_position_embeddings", None) or file.fields.get(f"{file.architecture}.context_length")
    return int(found or VERY_LARGE_INTEGER)


def _read_all(file: GgufFile) -> tuple[Any, Any, dict[str, Any]]:
    """The model, its tokenizer, and how the tensors fitted, from this file alone.

    In the file's own folder transformers would take a tokenizer and settings that lie there for the file's, and the weights
    from a file of the same name in the working folder.
    """
    with TemporaryDirectory() as empty, _without_warnings():
        where = {"pretrained_model_name_or_path": empty, "gguf_file": str(file.path.absolute())}
        try:
            tokenizer = AutoTokenizer.from_pretrained(**where)
            model, found = AutoModelForCausalLM.from_pretrained(
                **where, dtype=torch.float32, output_loading_info=True, ignore_mismatched_sizes=True
            )
        except Exception as error:  # noqa: BLE001  whatever the metadata lead to: tokenizers raises nothing narrower
            said = " ".join(str(error).split())[:200] or type(error).__name__
            raise ValueError(
                f"transformers {transformers_version} cannot read {file.path.name}, whose architecture is {file.architecture}: "
                f"{said}"
            ) from None
    return model, tokenizer, found


def _save_tokenizer(tokenizer: Any, folder: Path) -> None:
    try:
        tokenizer.save_pretrained(folder)
    except Exception as error:
        if type(error) is not Exception:
            raise
        raise OSError(  # what an error of the file system becomes below tokenizers
            f"The tokenizer could not be written in {folder.parent}: {error}"
        ) from None


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Keep transformers' table of tensors that do not fit off the terminal: an error in one line follows it."""
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)


def _check_complete(file: GgufFile, found: dict[str, Any]) -> None:
    """Raise ValueError for tensors that transformers filled with random numbers."""
    if missing := sorted(found["missing_keys"]):
        raise ValueError(
            f"{file.path.name} lacks {len(missing)} of the model's tensors, such as {missing[0]}. Get it again."
        )
    if others := sorted(found["mismatched_keys"]):
        name, has, wants = others[0]
        raise ValueError(
            f"{file.path.name} does not fit what transformers {transformers_version} makes of the architecture "
            f"{file.architecture}: {len(others)} of its tensors, such as {name}, which is {list(has)} and not {list(wants)}. "
            "Convert the original model."
        )


def correct_tokenizer(tokenizer: Any, file: GgufFile, *, max_length: int) -> None:
    """Put right what transformers makes of a file's tokenizer.

    Raises:
        ValueError: The file's number of a special token is none of its vocabulary.
    """
    for attribute, word in SPECIAL_TOKENS.items():
        token_id = file.fields.get(f"tokenizer.ggml.{word}_token_id")
        if token_id is not None:
            if not 0 <= int(token_id) < len(tokenizer):
                raise ValueError(
                    f"{file.path.name} has {token_id} for its {attribute}, and {len(tokenizer):,} tokens. Convert the original model."
                )
            setattr(tokenizer, attribute, tokenizer.convert_ids_to_tokens(int(token_id)))
        tokenizer.init_kwargs.pop(f"{attribute}_id", None)  # a second, older word on the same
    if file.fields.get("tokenizer.ggml.pre") in DIGIT_BY_DIGIT:
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
    tokenizer.clean_up_tokenization_spaces = False
    tokenizer.model_max_length = max_length
