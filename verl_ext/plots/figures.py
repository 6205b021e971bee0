"""Whole figures, made without a display; the caller saves them."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from math import ceil
from textwrap import fill

from matplotlib import rc_context
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from verl_ext.analysis.two_estimates import TwoEstimates
from verl_ext.metrics.summary import PassAtKCurve
from verl_ext.plots.curves import draw_pass_at_k, draw_two_estimates, named_ends, subtitle, where_it_ends
from verl_ext.plots.plain_figure import PlainFigure
from verl_ext.plots.style import FONT_SIZE, GRAY, INK, Style, legend_below, say_nothing_recorded, styles_of, title
from verl_ext.plots.training_curves import PANELS, Panel, TrainingCurve, draw_training, smoothing_note

DPI = 160
NARROW = 4.1
"""Inches of a figure for a phone, where its letters are as large as the page's: panels stand below each other."""
_NUM_COLUMNS = 4
_INCHES_PER_LETTER = 0.1  # of a bold name


def pass_at_k_figure(curves: Sequence[PassAtKCurve], *, heading: str = "pass@k", is_narrow: bool = False) -> Figure:
    """pass@k with 95 % bands, 5 inches high, 8.6 wide or more where a name is long; narrow, with the names below."""
    if is_narrow:
        return _names_below(curves, [], heading, subtitle(curves))
    figure, axes = _with_room_for_names(curves)
    draw_pass_at_k(axes, curves)
    _add_heading(axes, heading, subtitle(curves))
    return figure


def two_estimates_figure(
    estimates: Sequence[TwoEstimates], *, heading: str = "pass@k", is_narrow: bool = False
) -> Figure:
    """``pass_at_k_figure`` with the bootstrap's estimates as well."""
    curves = [each.unbiased for each in estimates]
    note = f"{subtitle(curves)}; dotted: by bootstrap" if curves else ""
    if is_narrow:
        return _names_below(curves, [each.bootstrap for each in estimates], heading, note)
    figure, axes = _with_room_for_names(curves)
    draw_two_estimates(axes, estimates)
    _add_heading(axes, heading, note)
    return figure


def _names_below(curves: Sequence[PassAtKCurve], dotted: Sequence[Sequence[float]], heading: str, note: str) -> Figure:
    figure = narrow_figure(3.9 + 0.21 * len(curves), heading, note)
    axes = figure.subplots()
    draw_pass_at_k(axes, curves, dotted=dotted, are_named=False)
    handles, _ = axes.get_legend_handles_labels()
    names = named_ends(curves)
    legend_below(figure, dict(zip(names, handles, strict=True)), num_columns=1)
    return figure


def narrow_figure(height: float, heading: str, note: str = "") -> Figure:
    """An empty figure for a phone, its heading and what is drawn how in as many lines as they need."""
    heading, note = fill(heading, 38), fill(note, 52)
    lines = 0.26 * (heading.count("\n") + 1) + (0.17 * (note.count("\n") + 1) if note else 0.0)
    figure = PlainFigure(figsize=(NARROW, height + lines), dpi=DPI, facecolor="white")
    top = 1 - (lines + 0.1) / figure.get_figheight()
    figure.set_layout_engine("constrained", rect=(0, 0, 1, top), w_pad=0.06, h_pad=0.06)
    figure.text(0.02, 0.995, heading, va="top", fontsize=FONT_SIZE + 1.5, fontweight="bold", color=INK)
    below = 0.995 - (0.26 * (heading.count("\n") + 1)) / figure.get_figheight()
    figure.text(0.02, below, note, va="top", fontsize=FONT_SIZE - 2, color=GRAY)
    return figure


def wide_figure(width: float, height: float, heading: str, *, w_pad: float = 0.1) -> Figure:
    """An empty figure for a window, with its heading."""
    figure = PlainFigure(figsize=(width, height), dpi=DPI, facecolor="white")
    figure.set_layout_engine("constrained", w_pad=w_pad, h_pad=0.08)
    figure.suptitle(heading, x=0.012, ha="left", fontsize=FONT_SIZE + 2, fontweight="bold", color=INK)
    return figure


def figure_of_nothing(heading: str, *, is_narrow: bool = False) -> Figure:
    """What a figure of several panels is where there is nothing to draw."""
    figure = narrow_figure(2.0, heading) if is_narrow else wide_figure(5.6, 2.6, heading)
    say_nothing_recorded(figure.subplots())
    return figure


def _with_room_for_names(curves: Sequence[PassAtKCurve]) -> tuple[Figure, Axes]:
    left, middle = 0.76, 5.64
    styles = styles_of([curve.name for curve in curves])
    widest = [
        f"{style.label}  100.0 %{where_it_ends(curve, curves)}" for curve, style in zip(curves, styles, strict=True)
    ]
    width = left + middle + max(2.2, 0.65 + _INCHES_PER_LETTER * max(map(len, widest), default=0))
    figure = PlainFigure(figsize=(width, 5.0), dpi=DPI, facecolor="white")
    return figure, figure.add_axes((left / width, 0.115, middle / width, 0.755))


def _add_heading(axes: Axes, heading: str, below: str) -> None:
    title(axes, heading, fontweight="bold", y=1.055)
    axes.text(0, 1.022, below, transform=axes.transAxes, fontsize=FONT_SIZE - 1, color=GRAY)


def training_figure(
    runs: Sequence[TrainingCurve],
    *,
    heading: str = "Training",
    panels: Sequence[Panel] = PANELS,
    styles: Mapping[str, Style] | None = None,
    is_narrow: bool = False,
) -> Figure:
    """One panel per metric, up to four side by side, with one legend for all; ``styles`` by name, where names have none."""
    num_columns = len(panels) if len(panels) <= _NUM_COLUMNS else ceil(len(panels) / ceil(len(panels) / _NUM_COLUMNS))
    num_columns = 1 if is_narrow else num_columns
    num_rows = ceil(len(panels) / num_columns)
    note = smoothing_note(runs, panels)
    if is_narrow:
        figure = narrow_figure(0.4 + 2.6 * num_rows, heading, note)
    else:
        figure = PlainFigure(figsize=(4.2 * num_columns, 0.6 + 3.6 * num_rows), dpi=DPI, facecolor="white")
        figure.set_layout_engine("constrained", w_pad=0.14, h_pad=0.08, wspace=0.06)
        figure.suptitle(heading, x=0.012, ha="left", fontsize=FONT_SIZE + 3, fontweight="bold", color=INK)
        above = 1 - 0.1 / figure.get_figheight()
        figure.text(0.988, above, note, ha="right", va="top", fontsize=FONT_SIZE - 1, color=GRAY)
    drawn: dict[str, Artist] = {}
    places = figure.subplots(num_rows, num_columns, squeeze=False).flatten()
    for axes in places[len(panels) :]:
        axes.remove()
    for axes, panel in zip(places, panels, strict=False):
        draw_training(axes, runs, panel, styles)
        if is_narrow:
            axes.set_ylabel(fill(axes.get_ylabel(), 24))
        handles, labels = axes.get_legend_handles_labels()
        drawn.update(zip((str(label) for label in labels), handles, strict=True))
    legend_below(figure, drawn, num_columns=2 if is_narrow else 7)
    return figure


def png(figure: Figure) -> bytes:
    """The figure as a PNG; the same figure gives the same bytes."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def svg(figure: Figure) -> bytes:
    """The figure as an SVG that needs no font; the same figure gives the same bytes."""
    buffer = BytesIO()
    with rc_context({"svg.hashsalt": "verl_ext", "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()
