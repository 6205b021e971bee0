"""Whether a run should end before its last step: validation no longer rises, more problems are out of reach than before
training, or somebody asks for it.

Plain numbers in, a reason out. Free of torch and verl.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from verl_ext.host.files import read_object, write_whole
from verl_ext.training.checkpoints import HISTORY
from verl_ext.training.validation_pass_at_k import Counts, difference_from
from verl_ext.training.validation_score import check_is_there, mean_names, mean_score

ENDED = "ended.json"
OPTIONS = "trainer.ends_early"


@dataclass(frozen=True, kw_only=True)
class EndingRules:
    """The section ``trainer.ends_early`` of the configuration; None switches a rule off."""

    plateau_validations: int | None = None
    """Over how many validations the score has to rise."""
    plateau_min_gain: float = 0.0
    """By how much, at least."""
    plateau_standard_errors: float = 1.0
    """How many standard errors of the gain it has to be beyond that."""
    plateau_metric: str | None = None
    """``val-core/...``; None: the mean of all that are means, ``val-core/.../mean@<n>``."""
    below_base: int | None = None
    """Over how many validations in a row pass@k, at the largest k of ``trainer.pass_at_k``, is below the one before training by
    more than the difference's 95 % interval, paired over the problems."""
    request_file: str | None = None
    """End after the step in which this file is there."""

    @classmethod
    def of(cls, config: Any) -> "EndingRules":
        """Those of a run's configuration; all off where it is verl's own."""
        return cls(**(config.trainer.get("ends_early") or {}))


class Validation(NamedTuple):
    step: int
    score: float
    standard_error: float


class Fall(NamedTuple):
    """How pass@k of a validation differs from the one before training."""

    step: int
    k: int
    before: float
    difference: float
    low: float
    high: float
    """Ends of the difference's 95 % interval."""
    num_problems: int

    @property
    def is_below(self) -> bool:
        return self.high < 0

    def __str__(self) -> str:
        return (
            f"pass@{self.k} went from {self.before:.4f} before training to {self.before + self.difference:.4f} at step {self.step}: "
            f"{self.difference:+.4f}, 95 % interval {self.low:+.4f} to {self.high:+.4f} over {self.num_problems} problems"
        )


class Ended(NamedTuple):
    """What ``ended.json`` beside the checkpoints says of a run that has ended early."""

    step: int
    reason: str


def gain_over(validations: Sequence[Validation]) -> tuple[float, float]:
    """How much the score rises from the first to the last on the line of least squares, and that gain's standard error."""
    center = (len(validations) - 1) / 2
    spread = sum((index - center) ** 2 for index in range(len(validations)))
    times = [(len(validations) - 1) * (index - center) / spread for index in range(len(validations))]
    gain = sum(time * one.score for time, one in zip(times, validations, strict=True))
    return gain, math.hypot(*(time * one.standard_error for time, one in zip(times, validations, strict=True)))


class Ending:
    """Sees the steps and validations of a run, and says why it should end."""

    def __init__(self, rules: EndingRules) -> None:
        self._rules = rules
        self._validations: list[Validation] = []
        self._base: Counts | None = None
        self._falls: list[Fall] = []

    def see_validation(self, step: int, metrics: Mapping[str, float]) -> None:
        """Note a validation; one that was made again, since the run was stopped before it was on record, takes the other's place."""
        if self._rules.plateau_validations is None:
            return
        self._validations = [one for one in self._validations if one.step != step]
        names, wanted = mean_names(metrics), self._rules.plateau_metric
        if wanted is not None:
            check_is_there(f"{OPTIONS}.plateau_metric", wanted, metrics)
            names = [wanted]
        if names:
            self._validations.append(Validation(step, *mean_score(metrics, names)))

    def see_counts(self, step: int, counts: Counts, k: int) -> None:
        """Note how many samples of each problem a validation found correct, to be compared with step 0's at pass@k."""
        if self._rules.below_base is None:
            return
        self._falls = [one for one in self._falls if one.step != step]
        if step == 0:
            self._base = {source: (list(correct), list(samples)) for source, (correct, samples) in counts.items()}
        elif self._base is None:
            raise RuntimeError(
                f"{OPTIONS}.below_base compares with the validation before training, and this run has none on record. Start over "
                "with trainer.val_before_train=True, or leave the rule out."
            )
        else:
            found = difference_from(self._base, counts, k)
            if found is not None:
                one = found.difference
                self._falls.append(Fall(step, k, found.before, one.difference, one.low, one.high, one.num_problems))

    def reason(self) -> str | None:
        """Why the run should end now; None where it should go on."""
        return self._requested() or self._below_base() or self._plateau()

    def _requested(self) -> str | None:
        file = self._rules.request_file
        return f"asked for by {file}" if file is not None and Path(file).exists() else None

    def _plateau(self) -> str | None:
        num = self._rules.plateau_validations
        if num is None or len(self._validations) <= num:
            return None
        window = self._validations[-num - 1 :]
        gain, error = gain_over(window)
        wanted = self._rules.plateau_min_gain + self._rules.plateau_standard_errors * error
        if gain > wanted:
            return None
        return (
            f"plateau: the validation score went from {window[0].score:.4f} at step {window[0].step} to "
            f"{window[-1].score:.4f} at step {window[-1].step}; the gain over {num} validations, {gain:.4f} (standard error "
            f"{error:.4f}), is not above {wanted:.4f}"
        )

    def _below_base(self) -> str | None:
        num = self._rules.below_base
        if num is None or len(self._falls) < num or not all(fall.is_below for fall in self._falls[-num:]):
            return None
        again = "" if num == 1 else f"; it was below in {num} validations in a row"
        return f"below the base: {self._falls[-1]}{again}"

    def save(self, folder: Path) -> None:
        """Keep in a checkpoint what a resumed run has to know."""
        history = {"validations": self._validations, "base": self._base, "falls": self._falls}
        write_whole(folder / HISTORY, json.dumps(history) + "\n")

    def restore(self, folder: Path) -> None:
        """Go on from a checkpoint; one without the file leaves everything as it is."""
        if (folder / HISTORY).is_file():
            history = read_object(folder / HISTORY)
            self._validations = [Validation(*one) for one in history["validations"]]
            self._base = history.get("base")  # checkpoints from before there was this rule
            self._falls = [Fall(*one) for one in history.get("falls", ())]


def write_ended(folder: Path, step: int, reason: str) -> None:
    """Say beside the checkpoints that the run is over."""
    write_whole(folder / ENDED, json.dumps({"step": step, "reason": reason}, indent=2) + "\n")


def read_ended(folder: Path) -> Ended | None:
    """What ``write_ended`` wrote; None for a run that has not ended early."""
    if not (folder / ENDED).is_file():
        return None
    said = read_object(folder / ENDED, "Delete it to go on.")
    return Ended(int(said["step"]), str(said["reason"]))
