"""``python -m verl_ext.study results``: what the finished runs of a study say, as a page, its numbers and its pictures."""

import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from verl_ext.analysis.grid_comparisons import AtLevel, Comparisons, at_common_levels, comparisons
from verl_ext.analysis.grid_scores import GridScores, grid_scores
from verl_ext.host.command_line import shown
from verl_ext.host.files import write_whole
from verl_ext.host.processor import processor_name
from verl_ext.metrics.summary import as_json
from verl_ext.metrics.validations import EVALUATE
from verl_ext.report.page_blocks import PageContent
from verl_ext.study.finished_runs import (
    FinishedRun,
    LeftOut,
    cells_of,
    data_source_of,
    finished_runs,
    who_drew,
)
from verl_ext.study.grid_file import SEED_AXIS, GridRun, read_study
from verl_ext.study.question import question_of
from verl_ext.study.study_record import shown_seconds, study_entries

if TYPE_CHECKING:
    from verl_ext.plots.training_curves import TrainingCurve
    from verl_ext.report.drawings import Drawing

PAGE, HTML, NUMBERS = "README.md", "report.html", "results.json"


@dataclass(frozen=True, kw_only=True)
class ResultsOptions:
    """What the command line says."""

    file: Path
    study_output: Path
    """Where the runs are."""
    output: Path
    data_source: str | None
    command: str
    """As it was typed."""


class StudyContent(NamedTuple):
    """What the finished runs of a study say."""

    page: PageContent
    drawings: dict[str, "Drawing"]
    numbers: dict[str, Any]
    left_out: Sequence[LeftOut]


def write_results(options: ResultsOptions) -> None:
    """Write the pages, the numbers and the pictures, and say what was left out.

    Raises:
        ValueError: No run is finished, or the runs cannot be compared.
    """
    found = study_content(options)
    from verl_ext.report.drawings import write_pictures
    from verl_ext.report.html_page import render_html
    from verl_ext.report.markdown import render_markdown

    pictures = write_pictures(found.drawings, options.output, with_narrow_png=True)
    write_whole(options.output / NUMBERS, json.dumps(found.numbers, indent=1) + "\n")
    write_whole(options.output / PAGE, render_markdown(found.page, narrow=found.drawings))
    write_whole(options.output / HTML, render_html(found.page, found.drawings))
    for each in found.left_out:
        print(f"in no number: {each.name}: {each.why}")
    print(f"{shown(options.output / PAGE)}, {HTML}, {NUMBERS}, {', '.join(pictures)}")


def study_content(options: ResultsOptions) -> StudyContent:
    """Compare the finished runs.

    Raises:
        ValueError: No run is finished, or the runs cannot be compared.
    """
    study = read_study(options.file)
    runs = study.runs
    finished, left_out = finished_runs(runs, options.study_output, told=lambda text: print(text, file=sys.stderr))
    if not finished:
        reasons = "; ".join(f"{each.name}: {each.why}" for each in left_out[:3])
        more = f"; and {len(left_out) - 3} more" if len(left_out) > 3 else ""
        raise ValueError(
            f"No run of {options.file} in {shown(options.study_output)} is finished and has validations ({reasons}{more}). "
            f"Make them with python -m verl_ext.study run {options.file}."
        )
    source = data_source_of(finished, options.data_source)
    scores = grid_scores(cells_of(finished, source))
    compared, levels = comparisons(scores, study.primary), at_common_levels(scores)

    # What draws is asked for last: loading it takes longer than all bad input takes to be found.
    from verl_ext.report.grid_drawings import grid_drawings
    from verl_ext.report.grid_page import GridPage, grid_content
    from verl_ext.report.objective_blocks import objective_blocks

    question = question_of(options.file)
    curves, in_no_curve = training_curves(finished, options.study_output)
    drawings = grid_drawings(scores, compared, curves)
    objectives = objective_blocks([run.settings for run in finished], drawings)
    page = GridPage(
        title=f"Study {options.file.stem}",
        subtitle=f"{len(finished)} runs, {scores.num_problems:,} problems, {scores.num_samples:,} answers to each at every "
        "validation",
        question=question.text,
        background=question.background,
        facts=facts(finished, scores, source, options.study_output),
        commands=commands(finished, scores, source, options, runs),
        left_out=[f"{each.name}: {each.why}" for each in left_out],
        in_no_curve=in_no_curve,
        objectives=objectives,
    )
    content = grid_content(page, scores, compared, levels, drawings)
    numbers = results_as_json(scores, compared, levels, left_out) | {"facts": dict(page.facts)}
    return StudyContent(content, drawings, numbers, left_out)


def training_curves(
    finished: Sequence[FinishedRun], output: Path
) -> tuple[dict[str, list["TrainingCurve"]], list[str]]:
    """Name of a cell -> what its runs have logged, and the names of the runs that have not, which are in no curve."""
    from verl_ext.plots.training_curves import METRICS_NAME, read_run

    curves: dict[str, list[TrainingCurve]] = {}
    without: list[str] = []
    for run in finished:
        folder = output / run.run.name
        if (folder / METRICS_NAME).is_file():
            curves.setdefault(run.run.cell, []).append(read_run(folder, name=run.run.name))
        else:
            without.append(run.run.name)
    return curves, without


def results_as_json(
    scores: GridScores, compared: Comparisons, levels: Sequence[AtLevel], left_out: Sequence[LeftOut]
) -> dict[str, Any]:
    """The results as plain JSON values; what cannot be told is null."""
    content = {
        "step": scores.step,
        "ks": scores.ks,
        "num_problems": scores.num_problems,
        "num_samples": scores.num_samples,
        "bases": [
            {
                "model": model,
                "num_validations": base.num_draws,
                "pass_at_k": [{"k": k, **scores.base_interval(model, k)._asdict()} for k in scores.ks],
            }
            for model, base in scores.bases.items()
        ],
        "cells": [
            {
                "name": cell.name,
                "objective": cell.objective,
                "axes": dict(cell.place),
                "model": cell.model,
                "seeds": cell.seeds,
                "pass_at_k": [
                    {"k": k, **scores.interval(cell, k)._asdict(), "of_seeds": cell.means_TSK[-1, :, column].tolist()}
                    for column, k in enumerate(scores.ks)
                ],
                "over_steps": {str(step): cell.means_TSK[row].tolist() for row, step in enumerate(cell.steps)},
            }
            for cell in scores.cells
        ],
        "versus_base": compared.versus_base,
        "of_axes": compared.of_axes,
        "between_cells": compared.between_cells,
        "beside_the_grid": compared.beside_the_grid,
        "at_equal_pass_at_1": compared.at_equal_accuracy,
        "not_reached": compared.not_reached,
        "at_levels_of_pass_at_1": list(levels),
        "left_out": [{"name": each.name, "why": each.why} for each in left_out],
    }
    plain: dict[str, Any] = as_json(content)
    return plain


def facts(finished: Sequence[FinishedRun], scores: GridScores, source: str, output: Path) -> list[tuple[str, str]]:
    """What the results were made from, a row for each thing."""
    seeds = list(dict.fromkeys(run.run.place.get(SEED_AXIS, "") for run in finished))
    machines = [run.record.get("machine", {}) for run in finished]
    processors = {
        f"{machine.get('processor') or f'{processor_name()} (of the machine that made this page)'}, {machine.get('num_cpus')} cores"
        for machine in machines
    }
    commits = {_commit(run.record.get("git")) for run in finished}
    versions = {
        ", ".join(f"{name} {version}" for name, version in run.record.get("versions", {}).items()) for run in finished
    }
    began = sorted(str(run.record.get("started", "")) for run in finished)
    names = {run.run.name for run in finished}
    seconds = [entry.seconds for entry in study_entries(output) if entry.name in names and entry.seconds]
    draws = ", ".join(f"{base.num_draws} validation{'s' * (base.num_draws > 1)}" for base in scores.bases.values())
    return [
        ("runs", f"{len(finished)}, begun {began[0]} to {began[-1]}"),
        ("seeds", ", ".join(seed.removeprefix(SEED_AXIS) for seed in seeds) if seeds != [""] else "one, not named"),
        ("problems", f"{scores.num_problems:,} of {source}, {scores.num_samples:,} samples of each"),
        ("answers", _answers(finished, source)),
        ("base", f"pooled from {draws} before training" if draws else "none"),
        ("time", f"{shown_seconds(sum(seconds))} of {len(seconds)} runs added up" if seconds else "not recorded"),
        ("processor", "; ".join(sorted(processors))),
        ("versions", "; ".join(sorted(versions))),
        ("code", "; ".join(sorted(commits))),
    ]


def _answers(finished: Sequence[FinishedRun], source: str) -> str:
    """Who drew those that are compared, and whose are left out."""
    if who_drew(finished, source) == EVALUATE:
        return "drawn by evaluate, as each policy was trained"
    num_evaluated = sum(EVALUATE in run.validations.get(source, {}) for run in finished)
    left_out = f"; those of evaluate, from {num_evaluated} of {len(finished)} runs, are in no number"
    return f"of validations while training{left_out if num_evaluated else ''}"


def _commit(git: Any) -> str:
    if not isinstance(git, dict):
        return "not from a checkout"
    return f"{git.get('commit')}{' with changes' if git.get('is_modified') else ''}"


def commands(
    finished: Sequence[FinishedRun], scores: GridScores, source: str, options: ResultsOptions, runs: Sequence[GridRun]
) -> list[str]:
    """What makes the page: the runs, the answers where evaluate has drawn them, and the command as it was typed."""
    file, given = str(options.file), _given_behind(runs, options.study_output)
    made = [["run", file, *given]]
    if who_drew(finished, source) == EVALUATE:
        made.append(["evaluate", file, "--num_samples", str(scores.num_samples), *given])
    return [*(shlex.join(["python", "-m", "verl_ext.study", *words]) for words in made), options.command]


def _given_behind(runs: Sequence[GridRun], output: Path) -> list[str]:
    """The options that were given behind the file, by what ``study.json`` says."""
    own = {run.name: {*run.overrides, f"trainer.experiment_name={run.name}"} for run in runs}
    given: dict[str, None] = {}
    for entry in study_entries(output):
        for word in entry.overrides if entry.name in own else ():
            if word not in own[entry.name] and not word.startswith("trainer.output_dir="):
                given[word] = None
    return list(given)
