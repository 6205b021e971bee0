"""Paired differences as a forest: a row for each comparison, with its interval and what it could have seen."""

from collections.abc import Mapping, Sequence
from math import isnan

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from verl_ext.analysis.grid_comparisons import SeedDifference
from verl_ext.plots.style import FONT_SIZE, GRAY, INK, Style, clean

_SEEN = "#e6e6e6"
_PLAIN = Style("", "#444444", "-", "o")


def draw_forest(
    axes: Axes, rows: Sequence[SeedDifference], labels: Sequence[str], styles: Mapping[str, Style], *, measure: str
) -> None:
    """Draw differences from the top down, in the style of the first of each pair; filled where decided after Holm.

    The gray bar of a row reaches as far as the smallest difference that would be decided with a probability of 80 %. An
    exploratory row is small and has none.

    Args:
        axes: To draw into.
        rows: The comparisons.
        labels: Of each.
        styles: By the name of the first of a pair; what has none is gray.
        measure: What the differences are of.
    """
    clean(axes)
    axes.grid(visible=False, axis="y")
    for place, row in enumerate(rows):
        if not isnan(row.detectable):
            axes.barh(place, 2 * row.detectable, left=-row.detectable, height=0.72, color=_SEEN, zorder=0.5)
    axes.axvline(0.0, color=GRAY, linewidth=1.0, zorder=0.8)
    for place, row in enumerate(rows):
        style = styles.get(row.name, _PLAIN)
        if not isnan(row.low):
            axes.plot([row.low, row.high], [place, place], color=style.color, linewidth=1.8)
        axes.plot(
            row.difference,
            place,
            marker=style.marker,
            markersize=8 if row.is_primary else 5,
            color=style.color,
            markerfacecolor=style.color if row.is_decided else "white",
            markeredgewidth=1.5,
            linestyle="none",
        )
    axes.set_yticks(range(len(rows)), labels)
    axes.set_ylim(max(len(rows), 1) - 0.4, -0.6)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda share, _: f"{100 * share:+.3g}".replace("-", "\N{MINUS SIGN}") if share else "0")
    )
    axes.set_xlabel(f"{measure} (points)", fontsize=FONT_SIZE, color=INK)
