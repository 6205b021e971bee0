"""Whole figures of a study over seeds and problems, made without a display; the caller saves them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import ceil
from textwrap import fill

from matplotlib.figure import Figure

from verl_ext.analysis.grid_comparisons import BASE, Comparisons, SeedDifference
from verl_ext.analysis.grid_doses import DoseAxis, dose_axes
from verl_ext.analysis.grid_scores import CellScores, GridScores
from verl_ext.metrics.generations import Generations
from verl_ext.metrics.validations import ValidationCounts
from verl_ext.plots.cell_curves import draw_cell_pass_at_k, draw_over_steps, draw_plane
from verl_ext.plots.cell_panels import empty_figure, empty_panels, legend_of, remove
from verl_ext.plots.cell_styles import Facet, cell_label, cell_styles, facets, row_label, value_label
from verl_ext.plots.coverage_map import MANY_RUNS
from verl_ext.plots.dose_response import Aside, DoseLine, draw_dose_response
from verl_ext.plots.figures import narrow_figure, training_figure
from verl_ext.plots.forest import draw_forest
from verl_ext.plots.run_figures import coverage_figure
from verl_ext.plots.score_bars import ScoreBar
from verl_ext.plots.style import FONT_SIZE, INK, STYLES, Style, known_style, legend_below, percent_axis, title
from verl_ext.plots.training_curves import LOGGED_PANELS, Panel, TrainingCurve, mean_over_runs

_MOST_RUNS = 30
"""So many columns fit a map of problems and runs."""
_TITLE_LETTERS = 28
"""Of a line over a panel."""
_NUM_COLUMNS = 4
_BASE = STYLES["base"]


def cell_figures(scores: GridScores, compared: Comparisons, *, is_narrow: bool = False) -> dict[str, Figure]:
    """Name -> figure: all that a study has something for; ``is_narrow`` for a phone."""
    styles = cell_styles(scores.cells)
    found = {
        "pass_at_k": pass_at_k_of_cells(scores, styles, is_narrow=is_narrow),
        "over_steps": over_steps_figure(scores, styles, is_narrow=is_narrow),
    }
    if len(scores.ks) > 1:
        found["plane"] = plane_figure(scores, styles, is_narrow=is_narrow)
    families = {
        "versus_base": (compared.versus_base, f"Against the base at step {scores.step}"),
        "of_axes": (compared.of_axes, f"Averaged over the other axes, step {scores.step}"),
        "between_cells": (compared.between_cells, f"Between each other at step {scores.step}"),
        "beside_the_grid": (compared.beside_the_grid, f"Runs beside the grid, at step {scores.step}"),
        "equal_pass_at_1": (compared.at_equal_accuracy, "At equal pass@1: the largest that all runs of both reach"),
    }
    values = dict.fromkeys(value for cell in scores.cells for value in cell.place.values())
    of_values = {value: style for value in values if (style := known_style(value)) is not None}
    for name, (rows, heading) in families.items():
        if rows:
            found[name] = forest_figure(rows, scores.cells, {**of_values, **styles}, heading, is_narrow=is_narrow)
    for number, doses in enumerate(dose_axes(scores.cells), start=1):
        found[f"dose_{number}"] = dose_figure(scores, doses, styles, is_narrow=is_narrow)
    found["coverage"] = coverage_of_cells(scores, is_narrow=is_narrow)
    return found


def training_figures(
    scores: GridScores,
    curves: Mapping[str, Sequence[TrainingCurve]],
    *,
    panels: Sequence[Panel] = LOGGED_PANELS,
    is_narrow: bool = False,
) -> dict[str, Figure]:
    """What training logged, the mean over seeds: a figure for each facet that has any.

    Args:
        scores: Of the study.
        curves: Name of a cell -> its runs.
        panels: The metrics.
        is_narrow: For a phone.
    """
    styles = cell_styles(scores.cells)
    found = {}
    for number, facet in enumerate(facets(scores.cells), start=1):
        means = [mean_over_runs(cell.name, curves[cell.name]) for cell in facet.cells if curves.get(cell.name)]
        if means:
            heading = f"Training, mean over seeds{facet.title and f': {facet.title}'}"
            found[f"training_{number}"] = training_figure(
                means, heading=heading, panels=panels, styles=_in_facet(facet, styles), is_narrow=is_narrow
            )
    return found


def pass_at_k_of_cells(scores: GridScores, styles: Mapping[str, Style], *, is_narrow: bool = False) -> Figure:
    """A panel for each cell, beside its base."""
    num_rows = len(scores.cells) if is_narrow else ceil(len(scores.cells) / _NUM_COLUMNS)
    num_columns = ceil(len(scores.cells) / num_rows)
    note = "bands: 95 % over seeds and problems; thin: each seed"
    figure, panels = empty_panels(
        num_rows,
        num_columns,
        f"pass@k at step {scores.step}",
        note,
        heights=2.1 if is_narrow else 2.7,
        are_alike=True,
        is_narrow=is_narrow,
    )
    for number, (axes, cell) in enumerate(zip(panels, scores.cells, strict=False)):
        draw_cell_pass_at_k(axes, scores, cell, styles[cell.name])
        title(axes, fill(styles[cell.name].label, _TITLE_LETTERS))
        if number + num_columns >= len(scores.cells):
            axes.set_xlabel("k, answers drawn", fontsize=FONT_SIZE, color=INK)
            axes.tick_params(labelbottom=True)
        if number % num_columns == 0:
            axes.set_ylabel("pass@k", fontsize=FONT_SIZE, color=INK)
    remove(panels[len(scores.cells) :])
    percent_axis(panels[0])
    handles, labels = panels[0].get_legend_handles_labels()
    legend_below(
        figure, {str(text): handle for handle, text in zip(handles, labels, strict=True) if text == _BASE.label}
    )
    return figure


def over_steps_figure(scores: GridScores, styles: Mapping[str, Style], *, is_narrow: bool = False) -> Figure:
    """pass@1 and pass@k at the largest k, side by side; a row for each facet."""
    ends = sorted({scores.ks[0], scores.ks[-1]})
    rows = facets(scores.cells)
    note = f"thin: each seed; right: 95 % over seeds and problems at step {scores.step}"
    room = 0.5 if len(rows) > 1 else 0.0  # for the legends beside the rows
    figure, panels = empty_panels(
        len(rows),
        len(ends),
        "Validations during training",
        note,
        heights=2.6 if is_narrow else 3.4,
        width=4.6 + room,
        is_narrow=is_narrow,
    )
    for number, facet in enumerate(rows):
        for column, k in enumerate(ends):
            axes = panels[number * len(ends) + column]
            draw_over_steps(axes, scores, facet.cells, _in_facet(facet, styles), k)
            axes.set_ylabel(f"pass@{k}", fontsize=FONT_SIZE, color=INK)
            if column == 0:
                title(axes, facet.title)
        if len(rows) > 1 and not is_narrow:
            axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False, fontsize=FONT_SIZE - 1)
    if len(rows) == 1 or is_narrow:
        legend_of(figure, panels)
    return figure


def plane_figure(scores: GridScores, styles: Mapping[str, Style], *, is_narrow: bool = False) -> Figure:
    """A panel for each facet."""
    parts = facets(scores.cells)
    num_columns = 1 if is_narrow else min(3, len(parts))
    figure, panels = empty_panels(
        ceil(len(parts) / num_columns),
        num_columns,
        f"pass@1 and pass@{scores.ks[-1]} at each validation",
        "crosses: 95 %; thin: each seed",
        heights=3.6 if is_narrow else 4.2,
        width=7.6 if num_columns == 1 else 4.6,
        is_narrow=is_narrow,
    )
    for axes, facet in zip(panels, parts, strict=False):
        draw_plane(axes, scores, facet.cells, _in_facet(facet, styles))
        title(axes, facet.title)
        if len(parts) > 1:
            axes.legend(loc="best", frameon=False, fontsize=FONT_SIZE - 2.5, markerscale=0.6)
        axes.set_ylabel(f"pass@{scores.ks[-1]}", fontsize=FONT_SIZE, color=INK)
    remove(panels[len(parts) :])
    if len(parts) == 1:
        legend_of(figure, panels[:1])
    return figure


def _in_facet(facet: Facet, styles: Mapping[str, Style]) -> dict[str, Style]:
    return {cell.name: replace(styles[cell.name], label=facet.label(cell)) for cell in facet.cells}


def forest_figure(
    rows: Sequence[SeedDifference],
    cells: Sequence[CellScores],
    styles: Mapping[str, Style],
    heading: str,
    *,
    is_narrow: bool = False,
) -> Figure:
    """A column for each k, with the same pairs beside each other; narrow, below each other."""
    by_k = {k: [row for row in rows if row.k == k] for k in sorted({row.k for row in rows})}
    note = "filled: decided after Holm; gray: decided in under 80 %"
    note += "" if all(row.is_primary for row in rows) else "; small: exploratory"
    longest = max(len(row_label(row, cells)) for row in rows)
    if is_narrow:
        figure = narrow_figure(0.4 + sum(0.8 + 0.3 * len(found) for found in by_k.values()), heading, note)
        sizes = {"height_ratios": [0.8 + 0.3 * len(found) for found in by_k.values()]}
        panels = figure.subplots(len(by_k), 1, squeeze=False, gridspec_kw=sizes)[:, 0]
    else:
        height = 1.5 + 0.3 * max(map(len, by_k.values()))
        figure = empty_figure(1.6 + 0.075 * longest + 3.6 * len(by_k), height, heading, note)
        panels = figure.subplots(1, len(by_k), squeeze=False, sharey=True)[0]
    for axes, (k, found) in zip(panels, by_k.items(), strict=True):
        draw_forest(axes, found, [row_label(row, cells) for row in found], styles, measure=f"pass@{k}")
    return figure


def dose_figure(scores: GridScores, doses: DoseAxis, styles: Mapping[str, Style], *, is_narrow: bool = False) -> Figure:
    """pass@1 and pass@k at the largest k over the number, a line for each of the other values."""
    ends = sorted({scores.ks[0], scores.ks[-1]})
    figure, panels = empty_panels(
        1,
        len(ends),
        f"Over {value_label(doses.axis)}",
        "95 % over seeds and problems",
        heights=2.8 if is_narrow else 3.8,
        width=5.0,
        is_narrow=is_narrow,
    )
    of_line = _line_styles(doses)
    for axes, k in zip(panels, ends, strict=True):
        lines = [
            DoseLine(of_line[name], {number: _bar(scores, cell, k) for number, cell in line.items()})
            for name, line in doses.lines.items()
        ]
        asides = [Aside(styles[cell.name], _bar(scores, cell, k)) for cell in doses.asides if len(doses.lines) == 1]
        draw_dose_response(axes, lines, dose=value_label(doses.dose), asides=asides)
        axes.set_ylabel(f"pass@{k}", fontsize=FONT_SIZE, color=INK)
    legend_of(figure, panels)
    return figure


def _line_styles(doses: DoseAxis) -> dict[str, Style]:
    """Of each line: what its first cells have when the number is no axis."""
    firsts = {name: next(iter(line.values())) for name, line in doses.lines.items()}
    places = [{axis: value for axis, value in cell.place.items() if axis != doses.axis} for cell in firsts.values()]
    shown = cell_styles([replace(cell, place=place) for cell, place in zip(firsts.values(), places, strict=True)])
    return {
        name: replace(
            shown[cell.name], label=", ".join(map(value_label, place.values())) or value_label(cell.objective)
        )
        for (name, cell), place in zip(firsts.items(), places, strict=True)
    }


def coverage_of_cells(scores: GridScores, *, is_narrow: bool = False) -> Figure:
    """Problems and runs, with as many samples of each; of many runs the first seed of each cell."""
    num_runs = sum(len(cell.seeds) for cell in scores.cells)
    most = 1 if num_runs > (MANY_RUNS if is_narrow else _MOST_RUNS) else num_runs
    runs = [
        _generations(f"{cell_label(cell)} {seed}".strip(), counts)
        for cell in scores.cells
        for seed, counts in list(zip(cell.seeds, cell.counts_S, strict=True))[:most]
    ]
    bases = [
        _generations(BASE if len(scores.bases) == 1 else f"base, {model}", base.first)
        for model, base in scores.bases.items()
    ]
    return coverage_figure([*bases, *runs], is_narrow=is_narrow)


def _generations(name: str, counts: ValidationCounts) -> Generations:
    num_problems = len(counts.num_samples_P)
    return Generations(
        name=name,
        path=name,
        question_ids=[str(number) for number in range(num_problems)],
        num_samples_P=counts.num_samples_P,
        num_correct_P=counts.num_correct_P,
        references=[None] * num_problems,
    )


def _bar(scores: GridScores, cell: CellScores, k: int) -> ScoreBar:
    mean = scores.interval(cell, k)
    return ScoreBar(cell.name, mean.mean, mean.low, mean.high)
