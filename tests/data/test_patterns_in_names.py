"""verl reads data files with datasets, which takes [1] in a folder's name for a pattern."""

import json
import re

import pytest

from verl_ext.data.parquet import write_rows
from verl_ext.data.rows import make_row
from verl_ext.training.checks.data_files import check_data
from verl_ext.training.configuration import compose_config


def file_in(folder):
    folder.mkdir()
    reference = json.dumps({"numbers": [1, 2, 3], "target": 6})
    write_rows(
        [make_row(data_source="countdown", prompt="1 2 3 = 6", ground_truth=reference, split="train", index=0)],
        folder / "train.parquet",
    )
    return folder / "train.parquet"


def config_of(file):
    return compose_config([f"data.train_files='{file}'", f"data.val_files='{file}'"], device="cpu")


@pytest.mark.parametrize("name", ["run [1]", "a*", "b?"])
def test_a_pattern_is_refused(tmp_path, name):
    file = file_in(tmp_path / name)
    message = re.escape(f"data.train_files={file} has one of * ? [ in its name")
    with pytest.raises(ValueError, match=message):
        check_data(config_of(file))


@pytest.mark.parametrize(("name", "is_read"), [("é =~ 1, b", True), ("run [1]", False)])
def test_what_datasets_makes_of_a_name(tmp_path, monkeypatch, name, is_read):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    file = file_in(tmp_path / name)
    if is_read:
        check_data(config_of(file))
        assert len(datasets.load_dataset("parquet", data_files=str(file))["train"]) == 1
    else:
        with pytest.raises((FileNotFoundError, ValueError)):
            datasets.load_dataset("parquet", data_files=str(file))
