"""Whole figures of a study, made without a display; the caller saves them."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from verl_ext.analysis.accuracy_distribution import AccuracyDistribution
from verl_ext.analysis.breakdown import Breakdown
from verl_ext.analysis.least_squares import LeastSquares
from verl_ext.analysis.new_ability import NewAbility
from verl_ext.plots.dots import draw_breakdown, draw_least_squares
from verl_ext.plots.figures import narrow_figure, wide_figure
from verl_ext.plots.problem_bars import draw_accuracy_distribution, draw_new_ability
from verl_ext.plots.style import legend_below, styles_of

_WIDTH = 9.0


def distribution_figure(distributions: Sequence[AccuracyDistribution], *, is_narrow: bool = False) -> Figure:
    figure, axes = _empty(4.4, "Problems by the share of samples that are correct", is_narrow)
    draw_accuracy_distribution(axes, distributions)
    _add_legend(figure, axes)
    return figure


def breakdown_figure(groups: Breakdown, *, is_narrow: bool = False) -> Figure:
    rows = len(groups.values) * max(0.42, 0.2 * len(groups.curves))
    figure, axes = _empty(1.6 + rows, f"pass@1 by {groups.field}, with 95 % intervals over problems", is_narrow)
    draw_breakdown(axes, groups)
    _add_legend(figure, axes)
    return figure


def new_ability_figure(abilities: Sequence[NewAbility], names: Sequence[str], *, is_narrow: bool = False) -> Figure:
    base = styles_of([abilities[0].base])[0].label if abilities else "the base"
    figure, axes = _empty(1.4 + 0.55 * len(abilities), f"Problems that {base} leaves unsolved", is_narrow)
    draw_new_ability(axes, abilities, names)
    return figure


def least_squares_figure(fits: Sequence[LeastSquares], names: Sequence[str], *, is_narrow: bool = False) -> Figure:
    rows = max((len(fit.coefficients) for fit in fits), default=0) * max(0.4, 0.2 * len(fits))
    figure, axes = _empty(1.6 + rows, "Effects on accuracy, with 95 % intervals", is_narrow)
    draw_least_squares(axes, fits, names)
    _add_legend(figure, axes)
    return figure


def _empty(height: float, heading: str, is_narrow: bool) -> tuple[Figure, Axes]:
    figure = narrow_figure(height, heading) if is_narrow else wide_figure(_WIDTH, height, heading, w_pad=0.12)
    return figure, figure.subplots()


def _add_legend(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    drawn = {str(label): handle for handle, label in zip(handles, labels, strict=True)}
    legend_below(figure, drawn, num_columns=max(1, int(figure.get_figwidth() / 1.5)))
