"""A disk that is full or read-only: what is whole stays whole, the message names it, and the same command goes on."""

import gc
import io
import json
import subprocess
import sys
from contextlib import ExitStack

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from tests.conftest import fill
from tests.training.conftest import config_of, overrides_of
from tests.whole_checkpoints import write_saved
from verl_ext.host.rank_files import STEMS
from verl_ext.patches import append_to_metrics_file
from verl_ext.training import full_disk, one_run, preflight, run_lock
from verl_ext.training.checkpoints import TRACKER, resumed_checkpoint, saved_steps
from verl_ext.training.kept_checkpoints import KeptCheckpoints
from verl_ext.training.metrics_file import keep_until, recorded_steps


def save(kept: KeptCheckpoints, step: int, num_bytes: int) -> None:
    """As verl does: weights, then the data loader's state, then the tracker."""
    with kept.saving(step):
        folder = kept.folder_of(step)
        for stem in STEMS.values():
            write_saved(folder / "actor" / f"{stem}_world_size_1_rank_0.pt")
        torch.save(torch.zeros(num_bytes, dtype=torch.uint8), folder / "actor" / "model_world_size_1_rank_0.pt")
        torch.save({}, folder / "data.pt")
        (folder.parent / TRACKER).write_text(str(step))


def told_of(action, config) -> str | None:
    """What is told of the failure of ``action``, of which nothing stays: a traceback would keep torch's file open."""
    try:
        action()
    except (OSError, RuntimeError) as error:
        return full_disk.explanation(error, config)
    finally:
        gc.collect()
    raise AssertionError("It fits.")


def test_a_checkpoint_that_does_not_fit_leaves_the_last_one(folder, small_disk):
    config = config_of(folder, f"trainer.output_dir={small_disk}", "trainer.save_freq=1")
    kept = KeptCheckpoints(config)
    save(kept, 1, 200_000)
    told = told_of(lambda: save(kept, 2, 900_000), config)  # more than the one before, by which room is looked for
    checkpoint = resumed_checkpoint(config)
    assert checkpoint is not None
    assert checkpoint.step == 1
    assert told is not None
    assert f"free in {small_disk}/checkpoints (trainer.default_local_dir)" in told
    assert "run the same command again: it goes on from the last checkpoint" in told
    again = KeptCheckpoints(config)
    again.restore(1)
    save(again, 2, 200_000)
    assert saved_steps(small_disk / "checkpoints") == [1, 2]
    assert torch.load(again.folder_of(2) / "actor" / "model_world_size_1_rank_0.pt").numel() == 200_000


@pytest.mark.parametrize("num_bytes", [0, 4096, 8192])
def test_a_row_of_metrics_is_whole_or_an_error(small_disk, monkeypatch, num_bytes):
    """verl's file takes half a row without a word, and the next row is glued to it: two are lost."""
    from verl.utils import tracking

    path = small_disk / "metrics.jsonl"
    monkeypatch.setattr(tracking, "FileLogger", tracking.FileLogger)
    monkeypatch.setenv("VERL_FILE_LOGGER_PATH", str(path))
    append_to_metrics_file(tracking)
    logger = tracking.FileLogger("project", "run")
    row = {f"metric {number}": 0.5 for number in range(300)}
    logger.log(row, 1)
    filler = fill(small_disk, num_bytes)
    with pytest.raises(OSError, match="No space left on device"):  # noqa: PT012  how many fit is the disk's
        for step in range(2, 9):
            logger.log(row, step)
    filler.unlink()
    whole = recorded_steps(path)
    assert whole == set(range(1, len(whole) + 1))
    keep_until(path, max(whole))
    logger.finish()
    logger = tracking.FileLogger("project", "run")
    logger.log(row, 9)
    logger.finish()
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [*sorted(whole), 9]


RUN = """
import shutil, sys
from pathlib import Path
import torch
from verl_ext.training import one_run
from verl_ext.training.console import STANDARD_ERROR, send_output_to, terminal_of_this_process

run = one_run.prepare(sys.argv[1:])
terminal, errors = terminal_of_this_process(), terminal_of_this_process(STANDARD_ERROR)
assert one_run.begin(run, terminal, errors)
send_output_to(one_run.log_of(run))

def _save_checkpoint(config):
    print("a word that is still in the buffer")
    torch.save(torch.zeros(2 << 20, dtype=torch.uint8), Path(config.trainer.output_dir) / "model.pt")

one_run.exit_now(one_run.ended(run, one_run.train_watched(run, _save_checkpoint, terminal, lambda _: None), terminal, errors))
"""


def test_a_run_whose_log_is_on_the_full_disk_says_so_in_a_line(folder, small_disk):
    command = [sys.executable, "-c", RUN, *overrides_of(folder), "device=cpu", f"trainer.output_dir={small_disk}/run"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error after ")
    assert " s: a disk is full, found out during the saving of a checkpoint: 0 KiB free in " in last
    assert "(trainer.output_dir)" in last


def test_a_run_cannot_begin_on_a_full_disk(folder, small_disk):
    fill(small_disk)
    run = one_run.prepare([*overrides_of(folder), "device=cpu", f"trainer.output_dir={small_disk}/run"])
    errors = io.StringIO()
    assert not one_run.begin(run, io.StringIO(), errors)
    assert errors.getvalue().startswith(f"error: trainer.output_dir={small_disk}/run cannot be written: ")
    assert "No space left on device" in errors.getvalue()
    with ExitStack() as folders:
        assert not run_lock.take(run.config, folders, errors)


def test_a_read_only_disk_is_refused(folder, small_disk):
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(
        ValueError, match=f"^trainer.output_dir={small_disk}/run: {small_disk} cannot be written. Choose"
    ):
        preflight.check(config_of(folder, f"trainer.output_dir={small_disk}/run"))


def raised_elsewhere(error: Exception) -> Exception:
    """As what a worker's failure comes as: with the worker's as its cause."""
    try:
        raise RuntimeError("a task has failed") from error
    except RuntimeError as outer:
        return outer


@pytest.mark.parametrize(
    ("error", "is_full"),
    [
        (OSError(28, "No space left on device", "/x"), True),
        (OSError(122, "Disk quota exceeded"), True),
        (
            RuntimeError("[enforce fail at inline_container.cc:672] . PytorchStreamWriter failed writing file data/0"),
            True,
        ),
        (OSError(13, "Permission denied"), False),
        (full_disk.NoRoomError("The checkpoint of step 6 needs 1 KiB"), False),
        (RuntimeError("CUDA out of memory"), False),
    ],
)
def test_what_comes_of_a_full_disk(folder, error, is_full):
    for failure in (error, raised_elsewhere(error)):
        assert (full_disk.explanation(failure, config_of(folder)) is not None) == is_full


def test_safetensors_says_it_so(folder, small_disk):
    fill(small_disk)
    with pytest.raises(Exception, match="No space left on device") as failure:
        save_file({"w": np.zeros(5000)}, small_disk / "model.safetensors")
    assert full_disk.explanation(failure.value, config_of(folder)) is not None
