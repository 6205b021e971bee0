"""Files that are whole or not there, and errors that name them."""

from contextlib import ExitStack

import pytest

from verl_ext.host.files import read_object, replacing, write_whole


def test_a_file_is_whole_or_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "new" / "é.json"
    write_whole(path, "{}")
    monkeypatch.setattr("pathlib.Path.replace", lambda *_: (_ for _ in ()).throw(OSError("cut off")))
    with pytest.raises(OSError, match="cut off"):
        write_whole(path, '{"a": 1}')
    assert path.read_text(encoding="utf-8") == "{}"
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_is_replaced_by_a_folder(tmp_path):
    path = tmp_path / "model"
    for name in ("first", "second"):
        with replacing(path) as unfinished:
            unfinished.mkdir()
            (unfinished / name).touch()
    assert list(path.iterdir()) == [path / "second"]

    def fail_half_way():
        with replacing(path) as unfinished:
            unfinished.mkdir()
            (unfinished / "third").touch()
            raise OSError("cut off")

    with pytest.raises(OSError, match="cut off"):
        fail_half_way()
    assert list(tmp_path.iterdir()) == [path]
    assert list(path.iterdir()) == [path / "second"]


def test_a_folder_is_not_replaced_by_a_file(tmp_path):
    """Nor by nothing: what somebody keeps under that name is not ours to remove."""
    path = tmp_path / "train.parquet"
    path.mkdir()
    (path / "part-0.parquet").touch()
    with pytest.raises(IsADirectoryError):
        write_whole(path, "{}")
    with pytest.raises(FileNotFoundError), replacing(path):
        pass
    assert list(path.iterdir()) == [path / "part-0.parquet"]
    assert list(tmp_path.iterdir()) == [path]


def test_files_that_belong_together_are_replaced_together(tmp_path):
    def write(texts):
        with ExitStack() as places:
            for name, text in texts.items():
                places.enter_context(replacing(tmp_path / name)).write_text(text)

    write({"a": "1", "b": "1"})
    with pytest.raises(TypeError):
        write({"a": "2", "b": None})
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a": "1", "b": "1"}


def test_half_a_character_is_spelled(tmp_path):
    write_whole(tmp_path / "file", '"\ud83d"')
    assert (tmp_path / "file").read_text() == '"\\ud83d"'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "There is no .*x.json"),
        ("", "x.json is empty or damaged"),
        ("{", "damaged .* Ask."),
        ("[1]", "no JSON object. Ask."),
    ],
)
def test_what_is_no_object_is_named(tmp_path, content, message):
    path = tmp_path / "x.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ValueError, match=message):
        read_object(path, "Ask.")
    path.write_text('{"a": 1}')
    assert read_object(path) == {"a": 1}
