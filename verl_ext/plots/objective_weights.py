"""What each objective weighs correct and wrong responses by, over the accuracy of a prompt, and what it trains on."""

from collections.abc import Sequence
from math import ceil
from textwrap import fill

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator, PercentFormatter

from verl_ext.objectives.weight_curve import WeightCurve
from verl_ext.plots.figures import DPI, figure_of_nothing, narrow_figure
from verl_ext.plots.plain_figure import PlainFigure
from verl_ext.plots.style import FONT_SIZE, GRAY, INK, STYLES, clean, legend_below, title

POSITIVE, NEGATIVE = "weight of correct responses, w₊(p)", "weight of wrong responses, w₋(p)"
_TICKS = (-4, -2, -1, -0.5, 0, 0.5, 1, 2, 4, 8, 16, 32, 64)
_NUM_COLUMNS = 4
_TITLE_LETTERS = 38


def draw_weights(axes: Axes, curve: WeightCurve) -> None:
    """Draw both weights with a point for each number of correct responses, on a scale that is linear up to 1.

    Where likelihoods count, a band goes from the least to the most that a response weighs.

    Correct responses have the color and marker of PSR and wrong ones those of NSR, as in every other plot.
    """
    clean(axes)
    axes.set_yscale("symlog", base=2, linthresh=1, linscale=1)
    axes.axhline(0.0, color=GRAY, linewidth=0.9)
    for values, between, label, style in (
        (curve.positive, curve.positive_range, POSITIVE, STYLES["psr"]),
        (curve.negative, curve.negative_range, NEGATIVE, STYLES["nsr"]),
    ):
        if between is not None:
            axes.fill_between(curve.accuracy, between.low, between.high, color=style.color, alpha=0.22, linewidth=0)
        axes.plot(
            curve.accuracy,
            values,
            color=style.color,
            marker=style.marker,
            markersize=4.5,
            markeredgecolor="white",
            markeredgewidth=0.4,
            linewidth=1.2,
            label=label,
        )
    axes.yaxis.set_major_locator(FixedLocator(_TICKS))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda weight, _: f"{weight:g}".replace("-", "\N{MINUS SIGN}")))
    axes.set_xlim(-0.05, 1.05)


def draw_trained(axes: Axes, curve: WeightCurve) -> None:
    """Draw the share of a prompt's responses that have an advantage, a bar for each number of correct ones."""
    clean(axes)
    width = 0.8 * (curve.accuracy[1] - curve.accuracy[0])
    axes.bar(curve.accuracy, curve.trained, width=width, color=GRAY)
    axes.set_xlim(-0.05, 1.05)
    axes.set_ylim(0.0, 1.0)
    axes.yaxis.set_major_locator(FixedLocator([0.0, 1.0]))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))


def objective_weights_figure(curves: Sequence[WeightCurve], *, heading: str, is_narrow: bool = False) -> Figure:
    """A panel for each objective, weights above and what is trained on below, all on the same scales."""
    if not curves:
        return figure_of_nothing(heading, is_narrow=is_narrow)
    num_columns = 1 if is_narrow else min(_NUM_COLUMNS, max(2, len(curves)))
    num_rows = ceil(len(curves) / num_columns)
    figure = _empty(num_columns, num_rows, heading, is_narrow=is_narrow)
    grid = figure.add_gridspec(num_rows, num_columns)
    shared: Axes | None = None
    for number, curve in enumerate(curves):
        row, column = divmod(number, num_columns)
        weights, trained = (
            grid[row, column].subgridspec(2, 1, height_ratios=(4, 1), hspace=0.0).subplots(squeeze=False)[:, 0]
        )
        if shared is not None:
            weights.sharey(shared)
        shared = weights
        draw_weights(weights, curve)
        draw_trained(trained, curve)
        title(weights, fill(curve.name, _TITLE_LETTERS))
        weights.tick_params(labelbottom=False)
        if column == 0:
            weights.set_ylabel("weight", fontsize=FONT_SIZE, color=INK)
            trained.set_ylabel("trained\non", fontsize=FONT_SIZE - 1, color=INK)
        if number + num_columns >= len(curves):
            trained.set_xlabel("p, the prompt's accuracy", fontsize=FONT_SIZE, color=INK)
    if shared is not None:
        handles, labels = shared.get_legend_handles_labels()
        if num_columns < 4:
            legend_below(figure, dict(zip(labels, handles, strict=True)), num_columns=num_columns)
        else:
            figure.legend(handles, labels, loc="outside upper right", ncols=2, frameon=False, fontsize=FONT_SIZE)
    return figure


def _empty(num_columns: int, num_rows: int, heading: str, *, is_narrow: bool) -> Figure:
    height = 0.9 + 3.1 * num_rows
    if is_narrow:
        return narrow_figure(height, heading)
    figure = PlainFigure(figsize=(3.5 * num_columns, height), dpi=DPI, facecolor="white")
    figure.set_layout_engine("constrained", w_pad=0.08, h_pad=0.06)
    figure.suptitle(heading, x=0.012, ha="left", fontsize=FONT_SIZE + 3, fontweight="bold", color=INK)
    return figure
