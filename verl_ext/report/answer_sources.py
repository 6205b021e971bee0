"""Where counted answers come from: the model, the step of which run it is, and how that step was chosen."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from verl_ext.metrics.generations import Generations
from verl_ext.metrics.side_file import read_run, run_path
from verl_ext.plots.style import style_by_name
from verl_ext.report.page_blocks import DataTable, Entry
from verl_ext.report.run_logs import RunLog
from verl_ext.training.checkpoints import STEP_FOLDER

UNKNOWN = "not on record"
_STEP = re.compile(rf"(.*?)/?(?:checkpoints/)?{STEP_FOLDER}([0-9]+)(?:/.*)?")


@dataclass(frozen=True, kw_only=True)
class AnswerSource:
    """Of a file of answers."""

    name: str
    path: str
    num_problems: int
    num_answers: int
    num_bad_lines: int
    model: str
    """As the file beside the answers names it; empty where there is none."""
    step: int | None = None
    """Of a checkpoint."""
    how_chosen: str = UNKNOWN
    missing: tuple[str, ...] = ()


def source_of(generations: Generations, logs: Sequence[RunLog]) -> AnswerSource:
    """Look beside a file of answers, and at the runs of the page."""
    model, missing = "", []
    try:
        beside = read_run(run_path(Path(generations.path)))
        model = "" if beside is None else str((beside.get("model") or {}).get("name", ""))
        if beside is None:
            missing.append("no file beside it says which model gave the answers (`.run.json`)")
    except ValueError as error:
        missing.append(str(error))
    match = _STEP.fullmatch(model)
    step = int(match[2]) if match else None
    if generations.num_bad_lines:
        missing.append(f"{generations.num_bad_lines:,} lines are no graded answer and are left out")
    return AnswerSource(
        name=generations.name,
        path=generations.path,
        num_problems=generations.num_problems,
        num_answers=generations.num_answers,
        num_bad_lines=generations.num_bad_lines,
        model=model,
        step=step,
        how_chosen=_how_chosen(match[1], int(match[2]), generations.num_problems, logs)
        if match
        else "no checkpoint of a run"
        if model
        else UNKNOWN,
        missing=tuple(missing),
    )


def _how_chosen(run: str, step: int, num_problems: int, logs: Sequence[RunLog]) -> str:
    """By the runs of the page: a folder may have moved, its name seldom has changed."""
    found = [log for log in logs if log.folder.resolve().name == Path(run).name]
    if len(found) != 1:
        return f"{UNKNOWN}: its run is not among the runs of this page"
    (log,) = found
    if log.choice is None:
        return "the last" if step == log.last_step else f"step {step:,} of {log.last_step:,}; the run has no validation"
    said = log.choice.how_chosen(step)
    sizes = {counts.num_problems for of_source in log.validations.values() for counts in of_source.values()}
    is_picked = step != log.choice.last.step and step in (
        log.choice.peak.step,
        log.choice.kept and log.choice.kept.step,
    )
    return (
        f"{said}, on {num_problems:,} problems as here, perhaps the same"
        if is_picked and num_problems in sizes
        else said
    )


def source_table(sources: Sequence[AnswerSource]) -> DataTable:
    styles = style_by_name([source.name for source in sources])
    return DataTable(
        name="answers",
        caption="The files of answers and the models that gave them",
        header=["answers of", "file", "problems", "answers", "step", "how the step was chosen"],
        rows=[
            [
                Entry(styles[source.name].label, color=styles[source.name].color),
                source.path,
                f"{source.num_problems:,}",
                f"{source.num_answers:,}",
                "\N{EN DASH}" if source.step is None else f"{source.step:,}",
                source.how_chosen,
            ]
            for source in sources
        ],
        num_left=2,
    )
