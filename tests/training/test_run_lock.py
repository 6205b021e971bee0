"""One run at a time in a folder: the second is refused before anything starts, and names the first."""

import io
import os
import signal
import subprocess
import sys
from contextlib import ExitStack, contextmanager

import pytest

from tests.training.conftest import config_of, overrides_of
from verl_ext.training import main, preflight, run_lock

HOLD = """
import os, sys
from pathlib import Path
from verl_ext.host.folder_lock import locked
with locked(Path(sys.argv[1]), "Runs"):
    forked, tell = os.pipe()
    if sys.argv[2] == "forks":
        if os.fork() == 0:
            os.write(tell, b"1")
            os.execlp("sleep", "sleep", "600") if len(sys.argv) > 3 else __import__("time").sleep(600)
        os.read(forked, 1)  # it runs, and what a fork does in a child is done
    print(os.getpid(), flush=True)
    input()
"""


@contextmanager
def another_run(folder, *more: str):
    """A process that holds ``folder``; yields its process."""
    command = [sys.executable, "-c", HOLD, str(folder), *(more or ("alone",))]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, process_group=0
    ) as process:
        try:
            assert process.stdout.readline() == f"{process.pid}\n"
            yield process
        finally:
            os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch):
    monkeypatch.setattr(run_lock, "PATIENCE_SECONDS", 0.0)


def test_a_second_run_is_refused_before_anything_starts(folder, tmp_path, capsys):
    options = ["device=cpu", f"trainer.output_dir={tmp_path}/run"]
    with another_run(tmp_path / "run") as other:
        assert main.main([*overrides_of(folder), *options]) == 2
        assert capsys.readouterr().err == (
            f"error: trainer.output_dir={tmp_path}/run: another run trains there, process {other.pid} of its machine. Wait "
            "until it has ended, stop it, or choose another folder.\n"
        )
        assert [file.name for file in (tmp_path / "run").iterdir()] == [".lock"]
        preflight.check(config_of(folder, f"trainer.output_dir={tmp_path}/other"))
    preflight.check(config_of(folder, options[1]))


@pytest.mark.parametrize(("save_freq", "is_refused"), [(1, True), (-1, False)])
def test_checkpoints_of_two_runs_in_one_folder(folder, tmp_path, save_freq, is_refused):
    config = config_of(
        folder,
        f"trainer.output_dir={tmp_path}/run",
        f"trainer.default_local_dir={tmp_path}/c",
        f"trainer.save_freq={save_freq}",
    )
    with another_run(tmp_path / "c"), ExitStack() as errors:
        if is_refused:
            errors.enter_context(
                pytest.raises(ValueError, match=f"trainer.default_local_dir={tmp_path}/c: another run")
            )
        preflight.check(config)


@pytest.mark.parametrize("checkpoints", ["run", "link"])
def test_a_run_may_have_one_folder_for_everything(folder, tmp_path, checkpoints):
    """It does not refuse itself, as another that trains there."""
    (tmp_path / "run").mkdir()
    (tmp_path / "link").symlink_to("run")
    places = (f"trainer.output_dir={tmp_path}/run", f"trainer.default_local_dir={tmp_path}/{checkpoints}")
    config = config_of(folder, *places, "trainer.save_freq=1")
    with run_lock.held(config):
        pass
    with another_run(tmp_path / "run"), pytest.raises(ValueError, match=f"trainer.output_dir={tmp_path}/run: another"):
        run_lock.check_alone(config)


def test_looking_makes_no_folder_and_holds_nothing(folder, tmp_path):
    config = config_of(folder, f"trainer.output_dir={tmp_path}/run")
    preflight.check(config)
    assert not (tmp_path / "run").exists()
    with ExitStack() as folders:
        assert run_lock.take(config, folders, io.StringIO())
        (tmp_path / "run" / "metrics.jsonl").touch()
    run_lock.check_alone(config)


def test_who_comes_between_the_look_and_the_start_is_told(folder, tmp_path):
    config = config_of(folder, f"trainer.output_dir={tmp_path}/run")
    said = io.StringIO()
    with another_run(tmp_path / "run"), ExitStack() as folders:
        assert not run_lock.take(config, folders, said)
    assert said.getvalue().startswith(f"error: trainer.output_dir={tmp_path}/run: another run trains there, process ")


@pytest.mark.parametrize("more", [("forks",), ("forks", "and becomes another program")])
def test_what_a_killed_run_has_forked_does_not_hold_its_folder(folder, tmp_path, more):
    """A data loader's worker notices the death of its parent seconds later; the run is started again at once."""
    config = config_of(folder, f"trainer.output_dir={tmp_path}")
    with another_run(tmp_path, *more) as other:
        with pytest.raises(ValueError, match="another run"):
            run_lock.check_alone(config)
        other.kill()
        other.wait()
        run_lock.check_alone(config)


def test_a_run_that_is_just_ending_is_waited_for(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(run_lock, "PATIENCE_SECONDS", 600.0)
    config = config_of(folder, f"trainer.output_dir={tmp_path}")
    with another_run(tmp_path) as other:
        other.stdin.write("\n")
        other.stdin.flush()
        run_lock.check_alone(config)
        with run_lock.held(config):
            pass


def test_a_file_system_without_locks_refuses_nobody(folder, tmp_path, monkeypatch):
    def no_locks(*_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    with run_lock.held(config_of(folder, f"trainer.output_dir={tmp_path}")):
        run_lock.check_alone(config_of(folder, f"trainer.output_dir={tmp_path}"))
