"""What a run has left in its folder, finished or not: whatever is missing or cut is said, and the rest is read."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from verl_ext.host.command_line import shown
from verl_ext.host.files import read_object
from verl_ext.metrics.validations import NAME as VALIDATIONS_NAME
from verl_ext.metrics.validations import Validations, read_validations
from verl_ext.objectives.run_curves import RunSettings
from verl_ext.plots.reason_stack import REASON_KEYS
from verl_ext.plots.training_curves import LOG_KEYS, METRICS_NAME, TrainingCurve, curve_of_rows, read_rows
from verl_ext.report.step_choice import StepChoice, choice_by_counts, choice_by_metrics, choice_by_rule
from verl_ext.training import ending
from verl_ext.training.kept_checkpoints import BEST
from verl_ext.training.run_record import NAME as RECORD_NAME

CHECKPOINTS = "checkpoints"
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class RunLog:
    """A run."""

    name: str
    folder: Path
    rows: Mapping[int, Mapping[str, object]]
    """Step -> its metrics."""
    record: Mapping[str, Any]
    """Its run.json; empty where there is none."""
    validations: Mapping[str, Validations]
    choice: StepChoice | None
    has_ended_early: bool
    missing: list[str] = field(default_factory=list)
    """What is not there or was left out, a sentence each."""

    @property
    def curve(self) -> TrainingCurve | None:
        """What training logged of each step; None before the first."""
        trained = {step: data for step, data in self.rows.items() if step > 0}
        return curve_of_rows(self.name, trained, LOG_KEYS | REASON_KEYS) if trained else None

    @property
    def has_rollout_log(self) -> bool:
        """Whether there are answers of training to look at."""
        named = self.option("trainer.rollout_data_dir")
        places = [self.folder / "rollouts", *([Path(named), self.folder / Path(named).name] if named else [])]
        return any(place.is_dir() and any(place.iterdir()) for place in places)

    @property
    def last_step(self) -> int:
        return max(self.rows, default=0)

    @property
    def total_steps(self) -> int | None:
        """So many the run is to have; None where that is not on record."""
        wanted = self.option("trainer.total_training_steps")
        return wanted if isinstance(wanted, int) and wanted > 0 else None

    @property
    def is_over(self) -> bool:
        """Whether it has made its last step, or has ended before."""
        return self.has_ended_early or (self.total_steps is not None and self.last_step >= self.total_steps)

    def option(self, name: str) -> Any:
        """Of the resolved configuration; None where it is not on record."""
        found: Any = self.record.get("config")
        for part in name.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        return found

    @property
    def settings(self) -> RunSettings:
        """What its objective's weights depend on."""
        return RunSettings(self.name, self.option("algorithm"), self.option("actor_rollout_ref.rollout.n"))


def is_run(folder: Path) -> bool:
    """Whether a folder has something that a run leaves in its own."""
    return any((folder / name).exists() for name in (METRICS_NAME, RECORD_NAME, VALIDATIONS_NAME, CHECKPOINTS))


def read_run_log(folder: Path, name: str) -> RunLog:
    """Read a run's folder.

    Raises:
        ValueError: There is no such folder.
    """
    if not folder.is_dir():
        raise ValueError(f"{name}: there is no folder {shown(folder)}. Give the output folder of a training run.")
    missing: list[str] = []
    rows = _metrics(folder, missing)
    record = _record(folder, missing)
    validations = _validations(folder, missing)
    log = RunLog(
        name=name,
        folder=folder,
        rows=rows,
        record=record,
        validations=validations,
        choice=_kept(folder, missing) or choice_by_counts(validations) or choice_by_metrics(rows),
        has_ended_early=(folder / CHECKPOINTS / ending.ENDED).is_file(),
        missing=missing,
    )
    missing += _absences(log)
    return log


def _absences(log: RunLog) -> list[str]:
    """What the folder might have had more."""
    found = []
    if log.choice is None:
        found.append(
            "no validation: nothing says how a step does on problems that it is not trained on (`trainer.test_freq`)"
        )
    if log.rows and not log.is_over and log.total_steps is not None:
        found.append(
            f"step {log.last_step:,} of {log.total_steps:,} is the last so far: the run goes on, or was stopped"
        )
    if log.rows and not log.has_rollout_log:
        found.append("no rollout log, so none of its training answers can be looked at (`trainer.rollout_data_dir`)")
    return found


def _metrics(folder: Path, missing: list[str]) -> dict[int, dict[str, object]]:
    path = folder / METRICS_NAME
    if not path.is_file():
        missing.append(f"no {METRICS_NAME}: the run has not begun, or logs elsewhere (`trainer.logger`)")
        return {}
    rows = read_rows(path, told=missing.append)
    if not rows:
        missing.append(f"{METRICS_NAME} holds no step yet")
    return rows


def _record(folder: Path, missing: list[str]) -> dict[str, Any]:
    return _object(folder / RECORD_NAME, missing, f"no {RECORD_NAME}: command, versions and seeds are not on record")


def _object(path: Path, missing: list[str], absent: str) -> dict[str, Any]:
    if not path.is_file():
        missing.append(absent)
        return {}
    return _told(lambda: read_object(path, "It is left out."), missing, {})


def _validations(folder: Path, missing: list[str]) -> dict[str, Validations]:
    path = folder / VALIDATIONS_NAME
    if not path.is_file():
        return {}
    return _told(lambda: read_validations(path, told=lambda text: missing.append(_local(text, folder))), missing, {})


def _kept(folder: Path, missing: list[str]) -> StepChoice | None:
    path = folder / CHECKPOINTS / BEST
    if not path.is_file():
        return None
    said = _object(path, missing, "")
    return choice_by_rule(said) if said.get("metric") else None


def _told(read: Callable[[], T], missing: list[str], otherwise: T) -> T:
    """What a file says; where it is damaged that is said, and the page goes on without it."""
    try:
        return read()
    except ValueError as error:
        missing.append(str(error))
        return otherwise


def _local(text: str, folder: Path) -> str:
    return re.sub(re.escape(f"{folder}/"), "", text).rstrip(".")
