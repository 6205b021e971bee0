"""A run ends early when a rule says so, with a checkpoint, and a resumed one knows what it had seen."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.stand_in import trainer_with
from verl_ext.training.checks.early_end import check_early_end
from verl_ext.training.checks.resume import check_resume
from verl_ext.training.configuration import compose_config
from verl_ext.training.ending import ENDED, Ending, EndingRules, Validation, gain_over, read_ended, write_ended
from verl_ext.training.validation import standard_errors

SCORE = "val-core/gsm8k/acc/mean@1"
ERROR = "val-aux/gsm8k/acc/standard_error"
FLAT = (0.452, 0.471, 0.446, 0.463, 0.449, 0.458, 0.466, 0.455)
"""Of a run that had stopped to learn: 100 problems, a standard error of 0.05."""


def ended_after(scores, rules: EndingRules, error: float = 0.05) -> int | None:
    """Which of the validations ends the run; None for none."""
    ending = Ending(rules)
    for number, score in enumerate(scores):
        ending.see_validation(10 * number, {SCORE: score, ERROR: error})
        if ending.reason() is not None:
            return number
    return None


def test_a_flat_curve_ends_at_the_first_moment_it_can():
    assert ended_after(FLAT, EndingRules(plateau_validations=5)) == 5
    assert ended_after(FLAT, EndingRules()) is None


@pytest.mark.parametrize("seed", range(20))
def test_a_rising_noisy_curve_goes_on(seed):
    """0.03 a validation under noise of 0.02, which is what 600 answers have at one half."""
    noise = random.Random(seed)
    scores = [0.2 + 0.03 * number + noise.gauss(0, 0.02) for number in range(20)]
    assert ended_after(scores, EndingRules(plateau_validations=5), error=0.02) is None


def test_the_reason_names_what_was_compared():
    ending = Ending(EndingRules(plateau_validations=2, plateau_min_gain=0.01))
    for step, score in ((0, 0.4), (10, 0.41), (20, 0.41)):
        ending.see_validation(step, {SCORE: score, ERROR: 0.0})
    assert ending.reason() == (
        "plateau: the validation score went from 0.4000 at step 0 to 0.4100 at step 20; the gain over 2 validations, 0.0100 "
        "(standard error 0.0000), is not above 0.0100"
    )


@given(st.floats(-1, 1), st.floats(-1, 1), st.integers(2, 12), st.floats(0, 1))
def test_the_gain_of_a_line_is_its_rise(start, slope, num, error):
    line = [Validation(index, start + slope * index, error) for index in range(num)]
    gain, gain_error = gain_over(line)
    assert gain == pytest.approx(slope * (num - 1), abs=1e-9)
    # Two points: the difference of two; more points tell it better, until they are many.
    assert gain_error <= error * 2**0.5 + 1e-9


def test_only_means_count_unless_another_is_named():
    """verl puts best@n and its spread among the core metrics, too: the spread falls while the policy rises."""
    metrics = {"val-core/m/acc/mean@4": 0.5, "val-core/m/acc/best@4/mean": 0.9, "val-core/m/acc/best@4/std": 0.2}
    for named, score in ((None, 0.5), ("val-core/m/acc/best@4/mean", 0.9)):
        ending = Ending(EndingRules(plateau_validations=1, plateau_metric=named))
        ending.see_validation(0, metrics)
        ending.see_validation(1, metrics)
        assert f"went from {score:.4f}" in ending.reason()


def test_a_metric_can_be_named_and_has_to_be_there():
    ending = Ending(EndingRules(plateau_validations=2, plateau_metric="val-core/math/acc/mean@1"))
    with pytest.raises(
        RuntimeError, match="plateau_metric=val-core/math/acc/mean@1 .* there are val-core/gsm8k/acc/mean@1"
    ):
        ending.see_validation(0, {SCORE: 0.5})


def test_a_file_asks_for_the_end(tmp_path):
    ending = Ending(EndingRules(request_file=str(tmp_path / "now")))
    assert ending.reason() is None
    (tmp_path / "now").touch()
    assert ending.reason() == f"asked for by {tmp_path / 'now'}"


def test_a_resumed_run_ends_where_the_undisturbed_one_does(tmp_path):
    """Saved after every validation; one that is made again counts once, as it is on record."""
    rules = EndingRules(plateau_validations=5)
    for number, score in enumerate(FLAT[:6]):
        ending = Ending(rules)
        ending.restore(tmp_path)
        ending.see_validation(10 * number, {SCORE: 0.9, ERROR: 0.05})
        ending.see_validation(10 * number, {SCORE: score, ERROR: 0.05})
        assert (ending.reason() is not None) == (number == 5)
        ending.save(tmp_path)


# ---------------------------------------------------------------------- below the base

PROBLEMS = 50


def problems(num_solved, num_samples=8):
    """Of 50 problems so many are right in half of the samples, the others never."""
    correct = [num_samples // 2] * num_solved + [0] * (PROBLEMS - num_solved)
    return {"math": (correct, [num_samples] * PROBLEMS)}


def fallen(solved, rules, k=4):
    """Which of the validations ends the run, the first of which is before training; None for none."""
    ending = Ending(rules)
    for number, one in enumerate(solved):
        ending.see_counts(10 * number, problems(one), k)
        if (reason := ending.reason()) is not None:
            return number, reason
    return None


def test_a_fall_of_the_reach_ends_the_run():
    """45 of 50 problems were within reach and 30 are: 15 of 50 lost, [-0.42, -0.18] by the binomial. pass@4 of 4 of 8 is 69/70."""
    number, reason = fallen([45, 45, 30], EndingRules(below_base=1))
    assert number == 2
    assert reason.startswith(
        "below the base: pass@4 went from 0.8871 before training to 0.5914 at step 20: -0.2957, 95 %"
    )
    low, high = (float(word) for word in reason.partition("interval ")[2].split(" over")[0].split(" to "))
    assert (low, high) == (pytest.approx(-0.414, abs=0.02), pytest.approx(-0.177, abs=0.02))
    assert fallen([45, 45, 30], EndingRules()) is None


def test_what_luck_explains_does_not():
    """3 problems lost and 2 won of 50: the interval holds 0."""
    ending = Ending(EndingRules(below_base=1))
    ending.see_counts(0, problems(45), 4)
    correct, samples = problems(45)["math"]
    ending.see_counts(10, {"math": ([0, 0, 0, *correct[3:45], 4, 4, 0, 0, 0], samples)}, 4)
    assert ending.reason() is None
    assert ending._falls[0].difference == pytest.approx(-69 / 70 / 50)


def test_so_many_times_in_a_row():
    rules = EndingRules(below_base=2)
    assert fallen([45, 30, 45, 30, 45], rules) is None
    number, reason = fallen([45, 30, 45, 30, 29], rules)
    assert number == 4
    assert reason.endswith("; it was below in 2 validations in a row")


@pytest.mark.parametrize("seed", range(20))
def test_a_model_that_stays_as_it_is_goes_on(seed):
    """Ten validations of one model: problems of chances between 0 and 1, 16 samples each."""
    rng = random.Random(seed)
    chances = [rng.random() ** 2 for _ in range(PROBLEMS)]
    ending = Ending(EndingRules(below_base=2))
    for number in range(11):
        correct = [sum(rng.random() < chance for _ in range(16)) for chance in chances]
        ending.see_counts(10 * number, {"math": (correct, [16] * PROBLEMS)}, 8)
        assert ending.reason() is None


def test_a_resumed_run_knows_its_base(tmp_path):
    first = Ending(EndingRules(below_base=2))
    for step, solved in ((0, 45), (10, 30)):
        first.see_counts(step, problems(solved), 4)
    first.save(tmp_path)
    second = Ending(EndingRules(below_base=2))
    second.restore(tmp_path)
    second.see_counts(10, problems(30), 4)
    assert second.reason() is None, "step 10 counts once"
    second.see_counts(20, problems(30), 4)
    assert "in 2 validations in a row" in second.reason()
    second.see_counts(20, problems(45), 4)
    assert second.reason() is None, "one that is made again is the one on record"
    third = Ending(EndingRules(below_base=2))
    with pytest.raises(
        RuntimeError, match="compares with the validation before training, and this run has none on record"
    ):
        third.see_counts(10, problems(45), 4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["trainer.pass_at_k=[1,4]"], "below_base=2 looks at validations, and trainer.test_freq=-1"),
        (["trainer.test_freq=5"], r"below_base=2 looks at pass@k: set trainer.pass_at_k"),
        (["trainer.test_freq=5", "trainer.pass_at_k=[1]", "trainer.val_before_train=False"], "set it to True"),
    ],
)
def test_a_rule_that_cannot_see_the_base_is_refused(options, message):
    config = compose_config(["trainer.ends_early.below_base=2", *options], device="cpu")
    with pytest.raises(ValueError, match=message):
        check_early_end(config)


def test_the_standard_error_is_one_over_prompts():
    """Four samples each of two prompts, all right and all wrong: as uncertain as two samples."""
    uids = ["a"] * 4 + ["b"] * 4
    errors = standard_errors(
        ["gsm8k"] * 8 + ["math"], [*uids, "c"], {"acc": [1.0] * 4 + [0.0] * 4 + [1.0], "reward": []}
    )
    assert errors == {ERROR: pytest.approx(0.5)}
    with_ungraded = {"acc": [1.0, 1.0, 1.0, None, 0.0, 0.0, 0.0, 0.0]}
    assert standard_errors(["gsm8k"] * 8, uids, with_ungraded) == {ERROR: pytest.approx(0.5)}


@pytest.fixture
def ending_trainer(tmp_path, monkeypatch):
    """A trainer whose rule has fired, and the steps that it saved."""
    now = tmp_path / "now"
    now.touch()
    rules = (
        f"trainer.ends_early.request_file={now}",
        "trainer.ends_early.plateau_validations=1",
        "trainer.test_freq=4",
    )
    trainer = trainer_with(f"trainer.output_dir={tmp_path}", *rules, "trainer.save_freq=4")
    saved = []
    monkeypatch.setattr(type(trainer), "_save_checkpoint", lambda self: saved.append(self.global_steps))
    trainer.total_training_steps = 10
    return trainer, saved, tmp_path / "checkpoints"


def test_the_step_becomes_the_last_and_is_saved(ending_trainer):
    trainer, saved, folder = ending_trainer
    folder.mkdir()
    trainer.global_steps = 6
    trainer._end_where_it_should()
    assert (trainer.total_training_steps, saved) == (6, [6])
    assert read_ended(folder) == (6, f"asked for by {folder.parent / 'now'}")


def test_it_is_saved_once(ending_trainer):
    trainer, saved, folder = ending_trainer
    folder.mkdir()
    trainer.global_steps = 8
    with trainer._checkpoints.saving(8):
        ...
    trainer._end_where_it_should()
    assert (trainer.total_training_steps, saved) == (8, [])


def test_a_checkpoint_knows_the_validation_that_came_after_it(ending_trainer):
    """verl saves, validates, and then tells of the step."""
    trainer, _, folder = ending_trainer
    with trainer._checkpoints.saving(8):
        (folder / "global_step_8").mkdir(parents=True)
    trainer.global_steps = trainer.total_training_steps = 8
    trainer._num_updates = 0
    trainer._ending.see_validation(8, {SCORE: 0.5})
    trainer._compute_metrics(None, {}, {}, global_steps=8, epoch=0)
    later = Ending(EndingRules(plateau_validations=1))
    later.restore(folder / "global_step_8")
    later.see_validation(12, {SCORE: 0.5})
    assert later.reason().startswith("plateau: the validation score went from 0.5000 at step 8")


def test_the_last_step_ends_as_it_would(ending_trainer):
    trainer, saved, folder = ending_trainer
    trainer.global_steps = 10
    trainer._end_where_it_should()
    assert not saved
    assert read_ended(folder) is None


def test_a_run_that_has_ended_does_not_go_on(tmp_path):
    folder = tmp_path / "checkpoints"
    (folder / "global_step_6").mkdir(parents=True)
    (folder / "latest_checkpointed_iteration.txt").write_text("6")
    config = compose_config([f"trainer.output_dir={tmp_path}"], device="cpu")
    write_ended(folder, 6, "plateau: no more")
    with pytest.raises(ValueError, match=r"ended early, at step 6: plateau: no more\. Delete .*ended.json to go on"):
        check_resume(config, 10)
    assert json.loads((folder / ENDED).read_text())["step"] == 6


def test_a_plateau_needs_validations():
    config = compose_config(["trainer.ends_early.plateau_validations=3", "trainer.test_freq=-1"], device="cpu")
    with pytest.raises(
        ValueError, match="plateau_validations=3 looks at validations, and trainer.test_freq=-1 makes none"
    ):
        check_early_end(config)
