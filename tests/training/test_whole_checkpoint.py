"""A run goes on from what is whole: which checkpoint that is, what is said of the others, and when nobody but a person knows."""

import json
import shutil
from pathlib import Path

import pytest

from tests.training.conftest import config_of
from tests.whole_checkpoints import save_step, write_saved
from verl_ext.training import run_folder
from verl_ext.training.checkpoints import TRACKER, complete_steps, latest, resumed_checkpoint
from verl_ext.training.checks.resume import NothingLeftError, check_resume
from verl_ext.training.ending import write_ended
from verl_ext.training.fingerprint import NAME as FINGERPRINT
from verl_ext.training.whole_checkpoint import what_is_missing, written_last

ASYNCHRONOUS = "trainer.v1.trainer_mode=sign_filter_colocate_async"
RESUMED = "resuming from step {step} of {checkpoints}, made with settings that are not on record"


class Run:
    """A run that has saved steps, and what is left of them."""

    def __init__(self, folder: Path, out: Path, *options: str, steps=(2, 4)) -> None:
        self.checkpoints = out / "checkpoints"
        self.config = config_of(folder, f"trainer.output_dir={out}", "trainer.save_freq=1", *options)
        for step in steps:
            save_step(self.checkpoints, step)

    def step(self, number: int) -> Path:
        return self.checkpoints / f"global_step_{number}"

    @property
    def tracker(self) -> Path:
        return self.checkpoints / TRACKER

    def rows(self, *steps: int) -> None:
        rows = "".join(json.dumps({"step": step, "data": {}}) + "\n" for step in steps)
        (self.checkpoints.parent / "metrics.jsonl").write_text(rows)

    def begin(self) -> list[str]:
        """What is said at launch, after the checks."""
        return list(run_folder.begin(self.config, check_resume(self.config, 9)))


@pytest.fixture
def run(folder, tmp_path) -> Run:
    return Run(folder, tmp_path)


# ---------------------------------------------------------------------- what is whole


GONE = {
    "actor": "it has no actor.",
    "actor/model_world_size_1_rank_0.pt": "it has no actor/model_world_size_*_rank_*.pt.",
    "actor/optim_world_size_1_rank_0.pt": "it has no actor/optim_world_size_*_rank_*.pt.",
    "actor/extra_state_world_size_1_rank_0.pt": "it has no actor/extra_state_world_size_*_rank_*.pt.",
    "data.pt": "it has no data.pt, so the data would start over.",
}


@pytest.mark.parametrize("gone", GONE)
def test_what_is_gone_is_named(run, gone):
    assert what_is_missing(run.config, run.step(4)) is None
    path = run.step(4) / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert what_is_missing(run.config, run.step(4)) == GONE[gone]


@pytest.mark.parametrize("cut", [name for name in GONE if name.endswith(".pt")])
def test_what_is_cut_is_named(run, cut):
    """As a full disk leaves it."""
    file = run.step(4) / cut
    file.write_bytes(file.read_bytes()[:-3])
    assert what_is_missing(run.config, run.step(4)) == f"its {cut} is cut."


def test_the_files_of_all_ranks_are_looked_for(run):
    of_step = save_step(run.checkpoints, 6, num_ranks=3)
    assert what_is_missing(run.config, of_step) is None
    (of_step / "actor/optim_world_size_3_rank_1.pt").unlink()
    assert what_is_missing(run.config, of_step).startswith(
        "it has in actor the optim shards of 2 of 3 ranks; those of 1 are missing."
    )


def test_what_the_run_does_not_load_may_be_missing(folder, tmp_path):
    contents = "actor_rollout_ref.actor.checkpoint.{}_contents=[{}]".format
    run = Run(folder, tmp_path, contents("save", "model,optimizer,hf_model"))
    (run.step(4) / "actor/extra_state_world_size_1_rank_0.pt").unlink()
    assert what_is_missing(run.config, run.step(4)) is None
    (run.step(4) / "actor/optim_world_size_1_rank_0.pt").unlink()
    assert what_is_missing(run.config, run.step(4)) == "it has no actor/optim_world_size_*_rank_*.pt."
    assert what_is_missing(Run(folder, tmp_path, contents("load", "model"), steps=()).config, run.step(4)) is None


def test_without_a_model_nothing_is_gone_on_from(folder, tmp_path):
    """verl would load nothing, and train the first weights from there."""
    run = Run(folder, tmp_path, "actor_rollout_ref.actor.checkpoint.save_contents=[hf_model]")
    for file in (run.step(4) / "actor").iterdir():
        file.unlink()
    assert what_is_missing(run.config, run.step(4)) == "it has no actor/model_world_size_*_rank_*.pt."


def test_a_critic_belongs_to_it(folder, tmp_path):
    run = Run(folder, tmp_path, "algorithm.adv_estimator=gae", "critic.enable=True")
    assert what_is_missing(run.config, run.step(4)) == "it has no critic."
    of_step = save_step(run.checkpoints, 6, parts=("actor", "critic"))
    assert what_is_missing(run.config, of_step) is None
    (of_step / "critic/optim_world_size_1_rank_0.pt").unlink()
    assert what_is_missing(run.config, of_step) == "it has no critic/optim_world_size_*_rank_*.pt."


def test_what_waits_belongs_to_an_asynchronous_run_alone(folder, tmp_path):
    """verl writes it after the state of the data, and passes over it where it is missing."""
    run = Run(folder, tmp_path, ASYNCHRONOUS)
    missing = "it has no transfer_queue, so the answers that were waiting would be lost."
    assert what_is_missing(run.config, run.step(4)) == missing
    (run.step(4) / "transfer_queue").mkdir()
    assert what_is_missing(run.config, run.step(4)) is None
    assert written_last(run.config) == "transfer_queue"
    for mode in ("sync", "sign_filter_sync"):
        assert written_last(Run(folder, tmp_path, f"trainer.v1.trainer_mode={mode}", steps=()).config) == "data.pt"


# ---------------------------------------------------------------------- the last one


def test_a_step_that_is_not_whole_is_passed_over(run):
    (run.step(4) / "data.pt").unlink()
    said = run.begin()
    assert said[0] == RESUMED.format(step=2, checkpoints=run.checkpoints)
    assert said[1] == (
        f"step 4 of {run.checkpoints} is not complete: it has no data.pt, so the data would start over; the last complete "
        "checkpoint is that of step 2"
    )
    assert run.tracker.read_text() == "2", "which is what verl reads"
    assert len(run.begin()) == 1, "and no more is said of it"


def test_nothing_later_than_the_last_one_is_taken(run):
    """Of what is later, somebody went back."""
    save_step(run.checkpoints, 8)
    run.tracker.write_text("4")
    (run.step(4) / "data.pt").unlink()
    assert resumed_checkpoint(run.config).step == 2


@pytest.mark.parametrize("content", ["", "\0\0", "four"])
@pytest.mark.parametrize("cut", [False, True])
def test_a_tracker_that_is_cut_is_mended(run, content, cut):
    """verl empties the file before it writes the number into it."""
    run.tracker.write_text(content)
    if cut:
        (run.step(4) / "actor/model_world_size_1_rank_0.pt").write_bytes(b"")
    step = 2 if cut else 4
    said = run.begin()
    assert said[0] == RESUMED.format(step=step, checkpoints=run.checkpoints)
    assert said[1] == (
        f"{run.tracker} should hold the number of the last checkpoint and holds {content!r}, as when a run is killed while it "
        f"writes; the last complete checkpoint is that of step {step}"
    )
    assert run.tracker.read_text() == str(step)


def test_a_validation_alone_mends_it_too(run):
    run.tracker.write_text("")
    run.config.trainer.val_only = True
    assert len(run.begin()) == 2
    assert run.tracker.read_text() == "4"


@pytest.mark.parametrize(("last_row", "step"), [(3, 4), (1, 2), (5, 4)])
def test_a_cut_tracker_leads_to_no_earlier_course(run, last_row, step):
    """A run saves a step and then writes its row: what is later is of before somebody went back."""
    run.tracker.write_text("")
    run.rows(*range(last_row + 1))
    assert resumed_checkpoint(run.config).step == step


def test_a_person_decides_where_nothing_tells(run):
    """No step is whole; all are later than the rows; the one that the tracker names is gone."""
    run.rows(0)
    run.tracker.write_text("")
    with pytest.raises(
        ValueError, match="holds '', as when .*\\. Complete are the steps 2, 4. Write one of them into .*, or del"
    ):
        check_resume(run.config, 9)
    run.tracker.write_text("3")
    with pytest.raises(
        ValueError, match=r"says step 3, but there is no .*/global_step_3\. Complete are the steps 2, 4\."
    ):
        check_resume(run.config, 9)
    for step in (2, 4):
        (run.step(step) / "data.pt").unlink()
    for content in ("", "4"):
        run.tracker.write_text(content)
        with pytest.raises(ValueError, match=rf"\. No step is complete\. Delete {run.tracker} to start over\."):
            check_resume(run.config, 9)
    run.tracker.unlink()
    assert check_resume(run.config, 9) is None


def test_of_a_finished_run_nothing_is_read(run):
    """Whoever removes its optimizer does not make it train again; a validation needs it."""
    for step in (2, 4):
        shutil.rmtree(run.step(step) / "actor")
    with pytest.raises(NothingLeftError, match="step 4 of 4"):
        check_resume(run.config, 4)
    write_ended(run.checkpoints, 4, "plateau: no more")
    with pytest.raises(NothingLeftError, match="ended early, at step 4"):
        check_resume(run.config, 9)
    run.config.trainer.val_only = True
    with pytest.raises(ValueError, match="it has no actor. No step is complete"):
        check_resume(run.config, 4)


def test_a_run_that_repeats_takes_none_that_is_not_whole(folder, tmp_path):
    run = Run(folder, tmp_path, "trainer.deterministic=True", steps=(2, 3, 4))
    run.rows(1, 2, 3)
    for step in (2, 3):
        (run.step(step) / "ending.json").write_text("{}")
    assert resumed_checkpoint(run.config).step == 3
    (run.step(3) / "data.pt").unlink()
    assert resumed_checkpoint(run.config).step == 2


# ---------------------------------------------------------------------- one that is given


def given(run: Run, step: int) -> Run:
    run.config.trainer.resume_mode = "resume_path"
    run.config.trainer.resume_from_path = str(run.step(step))
    return run


def test_a_given_step_is_whole(run):
    """verl would train it on the first problems again, with a line in the log."""
    assert check_resume(given(run, 4).config, 9).step == 4
    (run.step(4) / "data.pt").unlink()
    with pytest.raises(ValueError) as error:
        check_resume(run.config, 9)
    assert str(error.value) == (
        f"trainer.resume_from_path={run.step(4)} is not complete: it has no data.pt, so the data would start over. "
        f"In {run.checkpoints}: Complete are the steps 2."
    )


def test_another_run_is_named_before_what_is_missing(run):
    """A run of the synchronous trainer has no queue."""
    (run.checkpoints / FINGERPRINT).write_text(json.dumps({"trainer.v1.trainer_mode": "sign_filter_sync"}))
    run.config.trainer.v1.trainer_mode = "sign_filter_colocate_async"
    with pytest.raises(ValueError, match="trainer.v1.trainer_mode .*sign_filter_sync -> sign_filter_colocate_async"):
        check_resume(given(run, 4).config, 9)


def test_complete_are_those_that_can_be_gone_on_from(run):
    write_saved(run.step(6) / "data.pt")
    assert complete_steps(run.config, run.checkpoints) == [2, 4]
    assert latest(run.config) == (4, "")
