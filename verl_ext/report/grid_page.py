"""A study over seeds and problems as a page in Markdown, which stands beside its pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from re import sub
from statistics import fmean

from verl_ext.analysis.grid_comparisons import BASE, AtLevel, Comparisons, SeedDifference
from verl_ext.analysis.grid_scores import GridScores
from verl_ext.metrics.crossed import CrossedMean
from verl_ext.plots.cell_styles import cell_label, row_label, value_label
from verl_ext.report.cells import points_interval
from verl_ext.report.findings import direction, p_text, points
from verl_ext.report.grid_findings import grid_findings
from verl_ext.report.markdown import code, picture, table

_NONE = "\N{EN DASH}"
_METHOD = (
    "Intervals are at 95 %, for other seeds and other problems together (`verl_ext/metrics/crossed.py`); p is corrected by Holm "
    "over its table. **Detectable** is the smallest true difference, in points, that a single test at 5 % would find with a "
    "probability of 80 %. Not decided is not the same as equal."
)


@dataclass(frozen=True, kw_only=True)
class GridPage:
    """What a page says beside the numbers."""

    title: str
    question: str
    """In Markdown."""
    facts: Sequence[tuple[str, str]]
    commands: Sequence[str]
    left_out: Sequence[str]
    """Runs that are in no number, and why."""


def labels_of(scores: GridScores) -> dict[str, str]:
    """Name of a cell, of a value of an axis, or of the base -> what a reader calls it."""
    values = {value: value_label(value) for cell in scores.cells for value in cell.place.values()}
    return {BASE: "the base", **values, **{cell.name: cell_label(cell) for cell in scores.cells}}


def shown_ks(ks: Sequence[int]) -> list[int]:
    """1, 4, 16 and the largest, of those that there are."""
    return sorted({k for k in ks if k in (1, 4, 16)} | {ks[-1]})


def render_grid(
    page: GridPage, scores: GridScores, compared: Comparisons, levels: Sequence[AtLevel], pictures: Mapping[str, str]
) -> str:
    """The page.

    Args:
        page: What was asked and made.
        scores: Of the cells.
        compared: Their comparisons.
        levels: The cells at common levels of pass@1.
        pictures: Name of each picture -> its file.
    """
    labels = labels_of(scores)
    shown = _Pictures(pictures, scores)
    training = shown.of(*(name for name in pictures if name.startswith("training")))
    said = grid_findings(compared, labels)
    undecided = [f"- **Not decided:** {said.undecided}"] if said.undecided else []
    parts = [
        f"# {page.title}",
        page.question,
        "\n".join([f"- **Decided:** {' '.join(said.decided)}", *undecided]),
        f"## Scores at step {scores.step}",
        _scores(scores),
        _METHOD,
        *shown.of("pass_at_k", "over_steps", "plane", *(name for name in pictures if name.startswith("dose"))),
        "## Differences at equal steps",
        *_family("From the base", compared.versus_base, scores, shown.of("versus_base")),
        *_family("Each axis, averaged over the others", compared.of_axes, scores, shown.of("of_axes")),
        *_family("Between each other", compared.between_cells, scores, shown.of("between_cells")),
        *_family("Runs beside the grid", compared.beside_the_grid, scores, shown.of("beside_the_grid")),
        *_equal_accuracy(compared, labels, levels, scores, shown.of("equal_pass_at_1")),
        "## Problem by problem",
        *shown.of("coverage"),
        *(["## What training logged", *training] if training else []),
        "## What was run",
        code(page.commands),
        table(["", ""], [*page.facts], num_left=2),
    ]
    if page.left_out:
        parts += ["**In no number:**", "\n".join(f"- {line}" for line in page.left_out)]
    return "\n\n".join(parts) + "\n"


class _Pictures:
    def __init__(self, files: Mapping[str, str], scores: GridScores) -> None:
        self._files = files
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
            "training_": "Accuracy, entropy, length, clipping and samples of every cell over the training steps, as training logs them",
            "coverage": "Map of problems and runs: in how large a share of its samples each solves each problem",
        }

    def of(self, *names: str) -> list[str]:
        """Those that there are."""
        found = [name for name in names if name in self._files]
        return [
            picture(self._files[name], self._alts.get(name) or self._alts[sub("[0-9]+$", "", name)]) for name in found
        ]


def _scores(scores: GridScores) -> str:
    ks = shown_ks(scores.ks)
    rows = [
        [
            "base" if len(scores.bases) == 1 else f"base, {model}",
            _NONE,
            *(_share(scores.base_interval(model, k)) for k in ks),
        ]
        for model in scores.bases
    ]
    rows += [
        [cell_label(cell), str(len(cell.seeds)), *(_share(scores.interval(cell, k)) for k in ks)]
        for cell in scores.cells
    ]
    missing = (
        ""
        if scores.bases
        else "\n\nNo run was validated before training, so there is no base: trainer.val_before_train=True."
    )
    return table(["in %", "seeds", *(f"pass@{k}" for k in ks)], rows) + missing


def _share(mean: CrossedMean) -> str:
    return f"{100 * mean.mean:.1f}" + ("" if isnan(mean.low) else f" [{100 * mean.low:.1f}, {100 * mean.high:.1f}]")


def _family(heading: str, rows: Sequence[SeedDifference], scores: GridScores, pictures: Sequence[str]) -> list[str]:
    return [f"### {heading}", *pictures, _differences(rows, scores)] if rows else []


def _differences(rows: Sequence[SeedDifference], scores: GridScores, *, with_level: bool = False) -> str:
    header = ["points", "pass@1 of both"] if with_level else ["points"]
    return table(
        [*header, "k", "difference", "95 % interval", "p", "p after Holm", "detectable", "verdict"],
        [
            [
                row_label(row, scores.cells),
                *([f"{100 * row.at:.1f} %"] if with_level else []),
                str(row.k),
                points(row.difference),
                points_interval(row),
                _p(row.p_value),
                _p(row.p_holm),
                _NONE if isnan(row.detectable) else f"{100 * row.detectable:.1f}",
                direction(row),
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
    pictures: Sequence[str],
) -> list[str]:
    if not (compared.at_equal_accuracy or compared.not_reached):
        return []
    parts = [
        "## Differences at equal pass@1",
        f"pass@{scores.ks[-1]} where pass@1 of each run first crosses a value, between validations by a straight line: a "
        "difference that is left is not explained by one cell having learned more. Each pair is compared at the largest pass@1 "
        "that all runs of both reach.",
        *pictures,
    ]
    if compared.at_equal_accuracy:
        parts.append(_differences(compared.at_equal_accuracy, scores, with_level=True))
    if compared.not_reached:
        lines = [f"- {labels[each.name]} and {labels[each.base]}: {each.why}." for each in compared.not_reached]
        parts += ["Cannot be compared at equal pass@1:", "\n".join(lines)]
    if levels:
        parts.append(_levels(levels, labels, scores))
    return parts


def _levels(levels: Sequence[AtLevel], labels: Mapping[str, str], scores: GridScores) -> str:
    """pass@k of each cell at common levels, and the step; nothing where a seed does not reach the level."""
    steps = list(dict.fromkeys(each.level for each in levels))
    rows = []
    for name in dict.fromkeys(each.name for each in levels):
        cells = [
            f"{100 * fmean(each.pass_at_k):.1f} (step {fmean(each.steps):.0f})" if each.steps else _NONE
            for each in levels
            if each.name == name
        ]
        rows.append([labels[name], *cells])
    heading = [f"pass@{scores.ks[-1]} in % at pass@1 of", *(f"{100 * step:.1f} %" for step in steps)]
    return table(heading, rows) + f"\n\n{_NONE}: some seed does not reach it."
