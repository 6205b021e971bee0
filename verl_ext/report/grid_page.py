"""A study over seeds and problems as a page."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from re import sub
from statistics import fmean

from verl_ext.analysis.grid_comparisons import BASE, AtLevel, Comparisons, SeedDifference
from verl_ext.analysis.grid_scores import GridScores
from verl_ext.metrics.crossed import CrossedMean
from verl_ext.plots.cell_styles import cell_label, cell_styles, row_label, value_label
from verl_ext.report.cells import points_interval
from verl_ext.report.findings import direction, p_text, points
from verl_ext.report.grid_findings import grid_findings
from verl_ext.report.grid_steps import crossing_sentence, step_blocks, steps_sentence
from verl_ext.report.page_blocks import (
    Block,
    Bullets,
    Commands,
    DataTable,
    Entry,
    Fold,
    Heading,
    PageContent,
    Paragraph,
    PictureShown,
    Said,
)
from verl_ext.report.reproduction import facts_table
from verl_ext.report.sentences import evidence_of

_NONE = "\N{EN DASH}"
_METHOD = (
    "Intervals are at 95 %, for other seeds and other problems together (`verl_ext/metrics/crossed.py`); p is corrected by Holm "
    "over its table. **Detectable** is the smallest true difference, in points, that would be decided with a probability of 80 % "
    "after this correction, whatever comes of the other comparisons: a test at 5 % by their number. Not decided is not the same as "
    "equal."
)
_EXPLORATORY = (
    "The study's file names the comparisons that it is about (`compare`), and the correction is over these. All others between "
    "cells are **exploratory**: an interval and an uncorrected p, and no verdict, whatever they are."
)
_MANY_ROWS = 12
"""A longer table is folded."""


@dataclass(frozen=True, kw_only=True)
class GridPage:
    """What a page says beside the numbers."""

    title: str
    subtitle: str
    question: str
    """The question itself."""
    background: Sequence[Block]
    """What else the study's file says about it."""
    facts: Sequence[tuple[str, str]]
    commands: Sequence[str]
    left_out: Sequence[str]
    """Runs that are in no number, and why."""
    in_no_curve: Sequence[str]
    """Runs that have logged nothing of their training."""
    objectives: Sequence[Block] = ()
    """What the objectives of the runs weigh."""


def labels_of(scores: GridScores) -> dict[str, str]:
    """Name of a cell, of a value of an axis, or of the base -> what a reader calls it."""
    values = {value: value_label(value) for cell in scores.cells for value in cell.place.values()}
    return {BASE: "the base", **values, **{cell.name: cell_label(cell) for cell in scores.cells}}


def shown_ks(ks: Sequence[int]) -> list[int]:
    """1, 4, 16 and the largest, of those that there are."""
    return sorted({k for k in ks if k in (1, 4, 16)} | {ks[-1]})


def grid_content(
    page: GridPage, scores: GridScores, compared: Comparisons, levels: Sequence[AtLevel], pictures: Collection[str]
) -> PageContent:
    """The page.

    Args:
        page: What was asked and made.
        scores: Of the cells.
        compared: Their comparisons.
        levels: The cells at common levels of pass@1.
        pictures: The names of those that there are.
    """
    labels = labels_of(scores)
    shown = _Pictures(pictures, scores)
    training = shown.of(*(name for name in pictures if name.startswith("training")))
    everything = shown.of(*(name for name in pictures if name.startswith("all_training")))
    (main,) = shown.of("pass_at_k") or (None,)
    in_training: list[Block] = [Heading("Training"), *training] if training else []
    in_training += [Fold("Everything that training logs of a step", everything)] if everything else []
    lines = [f"In no number: {line}" for line in page.left_out]
    if page.in_no_curve:
        names = ", ".join(page.in_no_curve)
        lines.append(f"In no curve of training, whose means are over the other seeds: {names}, without a metrics.jsonl")
    missing: list[Block] = [Heading("What is missing"), Bullets(lines)] if lines else []
    rest: list[Block] = [
        *in_training,
        Heading(f"Scores at step {scores.step}"),
        *_scores(scores),
        Paragraph(f"{_METHOD} {_EXPLORATORY}" if compared.num_exploratory else _METHOD),
        *shown.of("over_steps", "plane", *(name for name in pictures if name.startswith("dose"))),
        Heading("Which step, and how it was chosen"),
        *step_blocks(scores),
        Heading("Differences at equal steps"),
        *_family("From the base", compared.versus_base, scores, shown.of("versus_base")),
        *_family("Each axis, averaged over the others", compared.of_axes, scores, shown.of("of_axes")),
        *_family("Between each other", compared.between_cells, scores, shown.of("between_cells")),
        *_family("Runs beside the grid", compared.beside_the_grid, scores, shown.of("beside_the_grid")),
        *_equal_accuracy(compared, labels, levels, scores, shown.of("equal_pass_at_1")),
        Heading("Problem by problem"),
        *shown.of("coverage"),
        *page.objectives,
        *missing,
        Heading("How to reproduce it"),
        Commands(page.commands),
        *([Fold("What the study is and how it is made", page.background)] if page.background else []),
        facts_table(page.facts),
    ]
    return PageContent(
        title=page.title,
        subtitle=page.subtitle,
        question=page.question,
        answer=_answer(scores, compared, labels),
        picture=main,
        rest=rest,
    )


def _answer(scores: GridScores, compared: Comparisons, labels: Mapping[str, str]) -> list[Said]:
    said = grid_findings(compared, labels)
    decided = [_evidence(row, scores) for row in compared.primary if row.is_decided]
    open_ = [_evidence(row, scores) for row in compared.primary if not row.is_decided]
    return [
        Said("Decided", " ".join(said.decided), decided),
        Said("Not decided", said.undecided or "Every comparison is decided.", open_, f"all {len(open_)} of them"),
        Said("Which step", steps_sentence(scores)),
    ]


def _evidence(row: SeedDifference, scores: GridScores) -> str:
    found = f" So corrected, it would have found {100 * row.detectable:.1f} points four times in five."
    seen = "" if isnan(row.detectable) else found
    return evidence_of(row, row_label(row, scores.cells)) + seen


class _Pictures:
    def __init__(self, names: Collection[str], scores: GridScores) -> None:
        self._names = names
        last, step = scores.ks[-1], scores.step
        self._alts = {
            "pass_at_k": f"pass@k of every cell at step {step} beside its base, k from 1 to {last}",
            "over_steps": f"pass@1 and pass@{last} of every cell over the training steps",
            "plane": f"The path of every cell from the base in the plane of pass@1 and pass@{last}",
            "versus_base": f"Forest plot of every cell's differences from the base at step {step}",
            "of_axes": f"Forest plot of the differences between values of each axis, averaged over the other axes, at step {step}",
            "between_cells": f"Forest plot of the differences between cells at step {step}",
            "beside_the_grid": f"Forest plot of the differences of runs beside the grid from those most like them, at step {step}",
            "equal_pass_at_1": f"Forest plot of differences in pass@{last} at equal pass@1",
            "dose_": "pass@k over the number that cells differ in, a line for each of the others",
            "training_": "Accuracy, entropy and samples in the update of every cell over the training steps",
            "all_training_": "Everything that training logs of every cell over the steps: accuracy, entropy, length, clipping, samples",
            "coverage": "Map of problems and runs: in how large a share of its samples each solves each problem",
        }

    def of(self, *names: str) -> list[PictureShown]:
        """Those that there are."""
        found = [name for name in names if name in self._names]
        return [PictureShown(name, self._alts.get(name) or self._alts[sub("[0-9]+$", "", name)]) for name in found]


def _scores(scores: GridScores) -> list[Block]:
    ks = shown_ks(scores.ks)
    styles = cell_styles(scores.cells)
    rows: list[list[str | Entry]] = [
        [
            "base" if len(scores.bases) == 1 else f"base, {model}",
            _NONE,
            *(_share(scores.base_interval(model, k)) for k in ks),
        ]
        for model in scores.bases
    ]
    rows += [
        [
            Entry(cell_label(cell), color=styles[cell.name].color),
            str(len(cell.seeds)),
            *(_share(scores.interval(cell, k)) for k in ks),
        ]
        for cell in scores.cells
    ]
    table = DataTable(
        name="scores",
        caption=f"pass@k of every cell at step {scores.step} in percent",
        header=["in %", "seeds", *(f"pass@{k}" for k in ks)],
        rows=rows,
    )
    if scores.bases:
        return [table]
    return [
        table,
        Paragraph("No run was validated before training, so there is no base: trainer.val_before_train=True."),
    ]


def _share(mean: CrossedMean) -> Entry:
    interval = "" if isnan(mean.low) else f"[{100 * mean.low:.1f}, {100 * mean.high:.1f}]"
    return Entry(f"{100 * mean.mean:.1f}", interval)


def _family(heading: str, rows: Sequence[SeedDifference], scores: GridScores, pictures: Sequence[Block]) -> list[Block]:
    if not rows:
        return []
    table = _differences(rows, scores, heading)
    shown = [Fold(f"The {len(rows)} differences in numbers", [table])] if len(rows) > _MANY_ROWS else [table]
    return [Heading(heading, 3), *pictures, *shown]


def _differences(
    rows: Sequence[SeedDifference], scores: GridScores, heading: str, *, with_level: bool = False
) -> DataTable:
    header = ["points", "pass@1 of both"] if with_level else ["points"]
    return DataTable(
        name=sub("[^a-z0-9]+", "_", heading.lower()),
        caption=f"Differences in points: {heading.lower()}",
        header=[*header, "k", "difference", "95 % interval", "p", "p after Holm", "detectable", "verdict"],
        rows=[
            [
                row_label(row, scores.cells),
                *([f"{100 * row.at:.1f} %"] if with_level else []),
                str(row.k),
                points(row.difference),
                points_interval(row),
                _p(row.p_value),
                _p(row.p_holm),
                _NONE if isnan(row.detectable) else f"{100 * row.detectable:.1f}",
                direction(row) if row.is_primary else "exploratory",
            ]
            for row in rows
        ],
    )


def _p(value: float) -> str:
    return _NONE if isnan(value) else p_text(value).removeprefix("= ")


def _equal_accuracy(
    compared: Comparisons,
    labels: Mapping[str, str],
    levels: Sequence[AtLevel],
    scores: GridScores,
    pictures: Sequence[Block],
) -> list[Block]:
    if not (compared.at_equal_accuracy or compared.not_reached):
        return []
    heading = "Differences at equal pass@1"
    parts: list[Block] = [
        Heading(heading),
        Paragraph(
            f"pass@{scores.ks[-1]} where pass@1 of each run first crosses a value, between validations by a straight line: a "
            "difference that is left is not explained by one cell having learned more. Each pair is compared at the largest pass@1 "
            f"that all runs of both reach. {crossing_sentence(scores)}".rstrip()
        ),
        *pictures,
    ]
    if compared.at_equal_accuracy:
        parts.append(_differences(compared.at_equal_accuracy, scores, heading, with_level=True))
    if compared.not_reached:
        lines = [f"{labels[each.name]} and {labels[each.base]}: {each.why}." for each in compared.not_reached]
        number = f"{len(lines)} pair{'s' * (len(lines) > 1)} cannot be compared at equal pass@1"
        parts.append(Fold(f"{number}, and why", [Bullets(lines)]))
    if levels:
        parts += _levels(levels, labels, scores)
    return parts


def _levels(levels: Sequence[AtLevel], labels: Mapping[str, str], scores: GridScores) -> list[Block]:
    """pass@k of each cell at common levels, and the step; nothing where a seed does not reach the level."""
    steps = list(dict.fromkeys(each.level for each in levels))
    rows = []
    for name in dict.fromkeys(each.name for each in levels):
        cells = [
            Entry(f"{100 * fmean(each.pass_at_k):.1f}", f"(step {fmean(each.steps):.0f})") if each.steps else _NONE
            for each in levels
            if each.name == name
        ]
        rows.append([labels[name], *cells])
    table = DataTable(
        name="levels",
        caption=f"pass@{scores.ks[-1]} of every cell where its pass@1 reaches a level",
        header=[f"pass@{scores.ks[-1]} in % at pass@1 of", *(f"{100 * step:.1f} %" for step in steps)],
        rows=rows,
    )
    return [table, Paragraph(f"{_NONE}: some seed does not reach it.", is_quiet=True)]
