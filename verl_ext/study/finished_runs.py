"""What the finished runs of a study have left: their validations by cell of the grid, and what they were made with."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verl_ext.analysis.grid_scores import CellRuns
from verl_ext.host.files import read_object
from verl_ext.metrics.validations import NAME, Validations, read_validations
from verl_ext.objectives.catalog import OBJECTIVES
from verl_ext.objectives.objective import AnotherName
from verl_ext.study.grid_file import SEED_AXIS, SEED_OPTIONS, GridRun
from verl_ext.study.study_record import RunState, study_entries
from verl_ext.training import ending
from verl_ext.training.checkpoints import TRACKER
from verl_ext.training.option_file import as_hydra
from verl_ext.training.run_record import NAME as RUN_RECORD_NAME

CHECKPOINTS = "checkpoints"

OF_THE_BASE = (
    "actor_rollout_ref.model.path",
    "data.max_prompt_length",
    "data.max_response_length",
    "actor_rollout_ref.rollout.val_kwargs.temperature",
    "actor_rollout_ref.rollout.val_kwargs.top_p",
    "actor_rollout_ref.rollout.val_kwargs.top_k",
    "actor_rollout_ref.rollout.val_kwargs.do_sample",
)
"""What a validation before training depends on: runs that share them share a base."""
PROBLEMS = "data.val_files"


@dataclass(frozen=True)
class FinishedRun:
    """A run that has made all its steps, or has ended early."""

    run: GridRun
    record: Mapping[str, Any]
    """Its run.json."""
    validations: Mapping[str, Validations]
    """By data source."""

    def option(self, name: str) -> Any:
        """Of the resolved configuration; None where it has no such option."""
        found: Any = self.record.get("config")
        for part in name.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        return found


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
            found.append(FinishedRun(run, record, read_validations(folder / NAME, told=told)))
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


def cells_of(finished: Sequence[FinishedRun], source: str) -> list[CellRuns]:
    """The runs by cell of the grid, in the order of the file.

    Raises:
        ValueError: Runs were validated on different files.
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
            groups.setdefault(cell_name(run.run), []).append(run)
    models = _models(finished)
    return [
        CellRuns(
            name=name,
            objective=_objective(group[0]),
            place={axis: value for axis, value in group[0].run.place.items() if axis != SEED_AXIS},
            options={key: as_hydra(value) for key, value in group[0].run.own.items() if key not in SEED_OPTIONS},
            model=models[group[0].run.name],
            runs={run.run.place.get(SEED_AXIS, ""): run.validations[source] for run in group},
        )
        for name, group in groups.items()
    ]


def cell_name(run: GridRun) -> str:
    """The name of a run without its seed."""
    seed = run.place.get(SEED_AXIS, "")
    return run.name.removesuffix(seed).removesuffix("-") or "run"


def _models(finished: Sequence[FinishedRun]) -> dict[str, str]:
    """Name of a run -> what its base is called: what sets it apart from other bases, or the model's path where it is one."""
    settings = {run.run.name: {name: run.option(name) for name in OF_THE_BASE} for run in finished}
    differing = [name for name in OF_THE_BASE if len({str(each[name]) for each in settings.values()}) > 1]
    shown = differing or OF_THE_BASE[:1]
    return {
        run: ", ".join(
            str(own[name]) if name == OF_THE_BASE[0] else f"{name.rpartition('.')[2]} {own[name]}" for name in shown
        )
        for run, own in settings.items()
    }


def _objective(run: FinishedRun) -> str:
    name = str(run.option("algorithm.adv_estimator"))
    row = OBJECTIVES.get(name)
    if row is not None and isinstance(row.formula, AnotherName):
        return row.formula.of_advantage.get(str(run.option("algorithm.advantage")), name)
    return name
