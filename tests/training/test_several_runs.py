"""Several runs in one command: which they are, what is checked before the first, and what a failure leaves of the rest."""

import os
import signal

import pytest

from tests.training.conftest import overrides_of
from tests.whole_checkpoints import save_step
from verl_ext.training import main, several_runs
from verl_ext.training.checks.resume import NothingLeftError
from verl_ext.training.several_runs import runs_of

STAND_IN = """
import os, signal
from multiprocessing.connection import Connection
pipe = Connection({descriptor})
members, total, is_alone = pipe.recv()
for member in members:
    fate = member.run.config.trainer.experiment_name
    print("made", member.number, "of", total, "by", "one process", flush=True)
    if fate == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    code = {{"ends": 0, "fails": 1, "interrupted": 130, "goes back": 3}}[fate]
    if fate == "goes back" and os.path.exists(member.run.config.trainer.output_dir):
        code = 0
    os.makedirs(member.run.config.trainer.output_dir, exist_ok=True)
    pipe.send(code)
    if code:
        break
"""


def test_options_in_front_belong_to_every_run():
    assert runs_of(["a=1", "b=2", "--run", "c=3", "--run", "a=4"]) == [["a=1", "b=2", "c=3"], ["a=1", "b=2", "a=4"]]
    assert runs_of(["a=1", "--run"]) == [["a=1"]]


def test_a_sweep_is_every_combination():
    assert runs_of(["--multirun", "a=1,2", "b=[1,2]", "c=x,y"]) == [
        ["a=1", "b=[1,2]", "c=x"],
        ["a=1", "b=[1,2]", "c=y"],
        ["a=2", "b=[1,2]", "c=x"],
        ["a=2", "b=[1,2]", "c=y"],
    ]
    assert runs_of(["-m", "s='a,b'", "n=range(1,3)"]) == [["s='a,b'", "n=1"], ["s='a,b'", "n=2"]]


def test_without_the_word_a_comma_is_no_sweep():
    assert runs_of(["a=1,2", "--run", "b=1"]) == [["a=1,2", "b=1"]]


def test_a_sweep_leaves_alone_what_it_cannot_read():
    assert runs_of(["--multirun", "trainer.output_dir=/a b=c/{", "a=1,2"]) == [
        ["trainer.output_dir=/a b=c/{", "a=1"],
        ["trainer.output_dir=/a b=c/{", "a=2"],
    ]


def test_a_mistake_in_the_last_run_is_told_before_the_first(folder, capsys, tmp_path):
    runs = [f"trainer.output_dir={tmp_path}/{name}" for name in "ab"]
    argv = [*overrides_of(folder), "device=cpu", "--run", runs[0], "--run", runs[1], "algorithm.adv_estimator=nrs"]
    assert main.main(argv) == 2
    assert "error: run 2 of 2: algorithm.adv_estimator=nrs" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_runs_in_one_folder_are_refused(folder, capsys):
    assert main.main([*overrides_of(folder), "device=cpu", "--multirun", "algorithm.adv_estimator=nsr,psr"]) == 2
    assert "runs 1 and 2 both have trainer.output_dir=" in capsys.readouterr().err


def test_the_configuration_of_several_runs_is_not_printed(folder, capsys):
    assert main.main([*overrides_of(folder), "device=cpu", "--run", "--run", "--cfg", "job"]) == 2
    assert "--cfg prints the configuration of one run" in capsys.readouterr().err


@pytest.fixture
def outcomes_of(folder, monkeypatch, tmp_path):
    """Make runs with the given fates; returns what became of each."""
    monkeypatch.setattr(several_runs, "SERVE", STAND_IN)

    def outcomes(*fates: str):
        runs = [
            [*overrides_of(folder), f"trainer.output_dir={tmp_path}/{number}", f"trainer.experiment_name={fate}"]
            for number, fate in enumerate(fates)
        ]
        members = several_runs.prepare(runs)
        several_runs.train(members)
        return [member.code for member in members], [member.said.partition(":")[0] for member in members]

    return outcomes


def test_a_run_that_fails_does_not_take_the_rest_with_it(outcomes_of):
    codes, said = outcomes_of("ends", "fails", "ends", "killed", "ends")
    assert codes == [0, 1, 0, 1, 0]
    assert said[1] == "FAILED with code 1"
    assert said[3] == "FAILED with code 1 (its process ended with signal SIGKILL)"


@pytest.mark.parametrize("num_kills", [0, 1])
def test_a_trainer_that_was_killed_for_memory_says_what_it_was_doing(outcomes_of, monkeypatch, capsys, num_kills):
    """The kernel's counter tells its kills from others'; what the run was doing, the run has said before."""
    send = "    if fate == 'killed':\n        pipe.send(Seen('update', {{'trainer with the learner': 3 * 2**30}}))\n"
    code = several_runs.SERVE.replace(
        "    code = {{", send + "        os.kill(os.getpid(), signal.SIGKILL)\n    code = {{"
    )
    code = code.replace('    if fate == "killed":\n        os.kill(os.getpid(), signal.SIGKILL)\n', "")
    monkeypatch.setattr(several_runs, "SERVE", "from verl_ext.training.killed import Seen\n" + code)
    kills = iter([4, 4 + num_kills])
    monkeypatch.setattr(several_runs, "kills_of_the_kernel", lambda: next(kills))
    codes, _ = outcomes_of("killed")
    assert codes == [1]
    told = capsys.readouterr().err
    if num_kills:
        assert "error: the trainer was killed for memory during the update. At most its processes had 3.0 GiB" in told
        assert "(trainer with the learner 3.0)" in told
        assert "To need less, set actor_rollout_ref.actor.ppo_max_token_len_per_gpu=" in told
    else:
        assert "error: the process of the run ended with signal SIGKILL" in told


def test_a_request_to_end_goes_to_the_runs_first(outcomes_of, monkeypatch):
    """They have Ray's processes to end; those that come after are not begun."""
    asks = '    if fate == "fails":\n        os.kill(os.getppid(), signal.SIGTERM)\n        signal.pause()\n'
    monkeypatch.setattr(several_runs, "SERVE", STAND_IN.replace("    code = {{", asks + "    code = {{"))
    before = signal.getsignal(signal.SIGTERM)
    codes, said = outcomes_of("ends", "fails", "ends")
    assert codes == [0, 130, 130]
    assert said[1:] == ["FAILED with code 130", "not started"]
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize("code", [0, 1])
def test_nothing_is_begun_after_a_request_to_end(outcomes_of, monkeypatch, code):
    """Whatever the run says of its end: it may have been at its last step, or have taken the request for an error."""
    asks = f"""    if fate == "fails":
        try:
            os.kill(os.getppid(), signal.SIGTERM)
            signal.pause()
        finally:
            pipe.send({code})
            break
"""
    catches = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))\n"
    monkeypatch.setattr(several_runs, "SERVE", catches + STAND_IN.replace("    code = {{", asks + "    code = {{"))
    assert outcomes_of("fails", "ends")[0] == [130 if code else 0, 130]


def test_what_the_launcher_holds_its_runs_hold(outcomes_of, monkeypatch, tmp_path, capfd):
    """A lock that it inherited is free only when nothing of the run is left."""
    lock = os.open(tmp_path / "lock", os.O_CREAT | os.O_RDWR)
    os.set_inheritable(lock, True)
    monkeypatch.setattr(
        several_runs, "SERVE", f"import os; print('holds', os.readlink('/proc/self/fd/{lock}'))\n" + STAND_IN
    )
    try:
        assert outcomes_of("ends")[0] == [0]
    finally:
        os.close(lock)
    assert f"holds {tmp_path}/lock" in capfd.readouterr().out


def test_an_interruption_ends_them_all(outcomes_of):
    codes, said = outcomes_of("ends", "interrupted", "ends", "ends")
    assert codes == [0, 130, 130, 130]
    assert said[2:] == ["not started"] * 2


def test_a_run_that_goes_back_is_started_again_before_the_next(outcomes_of, capfd):
    codes, said = outcomes_of("ends", "goes back", "ends")
    assert codes == [0, 0, 0]
    assert said == ["done"] * 3
    made = [line.split()[1] for line in capfd.readouterr().out.splitlines() if line.startswith("made")]
    assert made == ["1", "2", "2", "3"]


def test_one_that_cannot_start_again_has_failed(outcomes_of, monkeypatch, capfd):
    def refuse(_run):
        raise ValueError("there is 1 MiB left")

    monkeypatch.setattr(several_runs.one_run, "again", refuse)
    codes, said = outcomes_of("goes back", "ends")
    assert codes == [2, 0]
    assert said[0] == "FAILED with code 2"
    assert "error: there is 1 MiB left" in capfd.readouterr().err


def test_it_is_started_with_what_leads_it_back(folder, tmp_path):
    options = ["trainer.resume_mode=disable", f"trainer.output_dir={tmp_path}", "trainer.experiment_name=ends"]
    run = several_runs.one_run.prepare([*overrides_of(folder), "device=cpu", *options])
    save_step(tmp_path / "checkpoints", 1)
    again = several_runs.one_run.again(run)
    assert (run.checkpoint, again.checkpoint.step) == (None, 1)
    assert again.overrides == [*run.overrides, "trainer.resume_mode=auto"]


def test_a_finished_run_is_passed_by(outcomes_of, monkeypatch):
    prepare = several_runs.one_run.prepare

    def prepare_or_refuse(overrides):
        if "trainer.experiment_name=fails" in overrides:
            raise NothingLeftError("it has a checkpoint of step 2 and ends at step 2")
        return prepare(overrides)

    monkeypatch.setattr(several_runs.one_run, "prepare", prepare_or_refuse)
    codes, said = outcomes_of("fails", "ends")
    assert codes == [0, 0]
    assert said[0] == "nothing to do"


def test_runs_share_a_process_until_one_differs(folder, tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(several_runs, "SERVE", STAND_IN.replace('"one process"', "os.getpid()"))
    more = ([], [], ["data.max_response_length=8"])
    runs = [
        [*overrides_of(folder), f"trainer.output_dir={tmp_path}/{number}", "trainer.experiment_name=ends", *options]
        for number, options in enumerate(more)
    ]
    several_runs.train(several_runs.prepare(runs))
    shown = capfd.readouterr().out
    makers = [line.split()[-1] for line in shown.splitlines() if line.startswith("made")]
    assert makers[0] == makers[1] != makers[2]
    assert "run 3 starts a stack of its own: actor_rollout_ref.rollout.response_length is 8 instead of 16" in shown
