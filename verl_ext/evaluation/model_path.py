"""From a model path of any kind to a folder that transformers and vLLM load.

python -m verl_ext.evaluation.model_path ACTOR_FOLDER    # merge FSDP shards, or a LoRA adapter with its base
"""

import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, TextIO

from verl_ext.evaluation.shards import LORA_FACTS, merge_shards
from verl_ext.host.command_line import typed_path
from verl_ext.host.files import read_object, remove_unfinished, replacing
from verl_ext.host.rank_files import fault_of_ranks, files_of_ranks
from verl_ext.host.tensor_files import pieces_of
from verl_ext.pretrained.hub import HUB_ID, download
from verl_ext.pretrained.weights import ADAPTER_WEIGHTS, weight_files

MERGED = "merged"
ADAPTER = "adapter_config.json"
TRACKER = "latest_checkpointed_iteration.txt"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "vocab.json", "tokenizer.model")


@dataclass(frozen=True)
class Model:
    """A model that is there, or can be made from what is there."""

    folder: Path
    """What vLLM loads; not there yet while ``to_merge`` is set."""
    config_folder: Path
    """Where its configuration and its tokenizer are."""
    to_merge: Path | None = None
    """The folder of shards or of an adapter that ``merge`` makes ``folder`` from."""

    @property
    def config(self) -> dict[str, Any]:
        return read_object(self.config_folder / "config.json")

    @property
    def tokenizer_text(self) -> str:
        files = (self.config_folder / name for name in TOKENIZER_FILES)
        return "\n".join(file.read_text(encoding="utf-8", errors="replace") for file in files if file.is_file())

    def count_tokens(self, texts: Sequence[str]) -> int:
        """How many tokens the texts have; 0 where only transformers can tell."""
        if self._tokenizer is None:
            return 0
        return sum(len(encoded.ids) for encoded in self._tokenizer.encode_batch(list(texts), add_special_tokens=False))

    @cached_property
    def _tokenizer(self) -> Any:
        # transformers would say it exactly, and takes seconds to import
        from tokenizers import Tokenizer

        file = self.config_folder / "tokenizer.json"
        return Tokenizer.from_file(str(file)) if file.is_file() else None


def _has_weights(folder: Path) -> bool:
    return (folder / "config.json").is_file() and bool(weight_files(folder))


def _latest_step(folder: Path) -> Path | None:
    tracker = folder / TRACKER
    if not tracker.is_file():
        return None
    text = tracker.read_text(encoding="utf-8", errors="replace").strip()
    if not re.fullmatch(r"[0-9]+", text):
        raise ValueError(
            f"{tracker} should hold the number of the latest step, and holds {text[:80]!r}: the checkpoint was cut. "
            "Name the step's folder (global_step_<N>), or write its number into the file."
        )
    return folder / f"global_step_{int(text)}"


def find_model(path: str) -> Model:
    """Say what is to be loaded for ``path``, without loading anything.

    Args:
        path: A hub id, which is downloaded; a model folder; a LoRA adapter of peft; or, of a training run, the output
            folder, its ``checkpoints``, one ``global_step_<N>`` or the ``actor`` in it.

    Raises:
        ValueError: The folder is none of these; says what was looked for.
    """
    if not path.strip():
        raise ValueError("--model_path is empty. Give a model folder, a checkpoint of a run, or a hub id.")
    folder = typed_path(path)
    if folder.exists():
        folder = _folder_with_model(folder, path)
    elif HUB_ID.fullmatch(path):
        folder = _download(path)
        return _adapter_in(folder) or Model(folder, folder)
    else:
        raise ValueError(f"There is no model at {path}. Give a model folder, a checkpoint of a run, or a hub id.")
    return _adapter_in(folder) or _model_in(folder)


def _folder_with_model(folder: Path, path: str) -> Path:
    """The folder itself, or the one inside a training run's output that ``path`` stands for."""
    if not folder.is_dir():
        raise ValueError(f"{path} is a file. Give the folder of a model, a checkpoint of a run, or a hub id.")
    if (folder / "checkpoints").is_dir():
        folder = folder / "checkpoints"
    folder = _latest_step(folder) or folder
    if (folder / "actor").is_dir():
        folder = folder / "actor"
    if not folder.is_dir():
        raise ValueError(f"There is no checkpoint {folder}, which {path} names as its latest. Name another step.")
    return folder


def _model_in(folder: Path) -> Model:
    """The model that is whole in ``folder`` or in its ``huggingface``, or the one that its shards make."""
    shards = files_of_ranks(folder)
    # With LoRA, whatever verl wrote beside the shards is the base without what was learned, or names no base at all.
    is_lora = (folder / LORA_FACTS).is_file()
    for candidate in (folder, folder / "huggingface"):
        if _has_weights(candidate) and not (is_lora and shards):
            return Model(candidate, candidate)
    if not shards:
        raise ValueError(
            f"{folder} has neither weights (config.json and *.safetensors) nor FSDP shards "
            "(model_world_size_*_rank_*.pt), so there is no model to load."
        )
    fault = fault_of_ranks(shards)
    if fault:
        raise ValueError(f"{folder} has {fault}")
    if not (folder / "huggingface" / "config.json").is_file():
        raise ValueError(f"{folder} has FSDP shards but no huggingface/config.json, so their model is unknown.")
    return _merged(folder, folder / "huggingface", shards)


def _adapter_in(folder: Path) -> Model | None:
    """The model of an adapter's folder, in which a config.json may lie as well; None where there is no adapter."""
    if not (folder / ADAPTER).is_file():
        return None
    if _has_weights(folder):
        raise ValueError(
            f"{folder} holds a whole model ({weight_files(folder)[0].name}) and an adapter ({ADAPTER}), so it is not "
            "clear which is meant. Move one of them into a folder of its own."
        )
    weights = list(folder.glob(f"{ADAPTER_WEIGHTS}.*"))
    if not weights:
        raise ValueError(f"{folder} has {ADAPTER} but no {ADAPTER_WEIGHTS}.safetensors. Copy the whole folder.")
    return _merged(folder, base_of_adapter(folder), [*weights, folder / ADAPTER])


def _merged(folder: Path, config_folder: Path, sources: list[Path]) -> Model:
    target = folder / MERGED
    newest = max(source.stat().st_mtime for source in sources)
    if _has_weights(target) and target.stat().st_mtime >= newest:
        return Model(target, target)
    return Model(target, config_folder, to_merge=folder)


def base_of_adapter(folder: Path) -> Path:
    base = read_object(folder / ADAPTER).get("base_model_name_or_path")
    if not base:
        raise ValueError(f"{folder / ADAPTER} names no base model (base_model_name_or_path). Add it.")
    local = typed_path(base)
    if not local.is_dir() and not HUB_ID.fullmatch(base):
        raise ValueError(f"The base model of the adapter {folder}, {base}, does not exist. Correct {folder / ADAPTER}.")
    return local if local.is_dir() else _download(base)


def _download(hub_id: str) -> Path:
    try:
        return download(hub_id)
    except OSError as error:
        raise ValueError(f"There is no folder {hub_id} here, and the model {error}") from error


def merge(model: Model, log: TextIO) -> None:
    """Make ``model.folder``, in a process of its own: it takes torch, and prints."""
    if model.to_merge is None:
        return
    command = [sys.executable, "-m", __spec__.name, str(model.to_merge)]
    code = subprocess.run(command, stdout=log, stderr=log, check=False).returncode
    if code:
        raise RuntimeError(f"{model.to_merge} could not be merged into a model (exit code {code}).")


def fingerprint(folder: Path) -> str:
    """A digest of the model's weights and tokenizer, from pieces of the files: a moment, also for large models."""
    digest = sha256()
    for file in weight_files(folder):
        for piece in pieces_of(file):
            digest.update(piece)
    for name in TOKENIZER_FILES:
        if (folder / name).is_file():
            digest.update(name.encode() + (folder / name).read_bytes())
    return digest.hexdigest()[:32]


def _merge_here(folder: Path) -> None:
    """Make ``folder/merged`` from what is in ``folder``; it appears whole or not at all."""
    remove_unfinished(folder / MERGED)  # gigabytes of a merge that was killed
    with replacing(folder / MERGED) as unfinished:
        if (folder / ADAPTER).is_file():
            merge_adapter(folder, unfinished)
        else:
            merge_shards(folder, unfinished)


def merge_adapter(folder: Path, target: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base = base_of_adapter(folder)
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype="auto"), folder)
    untie_for_merge(model)
    model.merge_and_unload().save_pretrained(target)
    AutoTokenizer.from_pretrained(base).save_pretrained(target)


def untie_for_merge(model: Any) -> None:
    """Give a model with tied embeddings two of them, where an adapter is on one.

    peft adds what was learned to the weight that both share, so merging would change the other one as well.
    """
    import torch
    from peft.tuners.tuners_utils import BaseTunerLayer

    base = model.get_base_model()
    embeddings = base.get_input_embeddings(), base.get_output_embeddings()
    if not any(isinstance(module, BaseTunerLayer) for module in embeddings):
        return
    into, out = (module.get_base_layer() if isinstance(module, BaseTunerLayer) else module for module in embeddings)
    if out is not None and out.weight.data_ptr() == into.weight.data_ptr():
        out.weight = torch.nn.Parameter(out.weight.detach().clone(), requires_grad=False)
        base.config.tie_word_embeddings = False


if __name__ == "__main__":
    try:
        _merge_here(Path(sys.argv[1]))
    except ValueError as error:
        sys.exit(f"error: {error}")
