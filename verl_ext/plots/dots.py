"""Values with their intervals as dots beside names: pass@1 by level or subject, and effects of least squares."""

from collections.abc import Mapping, Sequence
from math import isnan
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from verl_ext.analysis.breakdown import Breakdown
from verl_ext.analysis.least_squares import INTERCEPT, LeastSquares
from verl_ext.plots.style import FONT_SIZE, GRAY, INK, Style, clean, percent_axis, say_nothing_recorded, style_by_name

_BAND = 0.6
"""Of the room of a row that its dots take."""


class _Dot(NamedTuple):
    value: float
    low: float
    high: float


def draw_breakdown(axes: Axes, groups: Breakdown, k: int = 1) -> None:
    """Draw pass@k of each value of a field with its 95 % interval over problems, a dot per run, from the top down.

    A value whose problems have fewer than k samples has no dot.
    """
    names = list(groups.curves)
    dots = {
        name: {
            curve.name: _Dot(curve.pass_at_k[curve.at(k)], curve.low[curve.at(k)], curve.high[curve.at(k)])
            for curve in curves
            if k in curve.ks
        }
        for name, curves in groups.curves.items()
    }
    _draw(axes, groups.values, dots, style_by_name(names))
    axes.set_yticks(
        range(len(groups.values)),
        [f"{value} ({count:,})" for value, count in zip(groups.values, groups.num_problems, strict=True)],
    )
    axes.set_xlim(-0.02, 1.02)
    percent_axis(axes, is_horizontal=True)
    axes.set_xlabel(f"pass@{k}; behind each name its number of problems", fontsize=FONT_SIZE, color=INK)


def draw_least_squares(axes: Axes, fits: Sequence[LeastSquares], names: Sequence[str]) -> None:
    """Draw the effects of every fit but the intercept, in points of accuracy, with their 95 % intervals.

    ``names`` are all runs of the study, which decides the colors.
    """
    rows = list(dict.fromkeys(row.name for fit in fits for row in fit.coefficients if row.name != INTERCEPT))
    dots = {fit.name: {row.name: _Dot(row.estimate, row.low, row.high) for row in fit.coefficients} for fit in fits}
    axes.axvline(0.0, color=GRAY, linewidth=1.0)
    _draw(axes, rows, dots, style_by_name(names))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda share, _: f"{100 * share:+.3g}".replace("-", "\N{MINUS SIGN}") if share else "0")
    )
    axes.set_xlabel("effect on accuracy (points)", fontsize=FONT_SIZE, color=INK)


def _draw(
    axes: Axes, rows: Sequence[str], dots: Mapping[str, Mapping[str, _Dot]], style_of: Mapping[str, Style]
) -> None:
    clean(axes)
    if not rows or not dots:
        say_nothing_recorded(axes)
        return
    axes.grid(visible=False, axis="y")
    step = _BAND / len(dots)
    for index, (name, of_run) in enumerate(dots.items()):
        style = style_of[name]
        shown = [(place, of_run[row]) for place, row in enumerate(rows) if row in of_run]
        places = [place - _BAND / 2 + step * (index + 0.5) for place, _ in shown]
        for place, (_, dot) in zip(places, shown, strict=True):
            if not isnan(dot.low):
                axes.plot([dot.low, dot.high], [place, place], color=style.color, linewidth=1.3)
        axes.plot(
            [dot.value for _, dot in shown],
            places,
            color=style.color,
            linestyle="none",
            marker=style.marker,
            markersize=10 if style.marker == "*" else 6.5,  # a star fills less of its size
            markeredgecolor="white",
            markeredgewidth=0.6,
            label=style.label,
        )
    axes.set_yticks(range(len(rows)), rows)
    axes.set_ylim(len(rows) - 0.45, -0.55)
