"""The cells of a study as curves: over k, over the steps, and as paths in the plane of pass@1 and pass@k."""

from collections.abc import Mapping, Sequence
from math import isnan
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from verl_ext.analysis.grid_scores import START, CellScores, GridScores
from verl_ext.metrics.crossed import CrossedMean
from verl_ext.plots.style import FONT_SIZE, INK, STYLES, Style, clean, percent_axis

_OF_A_SEED: dict[str, Any] = {"linewidth": 0.7, "alpha": 0.4}


def draw_cell_pass_at_k(axes: Axes, scores: GridScores, cell: CellScores, style: Style) -> None:
    """Draw pass@k of a cell at the last step, with its band over seeds and problems and its seeds as thin lines, and its base."""
    clean(axes)
    axes.set_xscale("log", base=2)
    if cell.model in scores.bases:
        _draw_band(axes, scores.ks, [scores.base_interval(cell.model, k) for k in scores.ks], STYLES["base"])
    for values_PK in cell.at(scores.step):
        axes.plot(scores.ks, values_PK.mean(axis=0), color=style.color, **_OF_A_SEED)
    _draw_band(axes, scores.ks, [scores.interval(cell, k) for k in scores.ks], style)
    shown = scores.ks if len(scores.ks) < 6 else scores.ks[::2]
    axes.xaxis.set_major_locator(FixedLocator(shown))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda k, _: f"{k:.0f}")


def _draw_band(axes: Axes, ks: Sequence[int], means: Sequence[CrossedMean], style: Style) -> None:
    low, high = [mean.low for mean in means], [mean.high for mean in means]
    axes.fill_between(ks, low, high, color=style.color, alpha=0.15, linewidth=0)
    axes.plot(
        ks,
        [mean.mean for mean in means],
        color=style.color,
        linestyle=style.line,
        linewidth=2.0,
        marker=style.marker,
        markersize=4.5,
        label=style.label,
    )


def draw_over_steps(
    axes: Axes, scores: GridScores, cells: Sequence[CellScores], styles: Mapping[str, Style], k: int
) -> None:
    """Draw pass@k over the validated steps: means over seeds, seeds as thin lines, intervals behind the last step."""
    clean(axes)
    column = scores.ks.index(k)
    first, last = min(cell.steps[0] for cell in cells), max(cell.steps[-1] for cell in cells)
    for number, cell in enumerate(cells):
        style = styles[cell.name]
        for values_T in cell.means_TSK[:, :, column].T:
            axes.plot(cell.steps, values_T, color=style.color, **_OF_A_SEED)
        axes.plot(
            cell.steps,
            cell.means_TSK[:, :, column].mean(axis=1),
            color=style.color,
            linestyle=style.line,
            linewidth=2.0,
            marker=style.marker,
            markersize=5.5,
            markeredgecolor="white",
            markeredgewidth=0.6,
            label=style.label,
        )
        mean = scores.interval(cell, k)
        if not isnan(mean.low):  # beside each other, behind the last step
            place = last + (last - first) * 0.02 * (number + 1.5)
            axes.plot([place, place], [mean.low, mean.high], color=style.color, linewidth=1.6)
            axes.plot(place, mean.mean, color=style.color, marker=style.marker, markersize=4)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    percent_axis(axes)
    axes.set_xlabel("training step", fontsize=FONT_SIZE, color=INK)


def draw_plane(axes: Axes, scores: GridScores, cells: Sequence[CellScores], styles: Mapping[str, Style]) -> None:
    """Draw a path for each cell from its base to its last step, over pass@1 and pass@k at the largest k; seeds as thin paths.

    Every validation has a marker, the last a large one with its intervals.
    """
    clean(axes)
    for cell in cells:
        style = styles[cell.name]
        for path_TK in np.moveaxis(cell.means_TSK, 1, 0):
            axes.plot(path_TK[:, 0], path_TK[:, -1], color=style.color, **_OF_A_SEED)
        path_TK = cell.means_TSK.mean(axis=1)
        axes.plot(
            path_TK[:, 0], path_TK[:, -1], color=style.color, linestyle=style.line, marker=style.marker, markersize=3
        )
        across, up = scores.interval(cell, scores.ks[0]), scores.interval(cell, scores.ks[-1])
        if not isnan(up.low):
            axes.plot([across.low, across.high], [up.mean] * 2, color=style.color, linewidth=0.9, alpha=0.6)
            axes.plot([across.mean] * 2, [up.low, up.high], color=style.color, linewidth=0.9, alpha=0.6)
        axes.plot(
            across.mean,
            up.mean,
            color=style.color,
            linestyle=style.line,
            marker=style.marker,
            markersize=10,
            markeredgecolor="white",
            label=style.label,
        )
    for model in dict.fromkeys(cell.model for cell in cells if cell.steps[0] == START):
        base = STYLES["base"]
        start = [scores.base_interval(model, k).mean for k in (scores.ks[0], scores.ks[-1])]
        axes.plot(*start, color=base.color, marker=base.marker, linestyle="none", markersize=8, label=base.label)
    percent_axis(axes)
    percent_axis(axes, is_horizontal=True)
    axes.set_xlabel("pass@1", fontsize=FONT_SIZE, color=INK)
