"""Final performance: a bar for each run with its interval and its seeds."""

from collections.abc import Sequence
from math import isnan, nan
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from verl_ext.metrics.seeds import over_seeds
from verl_ext.metrics.summary import PassAtKCurve
from verl_ext.plots.style import FONT_SIZE, INK, clean, percent_axis, say_nothing_recorded, styles_of


class ScoreBar(NamedTuple):
    """A share in [0, 1] with its 95 % interval."""

    name: str
    """Of the objective."""
    value: float
    low: float = nan
    """nan where there is no interval."""
    high: float = nan
    seeds: tuple[float, ...] = ()
    """What the value is the mean of, if it is one over seeds."""


def bar_of_curve(curve: PassAtKCurve, k: int) -> ScoreBar:
    """pass@k of a run; the interval is for other problems."""
    at = curve.at(k)
    return ScoreBar(curve.name, curve.pass_at_k[at], curve.low[at], curve.high[at])


def bar_of_seeds(name: str, values: Sequence[float]) -> ScoreBar:
    """The mean over seeds; the interval is for other seeds, cut to [0, 1]."""
    mean, low, high = over_seeds(values)
    low, high = np.clip((low, high), 0.0, 1.0).tolist()
    return ScoreBar(name, mean, low, high, tuple(values))


def draw_score_bars(axes: Axes, bars: Sequence[ScoreBar], *, measure: str) -> None:
    """Draw a bar for each score, with its interval, its seeds as dots, and its value above; nothing for nan.

    Args:
        axes: To draw into.
        bars: From left to right.
        measure: What the scores are, such as pass@1.
    """
    clean(axes)
    axes.grid(visible=False, axis="x")
    styles = styles_of([bar.name for bar in bars])
    for place, (bar, style) in enumerate(zip(bars, styles, strict=True)):
        if isnan(bar.value):
            continue
        axes.bar(place, bar.value, width=0.7, color=style.color, alpha=0.85)
        if not isnan(bar.low):
            for color, width in (("white", 3.2), (INK, 1.4)):  # seen on a black bar too
                axes.plot([place, place], [bar.low, bar.high], color=color, linewidth=width, marker="_", markersize=9)
        if bar.seeds:
            shifts = np.linspace(-0.18, 0.18, len(bar.seeds)) if len(bar.seeds) > 1 else [0.0]
            axes.plot(place + np.array(shifts), bar.seeds, "o", color="white", markeredgecolor=INK, markersize=4)
        top = max(value for value in (bar.value, bar.high, *bar.seeds) if not isnan(value))
        axes.annotate(
            f"{100 * bar.value:.1f}",
            (place, top),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            fontsize=FONT_SIZE - 1,
            color=INK,
        )
    is_crowded = len(bars) > 5
    axes.set_xticks(
        range(len(bars)),
        [style.label for style in styles],
        rotation=35 if is_crowded else 0,
        ha="right" if is_crowded else "center",
    )
    axes.set_xlim(-0.6, max(len(bars), 1) - 0.4)
    axes.set_ylim(bottom=0.0)
    axes.margins(y=0.12)
    if not axes.patches:
        say_nothing_recorded(axes)
        return
    percent_axis(axes)
    axes.set_ylabel(measure, fontsize=FONT_SIZE, color=INK)
