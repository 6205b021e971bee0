"""The quickstart's commands, wherever it writes."""

import importlib.util
import sys
from pathlib import Path

import pytest

from verl_ext.training.configuration import compose_config

SCRIPT = Path(__file__).parents[1] / "scripts" / "quickstart.py"
NAMES = [
    "a=b",
    "~x",
    "é ü",
    "a,b",
    "it's",
    'a"b',
    "{a}",
    "[a]",
    "a b#c",
    r"a\b",
    r"a\'b",
    "end\\",
    "${x}",
    "$HOME",
    "null",
]


@pytest.fixture(scope="module")
def quickstart():
    spec = importlib.util.spec_from_file_location("quickstart", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["quickstart"] = module  # its dataclass looks itself up
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", NAMES)
def test_any_folder_reaches_the_run_as_it_is(quickstart, name):
    folders = quickstart.Folders(Path("/tmp") / name)
    arguments = quickstart.training_command(folders, "nsr")
    config = compose_config(arguments[3:], device="cpu")
    assert config.trainer.output_dir == str(folders.run("nsr"))
    assert config.actor_rollout_ref.model.path == str(folders.base)
    assert config.data.train_files == str(folders.data / "countdown_train.parquet")
    assert config.data.val_files == str(folders.data / "countdown_test.parquet")


@pytest.mark.parametrize(("content", "is_done"), [("48", True), ("48\n", True), ("47", False), (None, False)])
def test_a_trained_method_is_known(quickstart, tmp_path, content, is_done):
    folders = quickstart.Folders(tmp_path)
    tracker = folders.run("nsr") / "checkpoints" / "latest_checkpointed_iteration.txt"
    tracker.parent.mkdir(parents=True)
    if content is not None:
        tracker.write_text(content)
    assert quickstart.is_trained(folders, "nsr") is is_done


@pytest.mark.parametrize("content", ["", "forty"])
def test_a_damaged_tracker_is_named(quickstart, tmp_path, content):
    folders = quickstart.Folders(tmp_path)
    tracker = folders.run("nsr") / "checkpoints" / "latest_checkpointed_iteration.txt"
    tracker.parent.mkdir(parents=True)
    tracker.write_text(content)
    with pytest.raises(SystemExit, match=rf"{tracker} should hold the number of a step, and holds"):
        quickstart.is_trained(folders, "nsr")
