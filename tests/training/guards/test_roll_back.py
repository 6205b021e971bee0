"""A run that goes back: which checkpoint, what the folder holds then, and when it stops instead."""

import math
import shutil

import pytest

from tests.training.guards.walk import options_with
from tests.whole_checkpoints import save_step
from verl_ext.training import run_folder
from verl_ext.training.checkpoints import Checkpoint, resumed_checkpoint, saved_steps
from verl_ext.training.checks.early_end import check_early_end
from verl_ext.training.guards import roll_back
from verl_ext.training.guards.guard import OPTIONS, Moment
from verl_ext.training.guards.guardrails import Guardrails
from verl_ext.training.guards.roll_back import GuardrailError, RolledBackError
from verl_ext.training.kept_checkpoints import KeptCheckpoints

BACK = f"{OPTIONS}.not_finite.action=roll_back"


class Run:
    """A run's folder with checkpoints, and its update that breaks."""

    def __init__(self, folder, *steps: int, options: tuple[str, ...] = ()) -> None:
        self.checkpoints = folder / "checkpoints"
        self.config = options_with(f"trainer.output_dir={folder}", "actor_rollout_ref.model.path=/none", BACK, *options)
        self.kept = KeptCheckpoints(self.config)
        self.save(*steps)

    def save(self, *steps: int) -> None:
        for step in steps:
            with self.kept.saving(step):
                save_step(self.checkpoints, step)

    def breaks(self, step: int) -> RuntimeError:
        """What the run ends with, having gone on from its last checkpoint."""
        guardrails = Guardrails.of(self.config)
        past = roll_back.rollbacks(self.checkpoints)
        guardrails.learning_rate_factor = past[-1].learning_rate_factor if past else 1.0
        finding = guardrails.look(Moment.UPDATED, step, {"actor/loss": math.nan})
        return roll_back.ending_of(finding, guardrails, self.config, self.kept.with_actor)


def test_it_goes_on_from_the_last_checkpoint_before(tmp_path):
    """The one of the step itself was saved after the update that broke."""
    run = Run(tmp_path, 10, 20, 30)
    error = run.breaks(30)
    assert isinstance(error, RolledBackError)
    assert str(error).startswith("step 30, guardrail not_finite: actor/loss=nan")
    assert str(error).endswith(
        "The run goes back to step 20, with 0.5 times the configured learning rate. The same command goes on from there."
    )
    assert resumed_checkpoint(run.config) == Checkpoint(20, run.checkpoints / "global_step_20")
    assert saved_steps(run.checkpoints) == [10, 20]
    assert saved_steps(run.checkpoints / "rolled_back_1") == [30]


def test_each_time_the_learning_rate_is_lowered_further(tmp_path):
    run = Run(tmp_path, 10, 20, options=(f"{OPTIONS}.learning_rate_factor=0.1",))
    run.breaks(25)
    run.save(30, 40)
    run.breaks(31)
    first, second = roll_back.rollbacks(run.checkpoints)
    assert (first.step, first.guardrail, first.to_step, first.learning_rate_factor) == (25, "not_finite", 20, 0.1)
    assert (second.to_step, second.learning_rate_factor) == (30, pytest.approx(0.01))
    assert saved_steps(run.checkpoints / "rolled_back_1") == [40], "the first time there was nothing to move"
    assert roll_back.described(run.checkpoints) == (
        "gone back 2 times, last from step 31 to step 30 (not_finite): 0.01 times the configured learning rate"
    )


def test_it_stops_when_it_has_gone_back_often_enough(tmp_path):
    run = Run(tmp_path, 10)
    for _ in range(2):
        assert isinstance(run.breaks(15), RolledBackError)
    error = run.breaks(15)
    assert isinstance(error, GuardrailError)
    assert f"It has gone back 2 times, and {OPTIONS}.max_rollbacks=2: the run stops" in str(error)
    assert len(roll_back.rollbacks(run.checkpoints)) == 2


def test_without_a_checkpoint_from_before_it_stops_and_says_so(tmp_path):
    """One that verl keeps no longer is a folder without the actor."""
    run = Run(tmp_path, 5, 10)
    shutil.rmtree(run.checkpoints / "global_step_5" / "actor")
    error = run.breaks(10)
    assert isinstance(error, GuardrailError)
    assert f"There is no checkpoint in {run.checkpoints} from before step 10, in which it began" in str(error)
    assert "trainer.max_actor_ckpt_to_keep" in str(error)
    assert saved_steps(run.checkpoints) == [5, 10]
    assert roll_back.rollbacks(run.checkpoints) == []


def test_the_beginning_of_a_checkpoint_is_none_to_go_back_to(tmp_path):
    """Killed while it saved step 15, the run has gone on from 10, and saves every tenth step since."""
    run = Run(tmp_path, 10)
    (run.checkpoints / "global_step_15" / "actor").mkdir(parents=True)
    run.breaks(18)
    assert roll_back.rollbacks(run.checkpoints)[0].to_step == 10
    assert saved_steps(run.checkpoints) == [10]


@pytest.mark.parametrize("began_after", [None, 5])
def test_it_does_not_go_back_to_an_earlier_course_of_its_folder(tmp_path, began_after):
    """Which had saved 15 before somebody began anew or from step 5."""
    Run(tmp_path, 5, 10, 15)
    run = Run(tmp_path)
    run.kept.restore(began_after)
    run.save(10)
    run.breaks(18)
    assert roll_back.rollbacks(run.checkpoints)[0].to_step == 10


@pytest.mark.parametrize(("began_after", "error"), [(None, GuardrailError), (5, RolledBackError)])
def test_where_there_is_none_of_this_course_it_stops(tmp_path, began_after, error):
    Run(tmp_path, 5, 10, 15)
    run = Run(tmp_path)
    run.kept.restore(began_after)
    assert type(run.breaks(8)) is error


def test_a_stop_changes_nothing(tmp_path):
    run = Run(tmp_path, 10, 20, options=(f"{OPTIONS}.not_finite.action=stop",))
    error = run.breaks(20)
    assert isinstance(error, GuardrailError)
    assert str(error).endswith(f"The run stops ({OPTIONS}.not_finite.action=stop).")
    assert saved_steps(run.checkpoints) == [10, 20]


def test_a_run_that_was_given_its_checkpoint_goes_on_from_its_own(tmp_path):
    given = Run(tmp_path / "other", 7)
    options = ("trainer.resume_mode=resume_path", f"trainer.resume_from_path={given.checkpoints}/global_step_7")
    run = Run(tmp_path / "run", 10, options=options)
    run.breaks(12)
    assert roll_back.rollbacks(run.checkpoints)[0].to_step == 10
    assert roll_back.restart_options(run.config) == ["trainer.resume_mode=auto"]


def test_it_goes_back_to_the_one_that_it_was_given(tmp_path):
    """There is none of its own that is good: the same command begins there."""
    given = Run(tmp_path / "other", 7)
    options = ("trainer.resume_mode=resume_path", f"trainer.resume_from_path={given.checkpoints}/global_step_7")
    run = Run(tmp_path / "run", 10, options=options)
    assert isinstance(run.breaks(10), RolledBackError)
    assert roll_back.rollbacks(run.checkpoints)[0].to_step == 7
    assert roll_back.restart_options(run.config) == []
    assert saved_steps(run.checkpoints / "rolled_back_1") == [10]
    assert saved_steps(given.checkpoints) == [7]


@pytest.mark.parametrize("left", [5, 7])
def test_the_given_one_comes_before_what_the_folder_had(tmp_path, left):
    given = Run(tmp_path / "other", 7)
    Run(tmp_path / "run", left)
    options = ("trainer.resume_mode=resume_path", f"trainer.resume_from_path={given.checkpoints}/global_step_7")
    run = Run(tmp_path / "run", options=options)
    run.kept.restore(7)
    run.breaks(9)
    assert roll_back.rollbacks(run.checkpoints)[0].to_step == 7
    assert saved_steps(run.checkpoints) == []


@pytest.mark.parametrize(("mode", "more"), [("auto", []), ("disable", ["trainer.resume_mode=auto"])])
def test_one_that_would_start_over_is_told_not_to(tmp_path, mode, more):
    run = Run(tmp_path, 10, options=(f"trainer.resume_mode={mode}",))
    run.breaks(12)
    assert roll_back.restart_options(run.config) == more


def test_the_next_launch_says_so_and_one_that_starts_over_forgets(tmp_path):
    run = Run(tmp_path, 10)
    run.breaks(12)
    run.config.trainer.val_only, run.config.trainer.save_freq = False, 0  # no fingerprint of a model that is not there
    said = list(run_folder.begin(run.config, resumed_checkpoint(run.config)))
    assert (
        said[-1] == "gone back once, last from step 12 to step 10 (not_finite): 0.5 times the configured learning rate"
    )
    assert list(run_folder.begin(run.config, None)) == []
    assert roll_back.rollbacks(run.checkpoints) == []


def test_going_back_needs_checkpoints():
    config = options_with(BACK, "trainer.save_freq=-1")
    with pytest.raises(
        ValueError, match=r"not_finite.action=roll_back goes back to a checkpoint, and trainer.save_freq=-1"
    ):
        check_early_end(config)
    check_early_end(options_with(BACK))
    check_early_end(options_with("trainer.guardrails=null"))
