"""Validations of runs over their steps, with the steps that somebody might report: the last, the peak, the one that is kept."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from verl_ext.plots.figures import narrow_figure, wide_figure
from verl_ext.plots.run_figures import without_seed
from verl_ext.plots.style import (
    FONT_SIZE,
    GRAY,
    INK,
    clean,
    legend_below,
    percent_axis,
    say_nothing_recorded,
    style_by_name,
)

_HEADING = "Validations, and the steps that might be reported"
_MARKS: dict[str, dict[str, Any]] = {
    "the last step": {"marker": "o", "markersize": 7},
    "the peak": {"marker": "^", "markersize": 11, "markerfacecolor": "none", "markeredgewidth": 1.4},
    "kept by trainer.best_checkpoint": {"marker": "*", "markersize": 14, "markeredgecolor": "white"},
}


class ValidatedSteps(NamedTuple):
    """Of a run."""

    name: str
    steps: Sequence[int]
    values: Sequence[float]
    last: int
    """The step."""
    peak: int
    kept: int | None


def step_choices_figure(
    runs: Sequence[ValidatedSteps], *, measure: str, is_share: bool, is_narrow: bool = False
) -> Figure:
    """A thin line for each run, seeds in the color of their method.

    Args:
        runs: With one score.
        measure: What the score is.
        is_share: Whether it is one in [0, 1].
        is_narrow: For a phone.
    """
    figure = narrow_figure(4.2, _HEADING) if is_narrow else wide_figure(8.6, 4.4, _HEADING)
    axes = figure.subplots()
    clean(axes)
    if not runs:
        say_nothing_recorded(axes)
        return figure
    styles = style_by_name(list(dict.fromkeys(without_seed(run.name) for run in runs)))
    drawn: dict[str, Artist] = {}
    for run in runs:
        style = styles[without_seed(run.name)]
        (line,) = axes.plot(run.steps, run.values, color=style.color, linestyle=style.line, linewidth=1.2, alpha=0.7)
        drawn.setdefault(style.label, line)
        for mark, step in zip(_MARKS, (run.last, run.peak, run.kept), strict=True):
            if step is not None:
                value = run.values[list(run.steps).index(step)]
                axes.plot(step, value, color=style.color, linestyle="none", **_MARKS[mark])
    shown = [mark for mark in _MARKS if mark != "kept by trainer.best_checkpoint" or any(run.kept for run in runs)]
    drawn |= {mark: Line2D([], [], color=GRAY, linestyle="none", **_MARKS[mark]) for mark in shown}
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axes.set_xlabel("training step", fontsize=FONT_SIZE, color=INK)
    axes.set_ylabel(measure, fontsize=FONT_SIZE, color=INK)
    if is_share:
        percent_axis(axes)
    legend_below(figure, drawn, num_columns=2 if is_narrow else 5)
    return figure
