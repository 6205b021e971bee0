"""Files of tensors are read by what they say of themselves, and others refused, whatever they say."""

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from verl_ext.host.tensor_files import tensors_in


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
