"""Empty figures with panels for the cells of a study."""

from collections.abc import Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from verl_ext.plots.figures import DPI, narrow_figure
from verl_ext.plots.plain_figure import PlainFigure
from verl_ext.plots.style import FONT_SIZE, GRAY, INK, legend_below

_PANEL = 3.1


def empty_figure(width: float, height: float, heading: str, note: str) -> Figure:
    """Wide enough for its heading and, at the right of it, what is drawn how."""
    width = max(width, 0.6 + 0.125 * len(heading) + 0.085 * len(note))
    figure = PlainFigure(figsize=(width, height), dpi=DPI, facecolor="white")
    figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.08)
    figure.suptitle(heading, x=0.012, ha="left", fontsize=FONT_SIZE + 2.5, fontweight="bold", color=INK)
    figure.text(0.988, 1 - 0.1 / height, note, ha="right", va="top", fontsize=FONT_SIZE - 1.5, color=GRAY)
    return figure


def empty_panels(
    num_rows: int,
    num_columns: int,
    heading: str,
    note: str,
    *,
    heights: float,
    width: float = _PANEL,
    are_alike: bool = False,
    is_narrow: bool = False,
) -> tuple[Figure, list[Axes]]:
    """A figure and its panels, row by row; all below each other where it is narrow."""
    if is_narrow:
        num_rows, num_columns = num_rows * num_columns, 1
        figure = narrow_figure(0.4 + heights * num_rows, heading, note)
        found = figure.subplots(num_rows, 1, squeeze=False, sharex=are_alike, sharey=are_alike)
        return figure, list(found.flatten())
    figure = empty_figure(max(5.6, 0.6 + width * num_columns), 1.2 + heights * num_rows, heading, note)
    panels = figure.subplots(num_rows, num_columns, squeeze=False, sharex=are_alike, sharey=are_alike)
    return figure, list(panels.flatten())


def remove(panels: Sequence[Axes]) -> None:
    """Take what is not needed out of its figure."""
    for axes in panels:
        axes.remove()


def legend_of(figure: Figure, panels: Sequence[Axes]) -> None:
    """One legend for all panels."""
    drawn: dict[str, Artist] = {}
    for axes in panels:
        handles, labels = axes.get_legend_handles_labels()
        drawn |= {str(text): handle for handle, text in zip(handles, labels, strict=True)}
    widest = max(map(len, drawn), default=1)
    legend_below(figure, drawn, num_columns=max(1, int(figure.get_figwidth() / (0.5 + 0.085 * widest))))
