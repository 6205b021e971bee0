"""Which checkpoints of a run stay on the disk: the last ones, and the best by a validation score.

verl rotates in the workers, which remember only what this launch has saved, and leaves the rest of a step's folder. Here
whole steps are rotated, of all launches, and the best is never among them.
"""

import json
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import OmegaConf

from verl_ext.host.disk import check_room
from verl_ext.host.files import read_object, write_whole
from verl_ext.training.checkpoint_size import size_beforehand, size_of
from verl_ext.training.checkpoints import STEP_FOLDER, TRACKER, saved_steps
from verl_ext.training.validation_score import check_is_there
from verl_ext.training.whole_checkpoint import written_last

OPTIONS = "trainer.best_checkpoint"
BEST = "best_checkpoint.json"
LIMITS = {"actor": "max_actor_ckpt_to_keep", "critic": "max_critic_ckpt_to_keep"}
"""Folder in a step's folder -> the option under ``trainer`` that says how many of the last ones stay."""
REMOVED = ".removed-"
"""What the folder begins with that is being removed."""
ONLY_LAST = "remove_previous_ckpt_in_save"
"""verl's old spelling for one of each."""


@dataclass(frozen=True, kw_only=True)
class BestRule:
    """The section ``trainer.best_checkpoint``: by which score, and whether more of it is better."""

    metric: str | None = None
    mode: str = "max"

    @classmethod
    def of(cls, config: Any) -> "BestRule":
        """Of a run's configuration; no score where it is verl's own."""
        return cls(**(config.trainer.get("best_checkpoint") or {}))


class Score(NamedTuple):
    """Of a validation."""

    step: int
    value: float


def best_of(scores: Sequence[Score], mode: str) -> Score | None:
    """The first of the best ones; a value that is not a number is none, and None where there is no other."""
    sign = -1.0 if mode == "min" else 1.0
    known = [score for score in scores if score.value == score.value]
    return max(known, key=lambda score: (sign * score.value, -score.step), default=None)


def read_best(folder: Path) -> Score | None:
    """Which step is the best of a run's checkpoints; None where the run does not choose one, or has not yet."""
    if not (folder / BEST).is_file():
        return None
    said = read_object(folder / BEST)
    return None if said.get("step") is None else Score(int(said["step"]), float(said["value"]))


def surplus(steps: Sequence[int], keep: int | None, protected: Collection[int | None]) -> list[int]:
    """The steps of which nothing stays, in order; ``keep`` is how many of the last ones do, None for all."""
    if keep is None:
        return []
    last = sorted(steps)[len(steps) - min(keep, len(steps)) :]
    return [step for step in sorted(steps) if step not in last and step not in protected]


class KeptCheckpoints:
    """Those in the folder of a run.

    Args:
        config: Of the run.
    """

    def __init__(self, config: Any) -> None:
        self._config = config
        self._folder = Path(config.trainer.default_local_dir)
        self._rule = BestRule.of(config)
        self._scores: list[Score] = []
        self._saved: int | None = None
        self._other_course: set[int] = set()

    def folder_of(self, step: int) -> Path:
        """Where a step is saved."""
        return self._folder / f"{STEP_FOLDER}{step}"

    # ------------------------------------------------------------------ the best one

    @property
    def best(self) -> Score | None:
        """The best step that is on the disk; None without a rule, or while there is none."""
        there = [score for score in self._trained if self.folder_of(score.step).is_dir()]
        return best_of([score for score in there if self._counts(score.step)], self._rule.mode)

    def _counts(self, step: int) -> bool:
        """Whether a folder is a checkpoint of this course: whole, and not from after the step that it goes on from."""
        return step not in self._other_course and (self.folder_of(step) / written_last(self._config)).exists()

    @property
    def with_actor(self) -> list[int]:
        """The steps in order that this course can go back to: of what was kept no longer the critic may be left."""
        steps = saved_steps(self._folder)
        return [step for step in steps if self._counts(step) and (self.folder_of(step) / "actor").is_dir()]

    @property
    def _trained(self) -> list[Score]:
        return [score for score in self._scores if score.step > 0]

    def see_validation(self, step: int, metrics: Mapping[str, float]) -> None:
        """Note a validation; one that was made again, since the run was stopped before it was on record, takes the other's place.

        Raises:
            RuntimeError: It has no such score.
        """
        if self._rule.metric is None:
            return
        check_is_there(f"{OPTIONS}.metric", self._rule.metric, metrics)
        others = [score for score in self._scores if score.step != step]
        self._scores = [*others, Score(step, float(metrics[self._rule.metric]))]

    def settle(self, step: int, save: Callable[[], None]) -> None:
        """After the validation of a step: keep its weights where they are the best, and say so on the disk.

        Args:
            step: That is over; 0 has no weights to keep.
            save: Saves it; called where the step is the best and was not due.
        """
        newest = [score for score in self._scores if score.step == step]
        if not newest:
            return
        if step == 0:
            self._write()
            return
        is_best = best_of([*newest, *([self.best] if self.best else [])], self._rule.mode) == newest[0]
        if is_best and not self.is_saved(step):
            save()
        self._write()
        self.rotate(step)

    def _write(self) -> None:
        best = self.best
        said = {
            "metric": self._rule.metric,
            "mode": self._rule.mode,
            "step": None if best is None else best.step,
            "value": None if best is None else best.value,
            "validations": self._scores,
        }
        write_whole(self._folder / BEST, json.dumps(said) + "\n")

    def restore(self, step: int | None) -> None:
        """Go on from a step: what was validated later is made again; None: the run starts over."""
        self._scores, self._saved = [], step
        # Somebody went back from them: none of this course's, and not to be removed by it.
        self._other_course = {later for later in saved_steps(self._folder) if step is None or later > step}
        file = self._folder / BEST
        if self._rule.metric is None or not file.is_file():
            return
        said = read_object(file, "Delete it to choose among the coming validations.")
        if step is not None and (said.get("metric"), said.get("mode")) == (self._rule.metric, self._rule.mode):
            self._scores = [Score(*score) for score in said["validations"] if score[0] <= step]
        if not self._config.trainer.val_only:
            self._write()

    # ------------------------------------------------------------------ saving and rotating

    @contextmanager
    def saving(self, step: int) -> Iterator[None]:
        """Around verl's saving of a step: make room, see that there is, let verl keep everything, then rotate.

        Raises:
            NoRoomError: There is no room; nothing of the step is written.
        """
        self._remove_other_course(step)
        self.rotate(step, coming=1)
        self._check_room(step)
        trainer = self._config.trainer
        values = {name: trainer[name] for name in (*LIMITS.values(), ONLY_LAST) if name in trainer}
        try:
            for name in values:
                OmegaConf.update(trainer, name, None)
            yield
        finally:
            for name, value in values.items():
                OmegaConf.update(trainer, name, value)
        self._saved = step
        self.rotate(step)

    def is_saved(self, step: int) -> bool:
        """Whether this course of the run has saved the step, the newest; a folder alone may be of an earlier one, or cut."""
        return self._saved == step

    def _remove_other_course(self, step: int) -> None:
        """Remove what an earlier course of the run has left of this step, whole or not: verl would write between its files."""
        if self.folder_of(step).is_dir():
            if self._complete == step:
                (self._folder / TRACKER).unlink()
            self._set_aside(self.folder_of(step))
        self._other_course.discard(step)

    @property
    def _complete(self) -> int | None:
        """The step that the run would go on from, which is whole."""
        tracker = self._folder / TRACKER
        text = tracker.read_text(encoding="utf-8", errors="replace").strip() if tracker.is_file() else ""
        return int(text) if text.isdecimal() else None

    def _check_room(self, step: int) -> None:
        of_steps = [size_of(self.folder_of(earlier)) for earlier in saved_steps(self._folder) if earlier != step]
        needed = max(of_steps, default=0) or size_beforehand(self._config)
        if needed:
            check_room(
                self.folder_of(step),
                needed,
                f"The checkpoint of step {step}",
                "Nothing of it is written. Make room and run the same command again: it goes on from the last checkpoint. "
                "trainer.max_actor_ckpt_to_keep says how many stay, trainer.save_freq how often one is made.",
            )

    def rotate(self, step: int, coming: int = 0) -> None:
        """Remove what is beyond the limits.

        Args:
            step: The newest.
            coming: How many will be added before the next time: room is made for them, but the last one stays.
        """
        self._remove_leftovers()
        steps = [one for one in saved_steps(self._folder) if one <= step and self._counts(one)]
        # What was just validated is not known to be worse yet.
        protected = {score.step for score in (self.best, *self._trained[-1:]) if score is not None} | {self._complete}
        for part, limit in self._limits().items():
            keep = limit if limit is None or limit == 1 else limit - coming
            there = [one for one in steps if (self.folder_of(one) / part).is_dir()]
            for old in surplus(there, keep, protected):
                self._remove(old, part)

    def _limits(self) -> dict[str, int | None]:
        trainer = self._config.trainer
        return {part: 1 if trainer.get(ONLY_LAST) else trainer.get(name) for part, name in LIMITS.items()}

    def _remove(self, step: int, part: str) -> None:
        """Remove a part of a step, or all of it where nothing else of its model is there."""
        folder = self.folder_of(step)
        others = [other for other in LIMITS if other != part and (folder / other).is_dir()]
        self._set_aside(folder / part if others else folder)

    def _set_aside(self, doomed: Path) -> None:
        """Remove a folder: half of it must not look like a checkpoint, also where the removal is interrupted."""
        aside = self._folder / f"{REMOVED}{doomed.relative_to(self._folder).as_posix().replace('/', '-')}"
        if aside.exists():
            shutil.rmtree(aside)
        doomed.rename(aside)
        shutil.rmtree(aside)

    def _remove_leftovers(self) -> None:
        for leftover in self._folder.glob(f"{REMOVED}*"):
            shutil.rmtree(leftover)
