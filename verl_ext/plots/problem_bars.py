"""Bars that count problems: how pass@1 is spread over them, and how many of the base's unsolved ones a run solves."""

from collections.abc import Sequence
from itertools import pairwise
from math import isnan

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from verl_ext.analysis.accuracy_distribution import NUM_BINS, AccuracyDistribution
from verl_ext.analysis.new_ability import NewAbility
from verl_ext.plots.style import FONT_SIZE, INK, clean, percent_axis, say_nothing_recorded, style_by_name, styles_of

_GROUP_WIDTH = 0.84
_BIN_LABELS = [
    "never",
    *(f"{100 * bin // NUM_BINS} to {100 * (bin + 1) // NUM_BINS}" for bin in range(NUM_BINS)),
    "always",
]


def draw_accuracy_distribution(axes: Axes, distributions: Sequence[AccuracyDistribution]) -> None:
    """Draw the number of problems in each bin of accuracy, a bar per run, in the order of the runs."""
    clean(axes)
    if not distributions:
        say_nothing_recorded(axes)
        return
    axes.grid(visible=False, axis="x")
    width = _GROUP_WIDTH / len(distributions)
    places = np.arange(NUM_BINS + 2)
    styles = styles_of([each.name for each in distributions])
    for index, (each, style) in enumerate(zip(distributions, styles, strict=True)):
        axes.bar(
            places - _GROUP_WIDTH / 2 + width * (index + 0.5),
            [each.num_never, *each.num_between, each.num_always],
            width=0.92 * width,
            color=style.color,
            label=style.label,
        )
    axes.set_xticks(places, _BIN_LABELS)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=7, steps=[1, 2, 5, 10], integer=True))
    axes.set_xlim(-0.6, places[-1] + 0.6)
    axes.set_xlabel("share of a problem's samples that are correct (%)", fontsize=FONT_SIZE, color=INK)
    axes.set_ylabel("problems", fontsize=FONT_SIZE, color=INK)


def draw_new_ability(axes: Axes, abilities: Sequence[NewAbility], names: Sequence[str]) -> None:
    """Draw the share of the base's unsolved problems that each solves, with its interval, from the top down.

    ``names`` are all runs of the study, which decides the colors. The base's own bars are hatched: they are the rate at
    which such problems are solved without any new ability.
    """
    clean(axes)
    if not abilities:
        say_nothing_recorded(axes)
        return
    axes.grid(visible=False, axis="y")
    style_of = style_by_name(names)
    places = _places(abilities)
    for place, each in zip(places, abilities, strict=True):
        style = style_of[each.name]
        share = 0.0 if isnan(each.share) else each.share
        is_base = each.name == each.base
        axes.barh(
            place,
            share,
            height=0.66,
            color="white" if is_base else style.color,
            edgecolor=style.color,
            hatch="////" if is_base else None,
        )
        reach = share if isnan(each.high) else each.high
        if not isnan(each.low):
            axes.plot([each.low, each.high], [place, place], color=INK, linewidth=1.2, marker="|", markersize=7)
        axes.annotate(
            f"{count_text(each.num_solved)} of {count_text(each.num_unsolved)}",
            xy=(reach, place),
            xytext=(7, 0),
            textcoords="offset points",
            verticalalignment="center",
            fontsize=FONT_SIZE - 1,
            color=INK,
        )
    axes.set_yticks(places, [_row_name(each, style_of[each.name].label) for each in abilities])
    axes.set_ylim(places[-1] + 0.6, -0.6)
    highest = max((value for each in abilities for value in (each.share, each.high) if not isnan(value)), default=0.0)
    axes.set_xlim(0.0, 1.22 * max(highest, 0.04))
    percent_axis(axes, is_horizontal=True)
    axes.set_xlabel("share of the unsolved problems with a correct answer", fontsize=FONT_SIZE, color=INK)


def count_text(count: float) -> str:
    """A number of problems, with a decimal where it is an expectation."""
    return f"{count:,.0f}" if count == round(count) else f"{count:,.1f}"


def _places(abilities: Sequence[NewAbility]) -> list[float]:
    """A row below another, with a gap where the base's number of samples changes."""
    places = [0.0]
    for above, each in pairwise(abilities):
        places.append(places[-1] + (1.0 if each.num_base_samples == above.num_base_samples else 1.4))
    return places


def _row_name(each: NewAbility, label: str) -> str:
    if each.name == each.base:
        label = f"{label} again"
    return f"{label}, {each.num_samples:,} samples\n(unsolved by {each.num_base_samples:,})"
