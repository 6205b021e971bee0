"""Stages go on from where they were, whenever that was; training itself is in tests/end_to_end/test_stages.py."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from tests.adapters import lora_shards, tiny_model, trained_adapter
from tests.whole_checkpoints import save_step
from verl_ext.data.parquet import write_rows
from verl_ext.data.rows import make_row
from verl_ext.host.folder_lock import BusyError, locked
from verl_ext.stages import sequence as module
from verl_ext.stages.__main__ import main
from verl_ext.stages.history import read_history
from verl_ext.stages.reset import reset
from verl_ext.stages.sequence import LOCKED, StageError, Stages
from verl_ext.stages.stage_file import Stage
from verl_ext.tasks.countdown import generate_problems, short_prompt
from verl_ext.training.ending import read_ended

BATCH = {
    "data.train_batch_size": 4,
    "data.max_prompt_length": 32,
    "data.max_response_length": 8,
    "trainer.save_freq": 2,
}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Options that a real launch would take: a model with 40 tokens, and rows."""
    folder = tmp_path_factory.mktemp("inputs")
    model = tiny_model(folder / "model", is_tied=True)
    rows = [
        make_row(data_source="countdown", prompt=short_prompt(p), ground_truth=p.reference, split="train", index=index)
        for index, p in enumerate(generate_problems(8, seed=1, split="train"))
    ]
    write_rows(rows, folder / "rows.parquet")
    options = [
        f"actor_rollout_ref.model.path={model}",
        *(f"data.{name}_files={folder}/rows.parquet" for name in ("train", "val")),
    ]
    return model, ["device=cpu", *options, "actor_rollout_ref.actor.ppo_mini_batch_size=4"]


def stages_of(*names: str, **options):
    return [
        Stage(
            name,
            4,
            BATCH | {"actor_rollout_ref.model.lora_rank": 4, "actor_rollout_ref.model.lora_alpha": 12} | options,
        )
        for name in names
    ]


def save_checkpoint(run: Path, base: Path, step: int, seed: int = 1) -> None:
    """What a launch leaves at a step, with an adapter on ``base``."""
    checkpoints = run / "checkpoints"
    model = trained_adapter(base, target_modules=["q_proj"])
    torch.manual_seed(seed)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    of_step = save_step(checkpoints, step)
    lora_shards(of_step / "actor", base, model)


class Rehearsed(Stages):
    """Stages whose training leaves a checkpoint at once; resets are real, in this process."""

    trained: list[int]

    def _train(self, number, lock):
        self.trained.append(number)
        options = dict(option.split("=", 1) for option in self.options(number))
        save_checkpoint(
            Path(options["trainer.output_dir"]), Path(options["actor_rollout_ref.model.path"]), 4, seed=number
        )
        return self._ended(number)

    def _merge(self, actor, base, target):
        return asdict(reset(actor, Path(base), target))


def rehearsed(stages, output, overrides):
    made = Rehearsed(stages, output, overrides)
    made.trained = []
    return made


def test_each_stage_starts_from_what_the_one_before_has_learned(tmp_path, inputs):
    _, overrides = inputs
    stages = rehearsed(stages_of("a", "b"), tmp_path, overrides)
    stages.run(resets_now=False)
    first, second = read_history(tmp_path)
    assert (first.model, second.ended, second.steps) == (second.base, "all steps made", 4)
    assert first.base != first.model != second.model
    assert first.adapter != second.adapter
    assert (
        Path(dict(o.split("=", 1) for o in stages.options(1))["actor_rollout_ref.model.path"])
        == tmp_path / "models/0-a"
    )
    again = rehearsed(stages_of("a", "b"), tmp_path, overrides)
    again.run(resets_now=False)
    assert again.trained == []


@pytest.mark.parametrize("moment", ["before the reset", "between the write and the switch"])
def test_a_reset_that_was_interrupted_is_made_again(tmp_path, inputs, monkeypatch, moment):
    _, overrides = inputs
    undisturbed = rehearsed(stages_of("a", "b"), tmp_path / "undisturbed", overrides)
    undisturbed.run(resets_now=False)

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if moment == "before the reset":
            patch.setattr(Rehearsed, "_reset", killed)
        else:
            patch.setattr(module, "write_history", killed)
        with pytest.raises(KeyboardInterrupt):
            rehearsed(stages_of("a", "b"), tmp_path / "run", overrides).run(resets_now=False)
    assert (tmp_path / "run/models/0-a").is_dir() == (moment != "before the reset")
    assert read_history(tmp_path / "run") == []
    resumed = rehearsed(stages_of("a", "b"), tmp_path / "run", overrides)
    resumed.run(resets_now=False)
    assert resumed.trained == [1], "the first stage's training was over"
    assert read_history(tmp_path / "run") == read_history(tmp_path / "undisturbed")


def test_killed_in_the_middle_of_a_merge(tmp_path, inputs):
    """The real command, killed as soon as the merge has begun to write; its reset's process ends with it."""
    model, overrides = inputs
    file = tmp_path / "stages.yaml"
    file.write_text(json.dumps({"options": dict(stages_of("a")[0].options), "stages": [{"name": "a", "steps": 4}]}))
    output = tmp_path / "run"
    save_checkpoint(output / "0-a", model, 4)
    command = [sys.executable, "-m", "verl_ext.stages", str(file), f"trainer.output_dir={output}", *overrides]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    while not list((output / "models").glob(".0-a.*")):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.001)
    (unfinished,) = (output / "models").glob(".0-a.*")
    process.kill()
    process.wait()
    child = int(unfinished.name.split(".")[2])
    while Path(f"/proc/{child}").exists() and "\nState:\tZ" not in Path(f"/proc/{child}/status").read_text():
        time.sleep(0.001)
    assert not (output / "stages.json").exists()
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0
    (done,) = read_history(output)
    assert (done.name, done.steps) == ("a", 4)
    assert [path.name for path in (output / "models").iterdir()] == ["0-a"], "nothing is left of the first attempt"


def test_a_reset_by_hand_of_a_stage_that_does_not_run(tmp_path, inputs):
    model, overrides = inputs
    with pytest.raises(ValueError, match="Stage a in .* has no checkpoint yet, so there is nothing to merge"):
        rehearsed(stages_of("a"), tmp_path, overrides).run(resets_now=True)
    save_checkpoint(tmp_path / "0-a", model, 2)
    stages = rehearsed(stages_of("a", "b"), tmp_path, overrides)
    stages.run(resets_now=True)
    assert stages.trained == [1]
    first, second = read_history(tmp_path)
    assert (first.steps, first.ended, second.ended) == (2, "asked for by --reset-now", "all steps made")
    with pytest.raises(ValueError, match="All stages in .* are finished"):
        rehearsed(stages_of("a", "b"), tmp_path, overrides).run(resets_now=True)


def test_a_reset_by_hand_of_a_stage_that_runs(tmp_path, inputs, capsys):
    """The running process finds the request; it is gone when the next stage starts."""
    _, overrides = inputs
    file = tmp_path / "stages.yaml"
    file.write_text(json.dumps({"options": dict(stages_of("a")[0].options), "stages": [{"name": "a", "steps": 4}]}))
    running = Stages(stages_of("a"), tmp_path / "run", overrides)
    with locked(tmp_path / "run", LOCKED):
        with pytest.raises(BusyError):
            Stages(stages_of("a"), tmp_path / "run", overrides).run(resets_now=False)
        assert main([str(file), f"trainer.output_dir={tmp_path / 'run'}"]) == 2
        assert "being run by another process. Wait for it" in capsys.readouterr().err
        assert main([str(file), f"trainer.output_dir={tmp_path / 'run'}", "--reset-now"]) == 0
    request = dict(option.split("=", 1) for option in running.options(0))["trainer.ends_early.request_file"]
    assert Path(request).name == ".reset_now-0-a", "of this stage, not of the next"
    assert Path(request).exists()
    rehearsed(stages_of("a"), tmp_path / "run", overrides).run(resets_now=False)
    assert not Path(request).exists()


def test_other_stages_do_not_go_on_in_the_folder(tmp_path, inputs):
    _, overrides = inputs
    rehearsed(stages_of("a"), tmp_path, overrides).run(resets_now=False)
    with pytest.raises(ValueError, match="has finished stage 1, a, which is not there in this file"):
        rehearsed(stages_of("b"), tmp_path, overrides).run(resets_now=False)
    other = stages_of("a", "b", **{"actor_rollout_ref.rollout.top_p": 0.9})
    with pytest.raises(
        ValueError, match=r"Stage a is finished .* with actor_rollout_ref.rollout.top_p=None, and the file says 0.9"
    ):
        rehearsed(other, tmp_path, overrides).run(resets_now=False)


def test_every_stage_is_checked_before_the_first_begins(tmp_path, inputs):
    _, overrides = inputs
    second = stages_of("b", **{"actor_rollout_ref.rollout.temprature": 1.2})
    stages = rehearsed([*stages_of("a"), *second], tmp_path, overrides)
    with pytest.raises(ValueError, match="no option temprature. Did you mean .*temperature"):
        stages.run(resets_now=False)
    without = rehearsed(stages_of("a", **{"trainer.save_freq": -1}), tmp_path, overrides)
    with pytest.raises(ValueError, match="Stage a needs checkpoints, which a reset merges: trainer.save_freq=-1"):
        without.run(resets_now=False)
    assert stages.trained == without.trained == []


def test_a_reset_that_fails_ends_the_command_and_keeps_the_checkpoint(tmp_path, inputs):
    model, overrides = inputs
    save_checkpoint(tmp_path / "0-a", model, 4)
    facts = tmp_path / "0-a/checkpoints/global_step_4/actor/lora_train_meta.json"
    facts.write_text("{}")
    stages = Stages(stages_of("a", "b"), tmp_path, overrides)
    with pytest.raises(StageError) as failed:
        stages.run(resets_now=False)
    assert failed.value.code == 1
    assert not (tmp_path / "models/0-a").exists()
    assert read_history(tmp_path) == []


def test_a_child_ends_with_its_parent(tmp_path):
    """As a stage does whose command is killed: nobody else would know of it."""
    script = (
        "import subprocess, sys; from verl_ext.stages.sequence import _end_with_parent as end\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], preexec_fn=end)\n"
        "print(child.pid, flush=True); child.wait()"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    while Path(f"/proc/{child}").exists():
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--reset"], "--reset is no option of stages"),
        (["trainer.total_training_steps=3"], "trainer.total_training_steps cannot be set: it is the stage's steps"),
    ],
)
def test_what_the_command_does_not_take(tmp_path, capsys, arguments, message):
    assert main([str(tmp_path / "stages.yaml"), *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_run_that_was_ended_is_read_back(tmp_path, inputs):
    """What --reset-now writes is what the launcher would refuse to go on from."""
    model, overrides = inputs
    save_checkpoint(tmp_path / "0-a", model, 2)
    rehearsed(stages_of("a"), tmp_path, overrides).run(resets_now=True)
    assert read_ended(tmp_path / "0-a/checkpoints") == (2, "asked for by --reset-now")


def test_every_stage_has_the_data_in_an_order_of_its_own(tmp_path, inputs):
    _, overrides = inputs
    for given, first in ((), 1), (("data.seed=7",), 7):
        stages = Stages(stages_of("a", "b"), tmp_path, [*overrides, *given])
        seeds = [[one for one in stages.options(number) if one.startswith("data.seed=")][-1] for number in (0, 1)]
        assert seeds == [f"data.seed={first}", f"data.seed={first + 1}"]
    bad = Stages(stages_of("a"), tmp_path, [*overrides, "data.seed=abc"])
    with pytest.raises(ValueError, match="data.seed must be a whole number"):
        bad.run(resets_now=False)


def test_another_first_model_does_not_go_on(tmp_path, inputs):
    model, overrides = inputs
    rehearsed(stages_of("a"), tmp_path / "out", overrides).run(resets_now=False)
    other = tiny_model(tmp_path / "other", is_tied=False)
    changed = [option.replace(str(model), str(other)) for option in overrides]
    with pytest.raises(
        ValueError, match="has stages that started from another model than actor_rollout_ref.model.path="
    ):
        rehearsed(stages_of("a", "b"), tmp_path / "out", changed).run(resets_now=False)


@pytest.mark.parametrize("option", ["{}.save_contents=[hf_model]", "+{}.save_lora_only=True"])
def test_checkpoints_have_what_a_reset_needs(tmp_path, inputs, option):
    _, overrides = inputs
    options = [*overrides, option.format("actor_rollout_ref.actor.checkpoint")]
    with pytest.raises(ValueError, match="Stage a needs whole checkpoints"):
        rehearsed(stages_of("a"), tmp_path, options).run(resets_now=False)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_child_ends_as_it_likes_when_the_command_is_interrupted(tmp_path, how):
    """SIGTERM comes to the parent alone, Ctrl-C to both; the child has time to clean up, and the parent its exit code.

    What a script starts in the background ignores Ctrl-C, and SIGTERM ends it all the same.
    """
    child = tmp_path / "child.py"
    child.write_text(
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))\n"
        "try:\n  print(1, flush=True); time.sleep(600)\n"
        "except (KeyboardInterrupt, SystemExit):\n  time.sleep(1); print(2, flush=True)"
    )
    script = (
        "import signal, subprocess, sys; from verl_ext.stages import sequence as s, __main__ as m\n"
        "signal.signal(signal.SIGTERM, m._terminate)\n"
        "try: s._wait(subprocess.Popen([sys.executable, sys.argv[1]], preexec_fn=s._end_with_parent))\n"
        "except s.StageError as error: sys.exit(error.code)"
    )
    at_start = signal.SIG_IGN if how == signal.SIGTERM else signal.SIG_DFL
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(child)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, at_start),
    )
    assert parent.stdout.readline() == "1\n"
    os.kill(parent.pid, how) if how == signal.SIGTERM else os.killpg(parent.pid, how)
    assert parent.communicate()[0] == "2\n"
    assert parent.returncode == 130
