"""Files of tensors are read by what they say of themselves, and others refused, whatever they say."""

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from verl_ext.host.tensor_files import check_tensors, pieces_of, tensors_in


def test_what_a_file_holds(tmp_path):
    tensors = {"a.weight": torch.zeros(2, 3), "b": torch.zeros(5, dtype=torch.bfloat16)}
    save_file(tensors, tmp_path / "x", {"format": "pt"})
    found = tensors_in(tmp_path / "x")
    assert {name: (tensor["dtype"], tensor["shape"]) for name, tensor in found.items()} == {
        "a.weight": ("F32", [2, 3]),
        "b": ("BF16", [5]),
    }


@given(st.binary(max_size=64) | st.sampled_from([b"\xff" * 100, b"\x02" + b"\0" * 7 + b"[]", b"w" * 8]))
def test_what_is_no_such_file(tmp_path_factory, content):
    file = tmp_path_factory.mktemp("f") / "model.safetensors"
    file.write_bytes(content)
    try:
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    except ValueError:
        header = None
    if isinstance(header, dict):
        assert tensors_in(file) == header
    else:
        with pytest.raises(ValueError, match="model.safetensors is no file of tensors"):
            tensors_in(file)


@pytest.mark.parametrize("name", ["first", "middle", "last"])
def test_a_change_in_any_tensor_is_seen(tmp_path, name):
    """As a merged adapter changes two of many, all numbers of them: 64 KiB at 16 places of a large file saw none."""
    tensors = {"first": torch.zeros(3), "middle": torch.zeros(500, 700), "last": torch.zeros(2, 5)}
    save_file(tensors, tmp_path / "a.safetensors")
    before = list(pieces_of(tmp_path / "a.safetensors"))
    save_file(tensors | {name: tensors[name] + 1}, tmp_path / "a.safetensors")
    assert list(pieces_of(tmp_path / "a.safetensors")) != before


def test_of_other_files_the_first_and_the_last_bytes_count(tmp_path):
    file = tmp_path / "pytorch_model.bin"
    file.write_bytes(bytes(3_000_000))
    before = list(pieces_of(file))
    for place in (0, 2_999_999):
        file.write_bytes(bytes(place) + b"x" + bytes(2_999_999 - place))
        assert list(pieces_of(file)) != before


FLOATS = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


@given(
    dtype=st.sampled_from(FLOATS),
    value=st.sampled_from([float("nan"), float("inf"), -float("inf"), 0.0, 65504.0, -6e-8]),
    place=st.integers(0, 599_999),
)
def test_one_number_that_is_none_is_found(tmp_path_factory, dtype, value, place):
    """Wherever it is, in every floating type; the largest and the smallest numbers are numbers."""
    file = tmp_path_factory.mktemp("t") / "model.safetensors"
    tensor = torch.zeros(600, 1000, dtype=dtype)
    tensor.view(-1)[place] = value
    save_file({"a.weight": torch.ones(3), "b.weight": tensor}, file)
    if torch.isfinite(tensor).all():
        check_tensors([file])
    else:
        with pytest.raises(
            ValueError, match=rf"{file} holds NaN or an infinity in b.weight, first at its number {place:,}: "
        ):
            check_tensors([file])
    check_tensors([file], most_bytes=1000)


def test_a_mask_may_hold_infinities_and_an_integer_any_bits(tmp_path):
    tensors = {"attn.mask": torch.full((2,), -torch.inf), "ids": torch.full((3,), -1), "empty": torch.zeros(0, 5)}
    save_file(tensors, tmp_path / "x")
    check_tensors([tmp_path / "x"])


@pytest.mark.parametrize("left", [0, 3, 8, 40, 200])
def test_a_cut_file_is_named_however_little_is_looked_at(tmp_path, left):
    file = tmp_path / "model.safetensors"
    save_file({"a": torch.zeros(1000)}, file)
    check_tensors([file], most_bytes=0)
    file.write_bytes(file.read_bytes()[:left])
    with pytest.raises(ValueError, match=rf"{file} is (cut: it has 200 of 4,\d\d\d bytes|no file of tensors)"):
        check_tensors([file], most_bytes=0)
