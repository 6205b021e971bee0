"""Killed at any moment and started again, a run validates each step once: verl's own loop, whose steps cost nothing here."""

import json
import time
from contextlib import suppress
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.training.conftest import overrides_of
from tests.training.stand_in import trainer_with
from tests.whole_checkpoints import save_step
from verl_ext.training import run_folder
from verl_ext.training.checkpoints import TRACKER
from verl_ext.training.checks.resume import NothingLeftError, check_resume

SCORE = "val-core/countdown/acc/mean@1"
OF_TRAINING = "training/global_step"
STEPS = 4


class Run:
    """The launches of a run in one folder."""

    def __init__(self, folder: Path, out: Path, monkeypatch, options: tuple[str, ...]) -> None:
        self.folder, self.out, self.monkeypatch, self.options = folder, out, monkeypatch, options
        self.validated: list[int] = []
        """The steps, one after the other."""
        self.killed_at: tuple[int, str] | None = None
        self.said: list[str] = []

    def at(self, step: int, place: str) -> None:
        """Where a launch may end."""
        if (step, place) == self.killed_at:
            raise KeyboardInterrupt

    def launch(self, killed_at: tuple[int, str] | None = None) -> None:
        from verl.trainer.ppo.v1 import trainer_base
        from verl.utils import tracking

        run = self

        class Log(tracking.Tracking):
            def log(self, data, step):
                run.at(step, "row")
                super().log(data, step)

        self.killed_at = killed_at
        trainer = trainer_with(*overrides_of(self.folder), f"trainer.output_dir={self.out}", *self.options)
        self.monkeypatch.setenv("TENSORBOARD_DIR", str(self.out / "tensorboard"))
        self.monkeypatch.setenv("VERL_FILE_LOGGER_PATH", str(self.out / "metrics.jsonl"))
        self.said = list(run_folder.begin(trainer.config, check_resume(trainer.config, STEPS)))
        self.monkeypatch.setattr(trainer_base, "Tracking", Log)
        trainer.run, trainer.val_dataloader = self, ()
        trainer.total_training_steps, trainer.steps_per_epoch, trainer._num_updates = STEPS, 10, 0
        trainer._load_checkpoint()
        with suppress(KeyboardInterrupt):
            trainer.fit(None)
        trainer.logger.finish(exit_code=0)

    @property
    def rows(self) -> list[dict]:
        rows = [json.loads(line) for line in (self.out / "metrics.jsonl").read_text().splitlines()]
        return [{"step": row["step"], "score": row["data"].get(SCORE), "row": row["data"]} for row in rows]

    @property
    def scores(self) -> list[tuple[int, float]]:
        """By the rows of metrics."""
        return [(row["step"], row["score"]) for row in self.rows if row["score"] is not None]

    @property
    def counted(self) -> list[tuple[int, float]]:
        """By validation.jsonl."""
        rows = [json.loads(line) for line in (self.out / "validation.jsonl").read_text().splitlines()]
        return [(row["step"], sum(row["num_correct"]) / sum(row["num_samples"])) for row in rows]

    @property
    def shown(self) -> list[tuple[int, float]]:
        """By TensorBoard."""
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        events = EventAccumulator(str(self.out / "tensorboard")).Reload().Scalars(SCORE)
        return [(event.step, event.value) for event in events]

    @property
    def chosen_by(self) -> list[tuple[int, float]]:
        """By best_checkpoint.json."""
        said = json.loads((self.out / "checkpoints/best_checkpoint.json").read_text())
        return [(step, value) for step, value in said["validations"]]


@pytest.fixture
def run_in(folder, tmp_path, monkeypatch):
    """A run in a folder of its own, whose validations come to something else each time unless it is deterministic."""
    from tensorboard.summary.writer import event_file_writer
    from verl.trainer.ppo.v1 import trainer_base
    from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
    from verl.utils import tracking

    from verl_ext.patches import append_to_metrics_file

    def load(self):
        tracker = Path(self.config.trainer.default_local_dir) / TRACKER
        self.global_steps = int(tracker.read_text()) if tracker.is_file() else 0

    def save(self):
        save_step(self._step_folder.parent, self.global_steps)

    def step(_self, _metrics, _timing):
        from transfer_queue import KVBatchMeta

        return KVBatchMeta(partition_id="train", keys=[], tags=[])

    def validate(self):
        self.run.at(self.global_steps, "validation")
        num_before = 0 if self.config.trainer.deterministic else len(self.run.validated)
        self.run.validated.append(self.global_steps)
        scores = [float(number < (3 * self.global_steps + num_before) % 8) for number in range(8)]
        uids = [f"p{number}" for number in range(8)]
        metrics = self._val_metrics_update(["countdown"] * 8, uids, {"reward": scores, "acc": scores}, [1] * 8)
        self.run.at(self.global_steps, "counts")
        return metrics

    stand_ins = {
        "_load_checkpoint": load,
        "_save_checkpoint": save,
        "step": step,
        "on_step_end": lambda _self: None,
        "_validate": validate,
        "_val_metrics_update": lambda _self, _sources, _uids, infos, *_, **__: {SCORE: sum(infos["acc"]) / 8},
        "_shutdown_dump_executor": lambda _self: None,
    }
    for name, method in stand_ins.items():
        monkeypatch.setattr(PPOTrainerSync, name, method)
    seconds = count(int(time.time()))  # TensorBoard's files have the second in their name, by which they are read
    monkeypatch.setattr(event_file_writer, "time", SimpleNamespace(time=lambda: float(next(seconds))))
    monkeypatch.setattr(trainer_base.tq, "kv_clear", lambda **_which: None)
    monkeypatch.setattr(tracking, "FileLogger", tracking.FileLogger)  # comes back when the test is over
    append_to_metrics_file(tracking)

    def run_in(name: str, *options: str) -> Run:
        steps = (f"trainer.total_training_steps={STEPS}", "trainer.save_freq=2", "trainer.test_freq=2")
        best = f"trainer.best_checkpoint.metric={SCORE}"
        return Run(folder, tmp_path / name, monkeypatch, ("trainer.val_before_train=True", *steps, best, *options))

    return run_in


MOMENTS = [(2, "validation"), (2, "counts"), (2, "row"), (3, "row"), (4, "validation"), (4, "counts"), (4, "row")]
"""Within the validation, between its rows in validation.jsonl and the step's, and before the row of a step that is neither
saved nor validated."""


@pytest.mark.parametrize("killed_at", MOMENTS)
def test_each_step_is_validated_once_and_has_one_score(run_in, killed_at):
    run = run_in("run")
    run.launch(killed_at)
    begun = list(run.validated)
    run.launch()
    missing = [killed_at[0]] if killed_at[0] != 3 else []
    assert run.validated[len(begun) :] == [*missing, *(step for step in (4,) if step > killed_at[0])]
    assert [row["step"] for row in run.rows] == [0, 1, 2, 3, 4]
    assert [step for step, _ in run.scores] == [0, 2, 4]
    assert run.counted == run.shown == run.chosen_by == run.scores
    with pytest.raises(NothingLeftError, match="step 4 of 4"):
        run.launch()


@pytest.mark.parametrize("killed_at", MOMENTS)
def test_a_run_that_repeats_is_the_undisturbed_one(run_in, killed_at):
    """Also where the first checkpoint has no row: then it starts over."""
    undisturbed, run = (run_in(name, "trainer.deterministic=True") for name in ("undisturbed", "run"))
    undisturbed.launch()
    run.launch(killed_at)
    run.launch()
    for of in (undisturbed, run):
        assert [row["step"] for row in of.rows if OF_TRAINING in row["row"]] == [1, 2, 3, 4]
        assert of.counted == of.shown == of.chosen_by == undisturbed.scores
    assert run.scores == undisturbed.scores
    starts_over = "the first checkpoint, of step 2, has no row of metrics: the run starts over, to the bit"
    assert (starts_over in run.said) == (killed_at[0] == 2)


def test_a_run_ends_early_by_a_validation_that_it_was_stopped_in(run_in):
    run = run_in("run", "trainer.ends_early.plateau_validations=1", "trainer.deterministic=True")
    run.options = (
        *run.options,
        "trainer.max_actor_ckpt_to_keep=1",
        "trainer.save_freq=1",
        "trainer.ends_early.plateau_min_gain=1",
    )
    run.launch((2, "validation"))
    run.launch()
    assert [row["step"] for row in run.rows] == [0, 1, 2]
    with pytest.raises(NothingLeftError, match="ended early, at step 2: plateau"):
        run.launch()
