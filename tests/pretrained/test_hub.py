"""A model of the hub: its weights whatever their format, and nothing that has none."""

import json

import pytest
from huggingface_hub import constants

from tests.pretrained.fake_hub import FakeHub
from verl_ext.evaluation.model_path import find_model
from verl_ext.pretrained import get
from verl_ext.pretrained.get import RECORD, get_model
from verl_ext.training.checkpoint_size import size_of

ID = "someone/model"
REST = {"config.json": b'{"model_type": "llama"}', "tokenizer.json": b"{}", "README.md": b"# A model"}
PICKLED = {
    "pytorch_model-00001-of-00002.bin": b"1" * 50, "pytorch_model-00002-of-00002.bin": b"2" * 50,
    "pytorch_model.bin.index.json": b"{}",
}  # fmt: skip


@pytest.fixture
def serving(tmp_path, monkeypatch):
    """Start a hub with the files of ``ID`` that are given, and let huggingface_hub ask it, with an empty cache."""
    started = []

    def serve(files: dict[str, bytes]) -> FakeHub:
        hub = FakeHub(ID, REST | files).__enter__()
        started.append(hub)
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE.removeprefix(constants.ENDPOINT)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + template)
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        return hub

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    yield serve
    for hub in started:
        hub.__exit__()


def names(folder) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_file()}


def test_pickled_weights_are_fetched_where_there_are_no_others(serving, tmp_path):
    serving(PICKLED)
    out = get_model(ID, tmp_path / "model")
    assert names(out) == {"config.json", "tokenizer.json", RECORD, *PICKLED}
    assert (out / "pytorch_model-00002-of-00002.bin").read_bytes() == b"2" * 50


def test_safetensors_come_first(serving, tmp_path):
    hub = serving(PICKLED | {"model.safetensors": b"w" * 10, "onnx/model.onnx": b"o"})
    assert "model.safetensors" in names(get_model(ID, tmp_path / "model"))
    assert not any(name.endswith((".bin", ".onnx", ".md")) for name in hub.fetched)


@pytest.mark.parametrize(
    ("files", "holds"),
    [
        ({"tf_model.h5": b"h"}, r"README.md, config.json, tf_model.h5, tokenizer.json\. Name .* format\.$"),
        ({"sub/model.safetensors": b"w"}, r"config.json, sub/model.safetensors, tokenizer.json\. Name"),
        (
            {f"part{i:02}.gguf": b"g" for i in range(20)},
            r"part09.gguf and 11 more\. Name .*gguf files and name that\.$",
        ),
    ],
)
def test_a_repository_without_weights_is_refused_with_what_it_holds(serving, tmp_path, files, holds):
    hub = serving(files)
    with pytest.raises(ValueError, match=rf"{ID} is on the hub, but .* it has no weights \(.*\)\. It holds .*{holds}"):
        get_model(ID, tmp_path / "model")
    assert not hub.fetched
    assert not list(tmp_path.iterdir())


def test_a_repository_without_a_configuration_is_refused(serving, tmp_path):
    hub = serving({"model.gguf": b"g"})
    del hub.sizes["config.json"]
    with pytest.raises(
        ValueError, match=r"has no config\.json and no weights \(.*\)\. It holds README.md, model.gguf, tokenizer.json"
    ):
        get_model(ID, tmp_path / "model")


def test_a_folder_that_was_left_without_weights_is_made_again(serving, tmp_path, capsys):
    serving(PICKLED)
    out = tmp_path / "model"
    out.mkdir()
    (out / RECORD).write_text(json.dumps({"hub_id": ID}))
    (out / "config.json").write_bytes(REST["config.json"])
    assert names(get_model(ID, out)) >= set(PICKLED)
    assert "has this model already" not in capsys.readouterr().out
    get_model(ID, out)
    assert "has this model already" in capsys.readouterr().out


def test_too_little_room_is_known_before_the_download(serving, tmp_path, monkeypatch):
    hub = serving({"model.safetensors": b"w" * 100})
    hub.sizes["model.safetensors"] = 7_000_000_000
    monkeypatch.setattr(get.shutil, "disk_usage", lambda _folder: Free(1_000_000_000))
    with pytest.raises(OSError, match=r"The model needs 7\.0 GB in .*, which has 1\.0 GB free"):
        get_model(ID, tmp_path / "model")
    assert not hub.fetched


def test_a_size_that_the_hub_does_not_tell_is_no_reason_to_refuse(serving, tmp_path):
    serving({"model.safetensors": b"w" * 100}).sizes["model.safetensors"] = None
    assert size_of(get_model(ID, tmp_path / "model")) > 100


def test_a_model_that_the_hub_does_not_have(serving, tmp_path):
    serving({})
    with pytest.raises(OSError, match="^nobody/nothing cannot be had from the hub: .*404"):
        get_model("nobody/nothing", tmp_path / "model")


def test_evaluation_fetches_the_same_files(serving):
    serving(PICKLED)
    assert names(find_model(ID).folder) == {"config.json", "tokenizer.json", *PICKLED}


def test_evaluation_finds_it_in_the_cache_without_a_hub(serving, monkeypatch):
    serving(PICKLED)
    fetched = find_model(ID)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert find_model(ID) == fetched


def test_evaluation_refuses_a_model_without_weights(serving):
    serving({"tf_model.h5": b"h"})
    with pytest.raises(ValueError, match=f"{ID} is on the hub, but it has no weights"):
        find_model(ID)


class Free:
    def __init__(self, free: int) -> None:
        self.free = free
