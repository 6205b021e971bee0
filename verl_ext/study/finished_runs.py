"""What the finished runs of a study have left: their validations by cell of the grid, and what they were made with."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from verl_ext.analysis.grid_scores import START, CellRuns
from verl_ext.host.files import read_object
from verl_ext.metrics.validations import BY, EVALUATE, NAME, TRAINING, Series, read_series
from verl_ext.objectives.catalog import OBJECTIVES
from verl_ext.objectives.objective import AnotherName
from verl_ext.objectives.run_curves import RunSettings
from verl_ext.study.grid_file import SEED_AXIS, SEED_OPTIONS, GridRun
from verl_ext.study.study_record import RunState, study_entries
from verl_ext.training import ending
from verl_ext.training.checkpoints import TRACKER
from verl_ext.training.option_file import as_hydra
from verl_ext.training.run_record import NAME as RUN_RECORD_NAME

CHECKPOINTS = "checkpoints"

OF_THE_BASE = (
    "actor_rollout_ref.model.path",
    "prompt_template",
    "data.max_prompt_length",
    "data.max_response_length",
)
"""What the answers of a base depend on, beside how they are drawn: runs that share both share a base."""
VAL_KWARGS = tuple(
    f"actor_rollout_ref.rollout.val_kwargs.{name}" for name in ("temperature", "top_p", "top_k", "do_sample")
)
"""How a validation draws."""
PROBLEMS = "data.val_files"


@dataclass(frozen=True)
class FinishedRun:
    """A run that has made all its steps, or has ended early."""

    run: GridRun
    record: Mapping[str, Any]
    """Its run.json."""
    validations: Mapping[str, Mapping[str, Series]]
    """By data source and by who drew."""

    def option(self, name: str) -> Any:
        """Of the resolved configuration; None where it has no such option."""
        found: Any = self.record.get("config")
        for part in name.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        return found

    @property
    def settings(self) -> RunSettings:
        """What its objective's weights depend on."""
        return RunSettings(self.run.name, self.option("algorithm"), self.option("actor_rollout_ref.rollout.n"))


@dataclass(frozen=True)
class LeftOut:
    """A run that is in no number."""

    name: str
    why: str


def finished_runs(
    runs: Sequence[GridRun], output: Path, told: Callable[[str], None]
) -> tuple[list[FinishedRun], list[LeftOut]]:
    """The finished runs of a study that have validations, and all others.

    A run is finished if ``study.json`` says so, or its checkpoints: so either may be missing.

    Args:
        runs: Of the study's file.
        output: The study's folder.
        told: Gets a sentence about each file that was cut.

    Raises:
        ValueError: A file is damaged.
    """
    states = {entry.name: entry.state for entry in study_entries(output)}
    found: list[FinishedRun] = []
    left_out: list[LeftOut] = []
    for run in runs:
        folder = output / run.name
        if not (folder / RUN_RECORD_NAME).is_file():
            left_out.append(LeftOut(run.name, "not begun"))
            continue
        record = read_object(folder / RUN_RECORD_NAME, "Make the run again.")
        if states.get(run.name) != RunState.DONE and not _has_ended(folder, record):
            left_out.append(LeftOut(run.name, f"not finished ({states.get(run.name, 'not in study.json')})"))
        elif not (folder / NAME).is_file():
            left_out.append(
                LeftOut(run.name, f"has no {NAME}: it was made without trainer.test_freq, and not evaluated")
            )
        else:
            found.append(FinishedRun(run, record, read_series(folder / NAME, told=told)))
    return found, left_out


def _has_ended(folder: Path, record: Mapping[str, Any]) -> bool:
    """Whether the checkpoints are those of the last step, or of a run that has ended early."""
    tracker = folder / CHECKPOINTS / TRACKER
    text = tracker.read_text(encoding="utf-8").strip() if tracker.is_file() else ""
    if not text.isdecimal():
        return False
    wanted = (record.get("config") or {}).get("trainer", {}).get("total_training_steps")
    early = ending.read_ended(folder / CHECKPOINTS)
    return (wanted is not None and int(text) >= int(wanted)) or (early is not None and early.step <= int(text))


def data_source_of(finished: Sequence[FinishedRun], wanted: str | None) -> str:
    """The data source that is asked for, or the only one.

    Raises:
        ValueError: There is no such one, or there are several.
    """
    sources = list(dict.fromkeys(source for run in finished for source in run.validations))
    if wanted is None and len(sources) == 1:
        return sources[0]
    if wanted in sources:
        return str(wanted)
    said = f"--data_source {wanted} is in no validation." if wanted else "The validations have several data sources."
    raise ValueError(f"{said} Choose --data_source from {', '.join(sources)}.")


def who_drew(finished: Sequence[FinishedRun], source: str) -> str:
    """Whose answers are compared: evaluate's where every run has them, else those of validation while training.

    Raises:
        ValueError: Neither has drawn from all runs after the start.
    """
    runs = [run for run in finished if source in run.validations]
    if not any(EVALUATE in run.validations[source] for run in runs):
        return TRAINING
    lacking = {by: [run.run.name for run in runs if not _has_trained(run, source, by)] for by in (EVALUATE, TRAINING)}
    for by, names in lacking.items():
        if not names:
            return by
    raise ValueError(
        f"{lacking[EVALUATE][0]} was not drawn from by evaluate, as other runs were, and {lacking[TRAINING][0]} has no validation "
        "while training, whose answers are drawn in another way: as val_kwargs say. Draw from all runs: python -m verl_ext.study "
        "evaluate, with the study's file."
    )


def _has_trained(run: FinishedRun, source: str, by: str) -> bool:
    """Whether it was drawn from after the start."""
    series = run.validations[source].get(by)
    return series is not None and max(series.steps) > START


def cells_of(finished: Sequence[FinishedRun], source: str) -> list[CellRuns]:
    """The runs by cell of the grid, in the order of the file, with the answers that were drawn in the same way.

    Raises:
        ValueError: Runs were validated on different files, or drawn from in different ways.
    """
    files = {run.run.name: str(run.option(PROBLEMS)) for run in finished}
    for name, file in files.items():
        first = next(iter(files))
        if file != files[first]:
            raise ValueError(
                f"{name} was validated on {file} and {first} on {files[first]}: {PROBLEMS} must be the same in all runs."
            )
    groups: dict[str, list[FinishedRun]] = {}
    for run in finished:
        if source in run.validations:
            groups.setdefault(run.run.cell, []).append(run)
    by = who_drew(finished, source)
    models = _models([run for group in groups.values() for run in group], source, by)
    for group in groups.values():
        _check_seeds({run.run.name: models[run.run.name] for run in group})
    return [
        CellRuns(
            name=name,
            objective=_objective(group[0]),
            place={axis: value for axis, value in group[0].run.place.items() if axis != SEED_AXIS},
            options={key: as_hydra(value) for key, value in group[0].run.own.items() if key not in SEED_OPTIONS},
            model=models[group[0].run.name],
            runs={run.run.place.get(SEED_AXIS, ""): run.validations[source][by].steps for run in group},
        )
        for name, group in groups.items()
    ]


def _check_seeds(models: Mapping[str, str]) -> None:
    for (first, expected), (name, model) in pairwise(models.items()):
        if model != expected:
            raise ValueError(
                f"{name} ({model}) and {first} ({expected}) are seeds of one cell, and were made or drawn from in different ways. "
                "Draw from both with the same options: python -m verl_ext.study evaluate, with the study's file."
            )


def _models(runs: Sequence[FinishedRun], source: str, by: str) -> dict[str, str]:
    """Name of a run -> what its base is called: what sets it apart from other bases, or the model's path where it is one."""
    settings = {run.run.name: _settings_of_base(run, run.validations[source][by].drawn) for run in runs}
    names = dict.fromkeys(name for each in settings.values() for name in each)
    differing = [name for name in names if len({str(each.get(name)) for each in settings.values()}) > 1]
    shown = differing or OF_THE_BASE[:1]
    return {
        run: ", ".join(
            str(own[name]) if name == OF_THE_BASE[0] else f"{name.rpartition('.')[2]} {own.get(name)}" for name in shown
        )
        for run, own in settings.items()
    }


def _settings_of_base(run: FinishedRun, drawn: Mapping[str, Any]) -> dict[str, Any]:
    """What its answers depend on; of a validation, whose rows do not say how it draws, the run's options do."""
    how = {name: value for name, value in drawn.items() if name != BY} or {
        name: run.option(name) for name in VAL_KWARGS
    }
    return {name: run.option(name) for name in OF_THE_BASE} | how


def _objective(run: FinishedRun) -> str:
    name = str(run.option("algorithm.adv_estimator"))
    row = OBJECTIVES.get(name)
    if row is not None and isinstance(row.formula, AnotherName):
        return row.formula.of_advantage.get(str(run.option("algorithm.advantage")), name)
    return name
