"""From llama.cpp's ``.gguf`` file, quantized or not, to a float32 folder that transformers, vLLM and verl load.

transformers reads the weights. Its tokenizer of such a file has three faults, which are put right here, since they decide
where an answer ends and how a number is read: the end-of-text token is the beginning one, there is no padding token, and
text is split as GPT-2 splits it, whatever the file says (put right where digits stand alone).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from gguf import GGUFReader
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers import __version__ as transformers_version

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
    """
    where = {"pretrained_model_name_or_path": str(file.path.parent), "gguf_file": file.path.name}
    try:
        tokenizer = AutoTokenizer.from_pretrained(**where)
        model, found = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32, output_loading_info=True)
    except (ValueError, KeyError, NotImplementedError) as error:
        raise ValueError(
            f"transformers {transformers_version} cannot read {file.path.name}, whose architecture is {file.architecture}: "
            f"{' '.join(str(error).split())[:200]}"
        ) from None
    if found["missing_keys"] or found["mismatched_keys"]:
        # transformers fills them with random numbers
        missing = sorted(str(key) for key in (*found["missing_keys"], *found["mismatched_keys"]))
        raise ValueError(
            f"{file.path.name} lacks {len(missing)} of the model's tensors, such as {missing[0]}. Get it again."
        )
    correct_tokenizer(tokenizer, file, max_length=model.config.max_position_embeddings)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def correct_tokenizer(tokenizer: Any, file: GgufFile, *, max_length: int) -> None:
    """Put right what transformers makes of a file's tokenizer."""
    for attribute, word in SPECIAL_TOKENS.items():
        token_id = file.fields.get(f"tokenizer.ggml.{word}_token_id")
        if token_id is not None:
            setattr(tokenizer, attribute, tokenizer.convert_ids_to_tokens(int(token_id)))
        tokenizer.init_kwargs.pop(f"{attribute}_id", None)  # a second, older word on the same
    if file.fields.get("tokenizer.ggml.pre") in DIGIT_BY_DIGIT:
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
    tokenizer.clean_up_tokenization_spaces = False
    tokenizer.model_max_length = max_length
