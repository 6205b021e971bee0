"""The probabilities of the answers to one problem while models train: bars for each run, and what is left of the right ones."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from verl_ext.plots.decomposition import FRAME_DPI, draw_probabilities, label_bars
from verl_ext.plots.figures import DPI, figure_of_nothing
from verl_ext.plots.plain_figure import PlainFigure
from verl_ext.plots.style import FONT_SIZE, GRAY, INK, Style, clean, percent_axis, styles_of, title

_WIDTH, _HEIGHT = 10.0, 5.8
_LEFT, _RIGHT = 0.075, 0.985


@dataclass(frozen=True)
class AnswerPath:
    """Of one run: S checkpoints and K answers."""

    name: str
    answers: tuple[str, ...]
    is_right: tuple[bool, ...]
    steps: tuple[int, ...]
    probabilities: tuple[tuple[float, ...], ...]
    """(S, K) of each answer at each checkpoint."""
    right: tuple[float, ...]
    """(S,) of all right answers, also those that are none of the K."""
    num_right_in_use: tuple[float, ...]
    """(S,) e to the entropy among right answers."""


def answer_bars_figure(paths: Sequence[AnswerPath], at: int, *, problem: str, model: str) -> Figure:
    """The ``at``-th checkpoint of every run, over outlines of the first, and the curves up to it.

    Args:
        paths: Of the same answers and steps.
        at: From 0.
        problem: What was asked.
        model: What was trained.
    """
    if not paths:
        return figure_of_nothing(problem)
    styles = styles_of([path.name for path in paths])
    figure = PlainFigure(figsize=(_WIDTH, _HEIGHT), dpi=FRAME_DPI, facecolor="white")
    grid = figure.add_gridspec(1, len(paths), left=_LEFT, right=_RIGHT, top=0.8, bottom=0.48, wspace=0.1)
    top = _top(paths)
    for column, (path, style) in enumerate(zip(paths, styles, strict=True)):
        axes = figure.add_subplot(grid[0, column])
        _draw_bars(axes, path, at, style, top)
        title(axes, style.label, fontweight="bold")
        if column:
            axes.tick_params(labelleft=False)
        else:
            axes.set_ylabel("probability", fontsize=FONT_SIZE, color=INK)
    grid = figure.add_gridspec(1, 2, left=_LEFT, right=_RIGHT, top=0.28, bottom=0.09, wspace=0.13)
    right, in_use = (figure.add_subplot(grid[0, column]) for column in range(2))
    _draw_curves(right, paths, [path.right for path in paths], styles, at)
    percent_axis(right)
    _draw_curves(in_use, paths, [path.num_right_in_use for path in paths], styles, at)
    in_use.set_ylim(bottom=0.95)  # one is the least that there can be
    for axes, text in ((right, "probability of a right answer"), (in_use, "right answers in use: e to their entropy")):
        axes.set_title(text, loc="left", fontsize=FONT_SIZE, color=INK, pad=4)
    figure.text(0.012, 0.945, problem, fontsize=FONT_SIZE + 4, fontweight="bold", color=INK)
    step = f"step {paths[0].steps[at]}"
    figure.text(_RIGHT, 0.945, step, fontsize=FONT_SIZE + 4, fontweight="bold", color=INK, ha="right")
    below = f"{model}: true probabilities of its answers, outlined before training; right ones bold"
    figure.text(0.012, 0.9, below, fontsize=FONT_SIZE, color=GRAY)
    return figure


def answer_bars_strip(paths: Sequence[AnswerPath], shown: Sequence[int], *, problem: str) -> Figure:
    """The bars at some checkpoints, a row for each: for paper."""
    if not paths:
        return figure_of_nothing(problem)
    styles = styles_of([path.name for path in paths])
    figure = PlainFigure(figsize=(_WIDTH, 1.5 + 1.5 * len(shown)), dpi=DPI, facecolor="white")
    figure.set_layout_engine("constrained", h_pad=0.05, w_pad=0.04)
    figure.suptitle(problem, x=0.012, ha="left", fontsize=FONT_SIZE + 2, fontweight="bold", color=INK)
    panels = figure.subplots(len(shown), len(paths), squeeze=False, sharey=True)
    top = _top(paths)
    for row, at in enumerate(shown):
        for axes, path, style in zip(panels[row], paths, styles, strict=True):
            _draw_bars(axes, path, at, style, top)
            if row == 0:
                title(axes, style.label, fontweight="bold")
            if row < len(shown) - 1:
                axes.tick_params(labelbottom=False)
        panels[row][0].set_ylabel(f"step {paths[0].steps[at]}", fontsize=FONT_SIZE, color=INK)
    return figure


def _top(paths: Sequence[AnswerPath]) -> float:
    highest = max(value for path in paths for row in path.probabilities for value in row)
    return min(1.0, 1.06 * highest)


def _draw_bars(axes: Axes, path: AnswerPath, at: int, style: Style, top: float) -> None:
    draw_probabilities(axes, path.probabilities[at], path.probabilities[0], path.is_right, style.color)
    axes.set_ylim(0.0, top)
    percent_axis(axes)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=3, steps=[1, 2, 5, 10]))
    label_bars(axes, path.answers, path.is_right)


def _draw_curves(
    axes: Axes, paths: Sequence[AnswerPath], values: Sequence[Sequence[float]], styles: Sequence[Style], at: int
) -> None:
    clean(axes)
    for path, row, style in zip(paths, values, styles, strict=True):
        axes.plot(path.steps[: at + 1], row[: at + 1], color=style.color, linewidth=2.2)
        axes.plot(
            path.steps[at],
            row[at],
            color=style.color,
            marker=style.marker,
            markersize=7,
            markeredgecolor="white",
            clip_on=False,
        )
    shown = [value for row in values for value in row]
    margin = 0.05 * (max(shown) - min(shown)) or 0.1
    first, last = paths[0].steps[0], paths[0].steps[-1]
    axes.set_xlim(first, max(1.02 * last, first + 1))
    axes.set_ylim(max(0.0, min(shown) - margin), max(shown) + margin)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4))
    axes.set_xlabel("training step", fontsize=FONT_SIZE, color=INK, labelpad=1)
