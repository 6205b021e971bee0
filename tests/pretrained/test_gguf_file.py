import json
from pathlib import Path
from types import SimpleNamespace

import gguf
import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.pretrained.tiny_gguf import CHAT_TEMPLATE, CONTEXT, tensors, tokens, write
from verl_ext.pretrained import gguf_file

PROMPT = "<|begin|>3 +  12 =<|end|>"


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """A quantized file and the folder that it became."""
    folder = tmp_path_factory.mktemp("converted")
    path = write(folder / "tiny.gguf", is_quantized=True)
    gguf_file.convert(gguf_file.read(path), folder / "model")
    return path, folder / "model"


def test_the_head_of_a_file(converted):
    file = gguf_file.read(converted[0])
    assert file.architecture == "llama"
    assert file.num_parameters == sum(weights.size for weights in tensors().values())


def test_the_folder_computes_what_transformers_reads_from_the_file(converted):
    path, folder = converted
    token_BT = torch.tensor([[1, 54, 35, 46, 35, 53, 2], [1, 5, 6, 7, 8, 9, 10]])
    from_file = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
    from_folder = AutoModelForCausalLM.from_pretrained(folder)
    assert from_folder.dtype == torch.float32
    torch.testing.assert_close(from_folder(token_BT).logits, from_file(token_BT).logits, rtol=0, atol=0)


def test_the_weights_are_those_that_the_quantized_file_stands_for(converted):
    """Not transformers' word alone: the embedding, dequantized by llama.cpp's package."""
    reader = gguf.GGUFReader(converted[0])
    embedding = next(tensor for tensor in reader.tensors if tensor.name == "token_embd.weight")
    expected = gguf.dequantize(embedding.data, embedding.tensor_type)
    model = AutoModelForCausalLM.from_pretrained(converted[1])
    np.testing.assert_array_equal(model.get_input_embeddings().weight.detach().numpy(), expected)
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight


def test_the_tokenizer_has_the_special_tokens_of_the_file(converted):
    tokenizer = AutoTokenizer.from_pretrained(converted[1])
    names = ("bos_token", "eos_token", "pad_token", "unk_token")
    assert [getattr(tokenizer, name) for name in names] == ["<|begin|>", "<|end|>", "<|unknown|>", "<|unknown|>"]
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (1, 2, 0)
    assert tokenizer.model_max_length == CONTEXT
    model = AutoModelForCausalLM.from_pretrained(converted[1])
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id


def test_transformers_still_gives_the_wrong_end_of_text(converted):
    """When this fails, ``correct_tokenizer`` is no longer needed for it."""
    tokenizer = AutoTokenizer.from_pretrained(converted[0].parent, gguf_file=converted[0].name)
    assert tokenizer.eos_token == "<|begin|>"


def test_every_digit_is_a_token_and_the_text_comes_back(converted):
    tokenizer = AutoTokenizer.from_pretrained(converted[1])
    pieces = tokenizer.convert_ids_to_tokens(tokenizer.encode(PROMPT))
    assert pieces == ["<|begin|>", "3", "Ġ", "+", "ĠĠ", "1", "2", "Ġ", "=", "<|end|>"]
    assert tokenizer.decode(tokenizer.encode(PROMPT)) == PROMPT
    assert tokenizer.decode(tokenizer.encode(PROMPT), skip_special_tokens=True) == "3 +  12 ="


def test_other_splits_are_left_to_transformers(tmp_path):
    gguf_file.convert(gguf_file.read(write(tmp_path / "x.gguf", pre="gpt-2")), tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    assert "12" in tokenizer.convert_ids_to_tokens(tokenizer.encode(PROMPT))
    assert len(tokenizer) == len(tokens())


@pytest.mark.parametrize("template", [None, "{{ messages[0].content }}"])
def test_the_chat_template_comes_along(tmp_path, template):
    gguf_file.convert(gguf_file.read(write(tmp_path / "x.gguf", chat_template=template)), tmp_path / "model")
    assert AutoTokenizer.from_pretrained(tmp_path / "model").chat_template == template


def strange_tokenizer(folder):
    """The files of another model's tokenizer, as a folder of downloads may hold them."""
    tokenizer = Tokenizer(models.WordLevel({"strange": 0, "words": 1}, unk_token="strange"))
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "chat_template": "strange", "unk_token": "strange"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    (folder / "special_tokens_map.json").write_text(json.dumps({"eos_token": "words"}))


def test_another_models_files_beside_it_are_not_its_own(tmp_path):
    path = write(tmp_path / "x.gguf")
    strange_tokenizer(tmp_path)
    (tmp_path / "generation_config.json").write_text(json.dumps({"temperature": 0.125, "do_sample": True}))
    gguf_file.convert(gguf_file.read(path), tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    assert len(tokenizer) == len(tokens())
    assert tokenizer.chat_template == CHAT_TEMPLATE
    assert tokenizer.eos_token == "<|end|>"
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "model").generation_config.temperature != 0.125


def test_a_file_of_its_name_in_the_working_folder_is_not_it(tmp_path, monkeypatch):
    """transformers looks for the weights there first."""
    (tmp_path / "there").mkdir()
    path = write(tmp_path / "there" / "x.gguf")
    write(tmp_path / "x.gguf", seed=1)
    monkeypatch.chdir(tmp_path)
    gguf_file.convert(gguf_file.read(path.relative_to(tmp_path)), tmp_path / "model")
    embedding = AutoModelForCausalLM.from_pretrained(tmp_path / "model").get_input_embeddings().weight
    np.testing.assert_array_equal(embedding.detach().numpy(), tensors()["token_embd.weight"])


def test_an_unknown_architecture_is_refused(tmp_path):
    path = write(tmp_path / "x.gguf", architecture="mammoth")
    with pytest.raises(ValueError, match=r"^transformers 5\.\S+ cannot read x.gguf, whose architecture is mammoth: .*"):
        gguf_file.convert(gguf_file.read(path), tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("sizes", "fields", "length"),
    [
        ({"max_position_embeddings": 8192}, {"bloom.context_length": 2048}, 8192),
        ({}, {"bloom.context_length": 2048}, 2048),
        ({"max_position_embeddings": None}, {}, int(1e30)),
    ],
)
def test_the_longest_text_of_an_architecture_that_does_not_name_it(sizes, fields, length):
    """BLOOM's configuration has no such size."""
    file = gguf_file.GgufFile(Path("x.gguf"), {"general.architecture": "bloom", **fields}, 1)
    assert gguf_file.longest_text(SimpleNamespace(**sizes), file) == length


@pytest.mark.parametrize("token_id", [-1, 10_000])
def test_a_special_token_out_of_the_vocabulary_is_refused(tmp_path, token_id):
    """transformers would have none, and answers would never end."""
    file = gguf_file.read(write(tmp_path / "x.gguf"))
    file.fields["tokenizer.ggml.eos_token_id"] = token_id
    with pytest.raises(ValueError, match=rf"^x.gguf has {token_id} for its eos_token, and [0-9]+ tokens\. Convert"):
        gguf_file.convert(file, tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("architecture", ["gemma3", "lfm2"])
def test_what_transformers_trips_over_is_one_line(tmp_path, architecture):
    """Architectures that it knows, in files with other metadata than it was written for."""
    path = write(tmp_path / "x.gguf", architecture=architecture)
    with pytest.raises(ValueError, match=rf"^transformers 5\.\S+ cannot read x.gguf, .* is {architecture}: [^\n]*$"):
        gguf_file.convert(gguf_file.read(path), tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_what_tokenizers_trips_over_is_one_line(tmp_path):
    """It raises nothing narrower than Exception."""
    path = write(tmp_path / "x.gguf", merges=("1 2", "12 3", "123 4"))
    with pytest.raises(ValueError, match=r"^transformers 5\.\S+ cannot read x.gguf, .* out of vocabulary[^\n]*$"):
        gguf_file.convert(gguf_file.read(path), tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_tokenizer_that_does_not_fit_on_the_disk_is_an_error_of_the_system(tmp_path):
    """tokenizers, which writes it, raises a bare Exception."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "tokenizer.json").symlink_to("/dev/full")
    with pytest.raises(OSError, match=rf"^The tokenizer could not be written in {tmp_path}: No space left on device"):
        gguf_file.convert(gguf_file.read(write(tmp_path / "x.gguf")), tmp_path / "model")


def test_tensors_of_another_shape_are_refused(tmp_path):
    path = write(tmp_path / "x.gguf", feed_forward=80)
    with pytest.raises(
        ValueError,
        match=r"llama: 6 of its tensors, such as model.layers.0.mlp.down_proj.weight, which is \[64, 96\] and not \[64, 80\]",
    ):
        gguf_file.convert(gguf_file.read(path), tmp_path / "model")


def test_a_tensor_that_is_missing_is_not_made_up(tmp_path):
    path = write(tmp_path / "x.gguf", without=("blk.1.ffn_up.weight",))
    with pytest.raises(
        ValueError, match="x.gguf lacks 1 of the model's tensors, such as model.layers.1.mlp.up_proj.weight"
    ):
        gguf_file.convert(gguf_file.read(path), tmp_path / "model")


def test_one_part_of_several_is_refused(tmp_path):
    with pytest.raises(ValueError, match="is one of 3 parts of a model"):
        gguf_file.read(write(tmp_path / "x.gguf", num_parts=3))


@pytest.mark.parametrize("share", [0.0, 0.00001, 0.1, 0.5, 0.99])
def test_a_cut_file_is_refused(tmp_path, share):
    path = write(tmp_path / "x.gguf")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ValueError, match="x.gguf is not a whole .gguf file"):
        gguf_file.read(path)


def test_something_else_is_refused(tmp_path):
    (tmp_path / "x.gguf").write_bytes(b"<html>not found</html>" * 100)
    with pytest.raises(ValueError, match="x.gguf is not a whole .gguf file"):
        gguf_file.read(tmp_path / "x.gguf")
