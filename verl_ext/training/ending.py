"""Whether a run should end before its last step: validation no longer rises, the entropy is gone, or answers blow up.

Plain numbers in, a reason out. Free of torch and verl.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

from verl_ext.host.files import read_object, write_whole

HISTORY = "ending.json"
ENDED = "ended.json"
OPTIONS = "trainer.ends_early"
ENTROPY, LENGTH = "train/entropy", "train/response_length"
SCORE_PREFIX, ERROR_PREFIX = "val-core/", "val-aux/"
STANDARD_ERROR = "standard_error"


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
    min_entropy: float | None = None
    """Nats a token."""
    max_length_growth: float | None = None
    """Mean response length, in multiples of that of the run's first steps."""
    over_steps: int = 5
    """How many steps' mean the last two rules look at."""
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
        self._entropies: list[float] = []
        self._lengths: list[float] = []

    def see_validation(self, step: int, metrics: Mapping[str, float]) -> None:
        """Note a validation; one of a step that has one, as after a resume, counts once."""
        if self._rules.plateau_validations is None or step in [one.step for one in self._validations]:
            return
        names = [name for name in metrics if name.startswith(SCORE_PREFIX) and "/mean@" in name]
        if self._rules.plateau_metric is not None:
            names = [name for name in metrics if name == self._rules.plateau_metric]
            if not names:
                found = ", ".join(sorted(name for name in metrics if name.startswith(SCORE_PREFIX)))
                raise RuntimeError(
                    f"{OPTIONS}.plateau_metric={self._rules.plateau_metric} is no metric of this validation; there are {found}."
                )
        if not names:
            return
        errors = [metrics.get(error_of(name), 0.0) for name in names]
        score = mean(metrics[name] for name in names)
        self._validations.append(Validation(step, score, math.hypot(*errors) / len(names)))

    def see_step(self, metrics: Mapping[str, float]) -> None:
        """Note a step."""
        for name, values in ((ENTROPY, self._entropies), (LENGTH, self._lengths)):
            if name in metrics:
                values.append(metrics[name])

    def reason(self) -> str | None:
        """Why the run should end now; None where it should go on."""
        for found in (self._requested(), self._plateau(), self._low_entropy(), self._long_answers()):
            if found is not None:
                return found
        return None

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

    def _low_entropy(self) -> str | None:
        limit, num = self._rules.min_entropy, self._rules.over_steps
        if limit is None or len(self._entropies) < num or mean(self._entropies[-num:]) >= limit:
            return None
        return f"entropy: {mean(self._entropies[-num:]):.4f} over the last {num} steps, below {limit}"

    def _long_answers(self) -> str | None:
        growth, num = self._rules.max_length_growth, self._rules.over_steps
        if growth is None or len(self._lengths) < num:
            return None
        first, last = mean(self._lengths[:num]), mean(self._lengths[-num:])
        if last <= growth * first:
            return None
        return f"length: {last:.1f} tokens over the last {num} steps, more than {growth} times the first {num}'s {first:.1f}"

    def save(self, folder: Path) -> None:
        """Keep in a checkpoint what a resumed run has to know."""
        history = {"validations": self._validations, "entropies": self._entropies, "lengths": self._lengths}
        write_whole(folder / HISTORY, json.dumps(history) + "\n")

    def restore(self, folder: Path) -> None:
        """Go on from a checkpoint; one without the file leaves everything as it is."""
        if (folder / HISTORY).is_file():
            history = read_object(folder / HISTORY)
            self._validations = [Validation(*one) for one in history["validations"]]
            self._entropies, self._lengths = history["entropies"], history["lengths"]


def error_of(score: str) -> str:
    """The metric with the standard error of a ``val-core/<source>/<score>/mean@<n>``."""
    stem = score.removeprefix(SCORE_PREFIX).rpartition("/")[0]
    return f"{ERROR_PREFIX}{stem}/{STANDARD_ERROR}"


def write_ended(folder: Path, step: int, reason: str) -> None:
    """Say beside the checkpoints that the run is over."""
    write_whole(folder / ENDED, json.dumps({"step": step, "reason": reason}, indent=2) + "\n")


def read_ended(folder: Path) -> Ended | None:
    """What ``write_ended`` wrote; None for a run that has not ended early."""
    if not (folder / ENDED).is_file():
        return None
    said = read_object(folder / ENDED, "Delete it to go on.")
    return Ended(int(said["step"]), str(said["reason"]))
