"""The command line: what it writes, and what it says when it cannot."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from verl_ext.data.parquet import read_rows
from verl_ext.grading.countdown import parse_reference

SCRIPT = Path(__file__).parents[2] / "scripts" / "prepare_data.py"


@pytest.fixture
def prepare(monkeypatch, tmp_path):
    """The script's ``main``; what it writes goes to ``tmp_path``."""
    spec = importlib.util.spec_from_file_location("prepare_data", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    monkeypatch.setattr(sys, "argv", [str(SCRIPT)])
    return lambda *arguments: script.main([*map(str, arguments), "--out", str(tmp_path)])


def references_of(rows):
    return {parse_reference(row["reward_model"]["ground_truth"]) for row in rows}


def test_generated_files_are_disjoint_and_the_same_again(prepare, tmp_path, capsys):
    sizes = {"train": 60, "test": 20}
    paths = {split: tmp_path / f"countdown_{split}.parquet" for split in sizes}
    prepare("countdown", "--num_train", 60, "--num_test", 20, "--short")
    assert capsys.readouterr().out == "".join(f"{paths[split]}: {size} problems\n" for split, size in sizes.items())
    rows = {split: read_rows(path) for split, path in paths.items()}
    for split, size in sizes.items():
        assert [row["extra_info"] for row in rows[split]] == [{"index": index, "split": split} for index in range(size)]
        for row in rows[split]:
            numbers, target = row["prompt"][0]["content"].split(" = ")
            reference = parse_reference(row["reward_model"]["ground_truth"])
            assert reference == (tuple(sorted(map(int, numbers.split()))), int(target))
    assert not references_of(rows["train"]) & references_of(rows["test"])

    before = [path.read_bytes() for path in paths.values()]
    prepare("countdown", "--num_train", 60, "--num_test", 20, "--short")
    assert [path.read_bytes() for path in paths.values()] == before


def test_says_when_problems_come_again_in_another_order(prepare, capsys):
    prepare("countdown", "--num_train", 1800, "--num_test", 1)
    assert "1800 problems, 56 of them others in another order" in capsys.readouterr().out


def test_files_from_a_folder_in_the_hubs_format(prepare, tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    source = tmp_path / "source"
    source.mkdir()
    for split, first in (("train", 1), ("test", 50)):
        table = pa.table({"target": [first + i for i in range(5)], "nums": [[first, 2, i] for i in range(5)]})
        pyarrow.parquet.write_table(table, source / f"{split}.parquet")
    prepare("countdown", "--from", source, "--num_train", 5, "--num_test", 3)
    rows = read_rows(tmp_path / "countdown_test.parquet")
    assert len(rows) == 3
    assert references_of(rows) <= {(tuple(sorted((50, 2, i))), 50 + i) for i in range(5)}
    assert "<answer>" in rows[0]["prompt"][0]["content"]
    with pytest.raises(SystemExit, match="has 5 test problems, not 6"):
        prepare("countdown", "--from", source, "--num_train", 5, "--num_test", 6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--num_train", 100000], "Found only 8254 train problems"),
        (["--num_numbers", 1], "Countdown needs num_numbers >= 2"),
        (["--from", "nowhere"], "nowhere is no folder"),
    ],
)
def test_refusals_say_why(prepare, arguments, message):
    with pytest.raises(SystemExit, match=message):
        prepare("countdown", *arguments)


def test_from_the_shell(tmp_path):
    command = [sys.executable, SCRIPT, "countdwn", "--out", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, env={"PYTHONPATH": str(SCRIPT.parents[1])})
    assert done.returncode == 2
    assert "invalid choice: 'countdwn' (choose from 'countdown')" in done.stderr
