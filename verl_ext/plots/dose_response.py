"""A score over a number that runs differ in, such as lambda or a rate of flipped verdicts: a line for each objective."""

from collections.abc import Mapping, Sequence
from math import isnan
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from verl_ext.plots.score_bars import ScoreBar
from verl_ext.plots.style import FONT_SIZE, INK, Style, clean, percent_axis, say_nothing_recorded

_LOGARITHMIC_FROM = 8
"""So many times the smallest number above 0 is the largest."""


class DoseLine(NamedTuple):
    """Scores by the number that they were measured at."""

    style: Style
    scores: Mapping[float, ScoreBar]


class Aside(NamedTuple):
    """A score of something that has no number, left of all."""

    style: Style
    score: ScoreBar


class _Scale:
    """Where numbers are on an axis that is logarithmic, with a place of its own for 0, or linear."""

    def __init__(self, doses: Sequence[float]) -> None:
        above = [dose for dose in doses if dose > 0] or [1.0]
        self.is_logarithmic = above[-1] >= _LOGARITHMIC_FROM * above[0]
        zero = above[0] / 4 if self.is_logarithmic else 0.0
        self.place_of = {dose: dose if dose > 0 else zero for dose in doses}
        self._reach = doses[-1] - doses[0] or 1.0
        first = self.place_of[doses[0]]
        self.left = first / 2.5 if self.is_logarithmic else first - 0.12 * self._reach

    def beside(self, place: float, share: float) -> float:
        """A place that is moved by a share of the axis."""
        return float(place * 10**share if self.is_logarithmic else place + share * self._reach)


def draw_dose_response(axes: Axes, lines: Sequence[DoseLine], *, dose: str, asides: Sequence[Aside] = ()) -> None:
    """Draw lines with intervals; nothing for nan.

    The axis is logarithmic where numbers differ eightfold, with a place of its own for 0, else linear.

    Args:
        axes: To draw into.
        lines: Each has a style of its own.
        dose: What the numbers are.
        asides: Drawn left of all.
    """
    clean(axes)
    doses = sorted({number for line in lines for number in line.scores})
    if not doses:
        say_nothing_recorded(axes)
        return
    scale = _Scale(doses)
    if scale.is_logarithmic:
        axes.set_xscale("log")
    shares = np.linspace(-0.005, 0.005, len(lines)) * (len(lines) - 1)  # intervals that coincide are all seen
    for line, share in zip(lines, shares, strict=True):
        _draw_line(axes, line, scale, float(share))
    for style, score in asides:
        axes.plot(scale.left, score.value, color=style.color, marker=style.marker, markersize=8, linestyle="none")
        _draw_interval(axes, scale.left, score, style.color)
    ticks = {place: f"{number:g}" for number, place in scale.place_of.items()}
    ticks |= {scale.left: ", ".join(dict.fromkeys(style.label for style, _ in asides))} if asides else {}
    axes.xaxis.set_major_locator(FixedLocator(sorted(ticks)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda place, _: ticks[min(ticks, key=lambda tick: abs(tick - place))])
    )
    axes.set_xlabel(dose, fontsize=FONT_SIZE, color=INK)
    percent_axis(axes)


def _draw_line(axes: Axes, line: DoseLine, scale: _Scale, share: float) -> None:
    known = [number for number in sorted(line.scores) if not isnan(line.scores[number].value)]
    places = [scale.beside(scale.place_of[number], share) for number in known]
    style = line.style
    axes.plot(
        places,
        [line.scores[number].value for number in known],
        color=style.color,
        linestyle=style.line,
        marker=style.marker,
        markersize=6.5,
        markeredgecolor="white",
        markeredgewidth=0.6,
        linewidth=1.9,
        label=style.label,
    )
    for number, place in zip(known, places, strict=True):
        _draw_interval(axes, place, line.scores[number], style.color)


def _draw_interval(axes: Axes, place: float, score: ScoreBar, color: str) -> None:
    if not isnan(score.low):
        axes.plot([place, place], [score.low, score.high], color=color, linewidth=1.2, marker="_", markersize=7)
