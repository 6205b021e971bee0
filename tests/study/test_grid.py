"""The runs of a study are each made once, whatever happens to some of them and to the command."""

import json
import os
import signal
import subprocess
import time
from types import SimpleNamespace

import pytest
import yaml
from omegaconf import OmegaConf

from tests.study.conftest import command, fates, made, options_of, study_file
from verl_ext.host.folder_lock import locked
from verl_ext.study.__main__ import main
from verl_ext.study.grid import check_room
from verl_ext.study.study_record import RunEntry, RunState, StudyRecord, shown_seconds
from verl_ext.training import several_runs


@pytest.fixture
def study(folder, tmp_path):
    """Make the runs of a study with the given fates, or with the grid of a whole file; returns the exit code."""

    def run(*more: str, content=None, **named: str):
        content = {"grid": {"fate": fates(**named)}} if content is None else content
        is_text = isinstance(content, str)
        file = study_file(tmp_path, content if is_text else {"options": options_of(folder)} | content)
        return main(["run", str(file), f"trainer.output_dir={tmp_path}/out", *more])

    run.output = tmp_path / "out"
    return run


def entries(output):
    return {run["name"]: run for run in json.loads((output / "study.json").read_text())["runs"]}


def test_a_failed_run_does_not_stop_the_rest_and_is_listed(study, capfd):
    assert study(a="ends", b="fails", c="ends", d="killed", e="ends") == 1
    assert made(study.output) == ["a", "b", "c", "d", "e"]
    runs = entries(study.output)
    assert [(run["state"], run["code"]) for run in runs.values()] == [
        ("done", 0),
        ("failed", 1),
        ("done", 0),
        ("failed", 1),
        ("done", 0),
    ]
    assert all(run["seconds"] >= 0 for run in runs.values())
    assert (runs["b"]["folder"], runs["b"]["axes"]) == ("b", {"fate": "b"})
    assert f"trainer.output_dir={study.output / 'b'}" in runs["b"]["overrides"]
    said = capfd.readouterr().out
    assert "study: 0 of 5 runs done, 5 left to make\n" in said
    assert "study: 1 of 5 runs done, 1 failed, 3 left to make, about " in said
    assert said.endswith(
        f"\nfailed with code 1: {study.output}/b/train.log\nfailed with code 1: {study.output}/d/train.log\n"
    )


def test_what_is_done_is_passed_by_and_what_failed_is_tried_again(study, capfd):
    assert study(a="ends", b="fails") == 1
    capfd.readouterr()
    assert study(a="ends", b="ends") == 0
    assert made(study.output) == ["a", "b", "b"]
    assert [run["state"] for run in entries(study.output).values()] == ["done", "done"]
    assert "study: 1 of 2 runs done, 1 left to make, about " in capfd.readouterr().out
    assert study(a="ends", b="ends", c="ends") == 0, "a run that is new in the file"
    assert made(study.output) == ["a", "b", "b", "c"]


def test_a_finished_run_is_known_by_its_checkpoint_and_not_by_the_record(study):
    assert study(a="ends", b="ends") == 0
    (study.output / "study.json").unlink()
    assert study(a="ends", b="ends") == 0
    assert made(study.output) == ["a", "b"]
    runs = entries(study.output).values()
    assert [(run["state"], run["code"], run["seconds"]) for run in runs] == [("done", 0, None)] * 2


def test_a_run_that_has_not_ended_again_has_no_code(study):
    assert study(a="fails", b="fails") == 1
    assert study(a="interrupted", b="ends") == 130
    runs = entries(study.output).values()
    assert [(run["state"], run["code"]) for run in runs] == [("interrupted", 130), ("waiting", None)]


def test_killed_in_the_middle(study, folder, tmp_path, capsys):
    """kill -9 while the second run is made: its process still has the folder, and when that has ended the rest is made."""
    file = study_file(tmp_path, {"options": options_of(folder), "grid": {"fate": fates(a="ends", b="waits", c="ends")}})
    arguments = ["run", str(file), f"trainer.output_dir={study.output}"]
    process = subprocess.Popen(command(*arguments), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    while made(study.output) != ["a", "b"]:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert main(arguments) == 2
    assert f"The runs of the study in {study.output} are being run by another process." in capsys.readouterr().err
    assert [run["state"] for run in entries(study.output).values()] == ["done", "running", "waiting"]
    (study.output / "go_on").touch()
    while True:
        code = main(arguments)
        if code != 2:
            break
        assert "are being run by another process" in capsys.readouterr().err
        time.sleep(0.01)
    assert code == 0
    assert made(study.output) == ["a", "b", "c"], "b's process ended its run, and nothing was made twice"
    assert [run["state"] for run in entries(study.output).values()] == ["done"] * 3


def started(study, folder, tmp_path, *more, **named):
    """The command in a process of its own, with the study's runs of the given fates."""
    file = study_file(tmp_path, {"options": options_of(folder), "grid": {"fate": fates(**named)}})
    arguments = ["run", str(file), f"trainer.output_dir={study.output}", *more]
    return subprocess.Popen(command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(process, is_so):
    while not is_so():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)


def states_of(output):
    return [run["state"] for run in entries(output).values()]


def test_two_at_once(study, folder, tmp_path):
    """A run that ends makes room for the one after it in its row: of four, the first and the third are in one."""
    process = started(study, folder, tmp_path, "--at_once", "2", a="waits", b="fails", c="ends", d="waits")
    wait_for(process, lambda: set(made(study.output)) == {"a", "b", "d"})
    assert states_of(study.output) == ["running", "failed", "waiting", "running"]
    (study.output / "go_on").touch()
    said, errors = process.communicate()
    assert process.returncode == 1, errors
    assert made(study.output)[-1] == "c"
    assert states_of(study.output) == ["done", "failed", "done", "done"]
    assert "study: 0 of 4 runs done, 4 left to make\n" in said
    assert said.endswith(f"\nfailed with code 1: {study.output}/b/train.log\n")


def test_more_at_once_than_there_are_runs(study, capfd):
    assert study("--at_once=5", a="ends", b="ends") == 0
    assert sorted(made(study.output)) == ["a", "b"]
    assert study("--at_once=5", a="ends", b="ends") == 0, "and none that is left"


def test_who_ends_the_command_ends_all_that_are_made_at_once(study, folder, tmp_path):
    process = started(study, folder, tmp_path, "--at_once", "2", a="waits", b="waits", c="ends")
    wait_for(process, lambda: set(made(study.output)) == {"a", "b"})
    process.terminate()
    process.communicate()
    assert process.returncode == 130
    assert states_of(study.output) == ["interrupted", "interrupted", "waiting"]
    assert sorted(made(study.output)) == ["a", "b"]


def test_runs_at_once_need_a_cluster_that_gives_out_accelerators():
    def member(device, **ray_init):
        config = {"trainer": {"device": device}, "ray_kwargs": {"ray_init": ray_init}}
        return several_runs.Member(1, SimpleNamespace(config=OmegaConf.create(config)))

    with pytest.raises(ValueError, match=r"--at_once 2 needs a Ray cluster .* ray start --head"):
        check_room([member("cpu"), member("cuda")], 2)
    check_room([member("cuda")], 1)
    check_room([member("cuda", address="auto")], 2)
    check_room([member("cpu"), several_runs.Member(2, None)], 2)


def test_an_interruption_leaves_the_rest_waiting(study, capfd):
    assert study(a="ends", b="interrupted", c="ends") == 130
    assert [run["state"] for run in entries(study.output).values()] == ["done", "interrupted", "waiting"]
    assert capfd.readouterr().out.endswith("\ninterrupted: b\nwaiting: c\n")


def test_only_some(study, capsys):
    content = {"grid": {"fate": fates(nsr="ends", psr="ends")}, "seeds": [1, 2]}
    assert study("--only", "nsr-*", "--only=*2", content=content) == 0
    assert made(study.output) == ["nsr-seed1", "nsr-seed2", "psr-seed2"]
    states = {name: run["state"] for name, run in entries(study.output).items()}
    assert states == {"nsr-seed1": "done", "nsr-seed2": "done", "psr-seed1": "waiting", "psr-seed2": "done"}
    assert study("--only", "nrs-seed1", content=content) == 2
    assert "--only nrs-seed1 fits no run. Did you mean nsr-seed1?" in capsys.readouterr().err
    assert study("--only", content=content) == 2
    assert "--only needs a pattern of runs" in capsys.readouterr().err


def test_a_dry_run_prints_and_starts_nothing(study, capsys):
    assert study("--dry-run", "data.seed=3", a="ends", b="fails") == 0
    assert not study.output.exists()
    common, first, second, total = capsys.readouterr().out.splitlines()
    assert common.startswith("all runs: ")
    assert "data.seed=3" in common
    assert first == f"a: trainer.project_name=ends trainer.experiment_name=a trainer.output_dir={study.output}/a"
    assert second == f"b: trainer.project_name=fails trainer.experiment_name=b trainer.output_dir={study.output}/b"
    assert total == "2 of 2 runs"


@pytest.mark.parametrize("more", [[], ["--dry-run"]], ids=["for good", "dry"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"grid": {"objective": {"a": {"algorithm.adv_estimator": "nsr"}, "b": {"algorithm.adv_estimator": "nrs"}}}},
            "run b: algorithm.adv_estimator=nrs is not an estimator. Did you mean nsr?",
        ),
        (
            {"grid": {"actor_rollout_ref.rollout.temprature": [1.0]}},
            "run temprature_1.0: actor_rollout_ref.rollout has no option temprature. Did you mean actor_rollout_ref.rollout.temperature?",
        ),
        (
            {"grid": {"a": {"x": {"trainer.total_training_steps": "many"}}}},
            "run x: trainer.total_training_steps",
        ),
    ],
)
def test_a_mistake_is_told_in_one_line_before_anything_starts(study, capsys, content, message, more):
    assert study(*more, content=content) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {message}")
    assert error.count("\n") == 1
    assert made(study.output) == []


@pytest.mark.parametrize("option", ["actor_rollout_ref.model.path", "data.train_files"])
def test_a_file_that_is_not_there_yet_points_to_the_commands_that_make_it(study, folder, tmp_path, capsys, option):
    content = yaml.safe_dump({"options": options_of(folder) | {option: str(tmp_path / "not made")}, "seeds": [1]})
    assert study(content=f"# python scripts/prepare_data.py ...\n{content}") == 2
    error = capsys.readouterr().err
    assert error.endswith(f" The first lines of {tmp_path}/study.yaml say how its model and data are made.\n")
    assert study(content=content) == 2
    assert "The first lines" not in capsys.readouterr().err


def test_runs_without_checkpoints_are_refused(study, capsys):
    assert study("trainer.save_freq=-1", content={"seeds": [1]}) == 2
    assert "A study needs checkpoints, to know which runs are done" in capsys.readouterr().err
    assert made(study.output) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["start"], "There is no command 'start'. There are run, evaluate, results, experiment"),
        (["run"], "The first argument behind run is a file of a study"),
        (["run", "data.seed=1"], "The first argument behind run is a file of a study"),
        (["run", "FILE", "--onyl", "a"], "--onyl is no option of study. There are --dry-run, --only and --at_once"),
        (["run", "FILE", "nsr"], "nsr is no option of study"),
        (["run", "FILE", "--at_once", "0"], "--at_once 0 is no number of runs: give 1 or more."),
        (["run", "FILE", "--at_once"], "--at_once needs a number of runs, such as 2."),
        (["run", "FILE", "trainer.resume_mode=disable"], "trainer.resume_mode cannot be set: a run goes on"),
        (
            ["run", "FILE", "trainer.project_name=x"],
            "trainer.project_name cannot be set for all runs: the file sets it for some of them, such as a",
        ),
    ],
)
def test_what_the_command_does_not_take(tmp_path, capsys, arguments, message):
    file = study_file(tmp_path, {"grid": {"fate": fates(a="ends")}})
    assert main([str(file) if argument == "FILE" else argument for argument in arguments]) == 2
    assert message in capsys.readouterr().err


def test_two_commands_at_once(study, capsys):
    with locked(study.output, "The runs of the study"):
        assert study(a="ends") == 2
    assert "are being run by another process" in capsys.readouterr().err


def test_a_changed_setting_of_a_finished_run_is_refused(study, capsys):
    assert study(content={"seeds": [1]}) == 0
    assert study("algorithm.adv_estimator=psr", content={"seeds": [1]}) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: run seed1: ")
    assert "has the checkpoints of another run" in error


def entry(state, seconds=None):
    return RunEntry("a", {}, [], "a", state, seconds=seconds)


def test_the_time_left_is_that_of_the_runs_that_are_done(tmp_path):
    done = [entry(RunState.DONE, 100.0), entry(RunState.DONE, 140.0), entry(RunState.DONE), entry(RunState.FAILED, 1.0)]
    record = StudyRecord(tmp_path, "file", [*done, entry(RunState.RUNNING), entry(RunState.WAITING)])
    assert record.progress(2) == "3 of 6 runs done, 1 failed, 2 left to make, about 4 min"
    assert record.progress(0) == "3 of 6 runs done, 1 failed, 0 left to make"
    assert [shown_seconds(seconds) for seconds in (40, 89, 91, 5390, 5410, 36000)] == [
        "40 s",
        "89 s",
        "2 min",
        "90 min",
        "1.5 h",
        "10.0 h",
    ]


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"runs": [{"name": "a"}]}', '{"runs": [{"name": "a", "state": "x"}]}', '{"runs": 3}']
)
def test_a_damaged_record_names_itself(study, capsys, text):
    study.output.mkdir()
    (study.output / "study.json").write_text(text)
    assert study(a="ends") == 2
    error = capsys.readouterr().err
    assert "study.json" in error
    assert "the runs' folders know what is done" in error


def test_what_is_running_when_nobody_runs_was_interrupted(tmp_path):
    record = StudyRecord(tmp_path, "file", [entry(RunState.RUNNING, 3.0)])
    record.write()
    again = StudyRecord(tmp_path, "file", [entry(RunState.WAITING)])
    again.take_over()
    assert (again.entries[0].state, again.entries[0].seconds) == (RunState.INTERRUPTED, 3.0)


def test_an_interrupted_command_says_so(study, monkeypatch):
    def asked(*_, **__):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(10)

    monkeypatch.setattr("verl_ext.training.several_runs.prepare", asked)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background ignores it
    try:
        assert study(a="ends") == 130
    finally:
        signal.signal(signal.SIGINT, before)
