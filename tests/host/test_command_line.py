"""What was typed as a path is that path."""

import argparse
import os
from pathlib import Path

import pytest

from verl_ext.host.command_line import path_option, shown, typed_path


def test_a_tilde_is_the_home_folder_unless_there_is_such_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert typed_path("~/data") == Path("/home/somebody/data")
    assert typed_path("~nobody-of-this-name") == Path("~nobody-of-this-name")
    for name in ("~", "~a", "a=b", "é b"):
        (tmp_path / name).mkdir()
        assert typed_path(name) == Path(name)


@pytest.mark.parametrize("text", ["", "  "])
def test_an_empty_path_is_not_the_current_folder(text):
    with pytest.raises(argparse.ArgumentTypeError, match="expected a path, got an empty text"):
        path_option(text)


def test_names_are_shown_as_utf8():
    assert shown("é") == "é"
    assert shown(os.fsdecode(b"\xff.jsonl")) == "\N{REPLACEMENT CHARACTER}.jsonl"
    shown(os.fsdecode("é".encode("latin-1"))).encode()
