"""What used to be found out a minute after the launch, or in a traceback; and help, any locale, any folder."""

import os
import shutil
import subprocess
import sys
import time

import psutil
import pytest

from tests.training.conftest import config_of, overrides_of
from verl_ext.training import launch as launch_module
from verl_ext.training import preflight
from verl_ext.training.checks import loggers
from verl_ext.training.checks.machine import check_output


@pytest.fixture
def no_account(monkeypatch, tmp_path):
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "WANDB_BASE_URL", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(loggers, "find_spec", lambda name: None if name == "swanlab" else name)
    return tmp_path


@pytest.mark.parametrize("logger", ["wandb", "[file,wandb]", "tracking"])
def test_wandb_without_an_account_is_refused(folder, no_account, logger):
    with pytest.raises(ValueError, match="no account of Weights & Biases here"):
        preflight.check(config_of(folder, f"trainer.logger={logger}"))


@pytest.mark.parametrize(
    "variable", ["WANDB_MODE=offline", "WANDB_MODE=disabled", "WANDB_API_KEY=x", "WANDB_IDENTITY_TOKEN_FILE=/x"]
)
def test_wandb_with_an_account_or_offline_passes(folder, no_account, monkeypatch, variable):
    monkeypatch.setenv(*variable.split("="))
    preflight.check(config_of(folder, "trainer.logger=wandb"))


def test_wandb_finds_its_key_where_wandb_login_puts_it(folder, no_account):
    (no_account / ".netrc").write_text("machine api.wandb.ai login user password x\n")
    (no_account / ".netrc").chmod(0o600)
    preflight.check(config_of(folder, "trainer.logger=wandb"))


@pytest.mark.parametrize(
    ("logger", "message"),
    [
        ("tensorbord", "Did you mean tensorboard?"),
        ("[file,papyrus]", "papyrus"),
        ("swanlab", "needs the package swanlab"),
    ],
)
def test_a_logger_that_is_not_there_is_refused(folder, no_account, logger, message):
    with pytest.raises(ValueError, match="trainer.logger=") as error:
        preflight.check(config_of(folder, f"trainer.logger={logger}"))
    assert message in str(error.value)


def test_verls_loggers_are_those_that_are_listed():
    from verl.utils.tracking import Tracking

    assert {*Tracking.supported_backend, "tracking"} == set(loggers.MODULES)


def test_an_output_folder_that_cannot_be_is_refused(folder, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=f"{tmp_path}/file is a file"):
        preflight.check(config_of(folder, f"trainer.output_dir={tmp_path}/file/run"))
    monkeypatch.setattr(os, "access", lambda path, _mode: str(path) != str(tmp_path))  # root may write everywhere
    with pytest.raises(ValueError, match=f"trainer.output_dir={tmp_path}/run: {tmp_path} cannot be written"):
        preflight.check(config_of(folder, f"trainer.output_dir={tmp_path}/run"))


@pytest.mark.parametrize(
    ("option", "name"),
    [
        ("trainer.rollout_data_dir", "file/rollouts"),
        ("trainer.rollout_data_dir", "file"),
        ("trainer.validation_data_dir", "file/validation"),
        ("trainer.rollout_gap_file", "file/gaps.jsonl"),
    ],
)
def test_what_is_written_within_a_step_can_be(folder, tmp_path, monkeypatch, option, name):
    (tmp_path / "file").write_text("")
    config = config_of(folder, f"trainer.output_dir={folder}/run", f"{option}={tmp_path}/{name}")
    with pytest.raises(ValueError, match=f"^{option}={tmp_path}/{name}: {tmp_path}/file is a file"):
        check_output(config)
    (tmp_path / "file").unlink()
    check_output(config)
    monkeypatch.setattr(os, "access", lambda path, _mode: str(path) != str(tmp_path))  # root may write everywhere
    with pytest.raises(ValueError, match=f"^{option}={tmp_path}/{name}: {tmp_path} cannot be written"):
        check_output(config)


def test_a_file_of_gaps_is_a_file_that_can_be_written(folder, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=f"^trainer.rollout_gap_file={tmp_path} is a folder"):
        check_output(config_of(folder, f"trainer.rollout_gap_file={tmp_path}"))
    file = tmp_path / "gaps.jsonl"
    file.write_text("")
    config = config_of(folder, f"trainer.rollout_gap_file={file}")
    check_output(config)
    monkeypatch.setattr(os, "access", lambda path, _mode: path != file)
    with pytest.raises(ValueError, match=f"^trainer.rollout_gap_file={file} cannot be written"):
        check_output(config)


def launch(*arguments, **environment):
    command = [sys.executable, "-m", "verl_ext.training.main", *arguments]
    return subprocess.run(command, capture_output=True, check=False, env=os.environ | environment)


def test_an_output_folder_that_fails_late_is_one_line(folder, tmp_path):
    done = launch(*overrides_of(folder), "device=cpu", "trainer.output_dir=/proc/run")
    assert done.returncode == 2
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("error: trainer.output_dir=/proc/run cannot be written")


@pytest.mark.parametrize("word", ["--help", "-h"])
def test_the_launcher_helps(word):
    done = launch("data.seed=abc", word)
    assert done.returncode == 0
    assert "actor_rollout_ref.model.path=MODEL" in done.stdout.decode()
    assert done.stderr == b""


@pytest.mark.parametrize("locale", ["C", "en_US.ISO-8859-1"])
def test_names_with_accents_in_any_locale_and_no_home(folder, tmp_path, locale):
    """Every check but the last passes, with everything read as UTF-8; the last one is said in the terminal's encoding."""
    place = tmp_path / "données = ü, a"
    shutil.copytree(folder, place)
    environment = {"LC_ALL": locale, "LANG": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-m", "verl_ext.training.main", *overrides_of(place), "device=cpu"]
    bare = {name: value for name, value in os.environ.items() if name not in ("HOME", "PYTHONIOENCODING")}
    done = subprocess.run(
        [*command, "trainer.total_training_steps=999"], capture_output=True, check=False, env=bare | environment
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith(b"error: trainer.total_training_steps=999, but 30 epochs of 32 rows")
    done = subprocess.run(
        [*command, "trainer.default_local_dir=~nobody-at-all/x", "data.seed=abc"],
        capture_output=True,
        check=False,
        env=bare | environment,
    )
    assert done.stderr.startswith(b"error: data.seed must be")


FAMILY = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if sys.argv[1] != "0":
    subprocess.Popen([sys.executable, "-c", sys.argv[2], str(int(sys.argv[1]) - 1), sys.argv[2]])
print("up", flush=True)
time.sleep(600)
"""


def start_family():
    """Three generations that ignore a polite signal, as when a killed actor leaves its engine."""
    parent = subprocess.Popen([sys.executable, "-c", FAMILY, "2", FAMILY], stdout=subprocess.PIPE)
    for _ in range(3):
        parent.stdout.readline()
    family = [psutil.Process(parent.pid), *psutil.Process(parent.pid).children(recursive=True)]
    assert len(family) == 3
    return parent, family


def is_running(process):
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def test_what_a_killed_actor_has_started_ends_too(monkeypatch):
    """The actor is dead before Ray is shut down, and its children then belong to nobody."""
    other, others = start_family()
    actor, family = start_family()

    def kill_the_actor(_trainer):
        actor.kill()
        actor.wait()

    monkeypatch.setattr(launch_module, "_kill_workers", kill_the_actor)
    monkeypatch.setattr(launch_module, "_shut_down_ray", lambda: None)
    monkeypatch.setattr("transfer_queue.close", lambda: None)
    try:
        launch_module.stop(None, others)
        while any(map(is_running, family)):
            time.sleep(0.05)  # the test's own limit ends it
        assert all(map(is_running, others)), "what was there before the run is not the run's"
    finally:
        launch_module.end_processes([*others, *family])
        other.wait()
        other.stdout.close()
        actor.stdout.close()


def test_a_stop_that_fails_half_way_leaves_no_process(monkeypatch):
    """A print to a log on a full disk raises, wherever it is."""

    def full(*_):
        raise OSError(28, "No space left on device")

    for step in ("_kill_workers", "_shut_down_ray"):
        monkeypatch.setattr(launch_module, step, full)
    monkeypatch.setattr("transfer_queue.close", full)
    others = psutil.Process().children(recursive=True)
    parent, family = start_family()
    with pytest.raises(OSError, match="No space left"):
        launch_module.stop(None, others)
    while any(map(is_running, family)):
        time.sleep(0.05)  # the test's own limit ends it
    parent.wait()
    parent.stdout.close()


LOADER = """
import psutil
from torch.utils.data import DataLoader

from verl_ext.training.launch import end_processes

if __name__ == "__main__":
    rows = iter(DataLoader(range(64), num_workers=1))
    next(rows)
    workers = psutil.Process().children(recursive=True)
    assert workers
    end_processes(workers)
    assert not any(worker.is_running() for worker in workers)
    print("ended")
"""


def test_a_data_loaders_worker_ends_with_the_run(tmp_path):
    """PyTorch raises in the main thread when a worker is killed; a run that was done would end as a failure."""
    script = tmp_path / "loader.py"
    script.write_text(LOADER)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "ended\n"
