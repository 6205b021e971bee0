"""A model folder that is enough for the checks, data files, and the configuration of a run on them."""

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from verl_ext.data.parquet import write_rows
from verl_ext.data.rows import make_row
from verl_ext.training.configuration import compose_config


def countdown_rows(count: int, *, first: int = 0):
    reference = json.dumps({"numbers": [1, 2, 3], "target": 6})
    return [
        make_row(data_source="countdown", prompt=f"1 2 3 = 6 ({i})", ground_truth=reference, split="train", index=i)
        for i in range(first, first + count)
    ]


def save_byte_tokenizer(folder: Path) -> None:
    """A token for each byte, and a chat template that adds none."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={token: index for index, token in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "chat_template": "{{ messages[0].content }}"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def save_weights(folder: Path) -> None:
    """A file of 4096 bytes that holds no tensors."""
    (folder / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}" + b"\0" * 4086)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("input")
    (folder / "model").mkdir()
    (folder / "model" / "config.json").write_text(json.dumps({"max_position_embeddings": 64, "dtype": "float32"}))
    save_weights(folder / "model")
    save_byte_tokenizer(folder / "model")
    rows = countdown_rows(32)
    write_rows(rows, folder / "train.parquet")
    broken = [dict(row) for row in rows]
    broken[5] = broken[5] | {"reward_model": {"style": "rule", "ground_truth": ""}}
    write_rows(broken, folder / "no_truth.parquet")
    (folder / "cut.parquet").write_bytes((folder / "train.parquet").read_bytes()[:-100])
    write_rows([row | {"prompt": 7} for row in rows], folder / "typed.parquet")
    return folder


def overrides_of(folder: Path) -> list[str]:
    return [
        f"actor_rollout_ref.model.path={folder}/model",
        f"data.train_files={folder}/train.parquet",
        f"data.val_files={folder}/train.parquet",
        "data.train_batch_size=8",
        "data.max_prompt_length=32",
        "data.max_response_length=16",
        "actor_rollout_ref.rollout.n=4",
        "actor_rollout_ref.actor.ppo_mini_batch_size=8",
        f"trainer.output_dir={folder}/out",
    ]


def config_of(folder: Path, *more: str):
    return compose_config([*overrides_of(folder), *more], device="cpu")
