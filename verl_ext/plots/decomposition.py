"""What each signed objective makes of one softmax: its probabilities, the push on its logits, the right answers in use."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from verl_ext.analysis.next_token import NextToken
from verl_ext.analysis.softmax_training import SoftmaxRun
from verl_ext.objectives.logit_gradient import Floats
from verl_ext.plots.figures import DPI, figure_of_nothing
from verl_ext.plots.plain_figure import PlainFigure
from verl_ext.plots.style import FONT_SIZE, GRAY, INK, Style, clean, percent_axis, styles_of, title

FRAME_DPI = 100
_WIDTH, _HEIGHT = 10.0, 6.0
_LEFT, _RIGHT = 0.088, 0.985
_WRONG = "#bdbdbd"
_FIRST = 0
"""Of the repeats, the one whose tokens are drawn."""


def draw_probabilities(
    axes: Axes,
    now_V: Sequence[float] | Floats,
    start_V: Sequence[float] | Floats,
    is_right_V: Sequence[bool],
    color: str,
) -> None:
    """Draw a bar for each token, right ones in ``color`` and wrong ones gray, over an outline of where they started."""
    clean(axes)
    axes.grid(visible=False, axis="x")
    places = np.arange(len(start_V))
    axes.bar(places, now_V, width=0.8, color=[color if is_right else _WRONG for is_right in is_right_V])
    axes.bar(places, start_V, width=0.8, fill=False, edgecolor=INK, linewidth=1.0)
    axes.set_xlim(-0.7, len(start_V) - 0.3)
    axes.set_ylim(0.0, 1.0)
    percent_axis(axes)
    axes.yaxis.set_major_locator(FixedLocator([0.0, 0.5, 1.0]))


def draw_drawn(axes: Axes, run: SoftmaxRun, step: int, color: str) -> None:
    """Mark above the axes what ``step`` draws, with how often: ▲ is pulled up, ▼ is pushed down, ○ is left out."""
    for token, count in sorted(Counter(run.drawn_SRN[step, _FIRST].tolist()).items()):
        if run.is_right_V[token]:
            weight, marker, fill = run.weights.positive, "^", color
        else:
            weight, marker, fill = run.weights.negative, "v", INK
        if weight == 0.0:
            marker, fill = "o", "white"
        place = axes.get_xaxis_transform()
        edge = fill if weight else GRAY
        size = 8.0 if weight in (0.0, 1.0) else 5.5  # the weight of W-REINFORCE's right answers is a small one
        axes.plot(
            token,
            1.075,
            marker=marker,
            markersize=size,
            color=fill,
            markeredgecolor=edge,
            transform=place,
            clip_on=False,
        )
        if count > 1:
            axes.text(
                token, 1.135, str(count), transform=place, ha="center", va="bottom", fontsize=FONT_SIZE - 1, color=edge
            )


def draw_push(axes: Axes, push_V: Floats, is_right_V: Sequence[bool], color: str, reach: float) -> None:
    """Draw what one step adds to each logit, divided by the learning rate, on an axis from -``reach`` to ``reach``."""
    clean(axes)
    axes.grid(visible=False, axis="x")
    axes.bar(
        np.arange(len(push_V)), push_V, width=0.8, color=[color if is_right else _WRONG for is_right in is_right_V]
    )
    axes.axhline(0.0, color=GRAY, linewidth=0.9)
    axes.set_ylim(-reach, reach)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=2, symmetric=True))
    axes.yaxis.set_major_formatter(
        FuncFormatter(lambda push, _: f"{push:+g}".replace("-", "\N{MINUS SIGN}") if push else "0")
    )


def draw_over_steps(axes: Axes, values_by_run: Sequence[Floats], styles: Sequence[Style], step: int) -> None:
    """Draw (S + 1, R) values up to ``step``: thick the mean over the repeats, thin the one whose tokens are shown."""
    clean(axes)
    last = len(values_by_run[0]) - 1
    for values_SR, style in zip(values_by_run, styles, strict=True):
        shown_SR = values_SR[: step + 1]
        axes.plot(shown_SR[:, _FIRST], color=style.color, linewidth=0.9, alpha=0.55)
        axes.plot(shown_SR.mean(axis=1), color=style.color, linewidth=2.4, label=style.label)
        axes.plot(
            step,
            shown_SR[-1].mean(),
            color=style.color,
            marker=style.marker,
            markersize=7,
            markeredgecolor="white",
            clip_on=False,
        )
    # Equal room for each doubling of the steps: most happens at the start.
    axes.set_xscale("symlog", base=2, linthresh=1)
    axes.set_xlim(0, last * 1.12)
    axes.xaxis.set_major_locator(FixedLocator([0, *(2**power for power in range(last.bit_length()))]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:g}"))
    axes.set_xlabel("step", fontsize=FONT_SIZE, color=INK, labelpad=1)


def decomposition_figure(runs: Sequence[SoftmaxRun], found: NextToken, names: Sequence[str], step: int) -> Figure:
    """Everything before ``step``, and the tokens that the step draws; a column for each run.

    Args:
        runs: Of one start, one number of steps and of repeats.
        found: The start.
        names: What stands above each column, behind a line break what it is made of.
        step: From 0 to the number of steps, where no token is drawn any more.
    """
    if not runs:
        return figure_of_nothing(found.prompt)
    styles = styles_of([run.name for run in runs])
    figure = PlainFigure(figsize=(_WIDTH, _HEIGHT), dpi=FRAME_DPI, facecolor="white")
    last = len(runs[0].drawn_SRN)
    reach = 1.05 * max(float(np.abs(run.gradient_SRV[:, _FIRST]).max()) for run in runs)
    grid = figure.add_gridspec(
        2, len(runs), left=_LEFT, right=_RIGHT, top=0.715, bottom=0.375, height_ratios=(2.3, 1), wspace=0.1, hspace=0.24
    )
    for column, (run, style, name) in enumerate(zip(runs, styles, names, strict=True)):
        above, below = figure.add_subplot(grid[0, column]), figure.add_subplot(grid[1, column])
        draw_probabilities(above, run.probabilities_SRV[step, _FIRST], found.probabilities, found.is_right, style.color)
        if step < last:
            draw_drawn(above, run, step, style.color)
        push_V = run.gradient_SRV[min(step, last - 1), _FIRST] * (step < last)
        draw_push(below, push_V, found.is_right, style.color, reach)
        _head(above, name, style)
        label_bars(above, _token_texts(found), found.is_right)
        _label_kinds(below, found)
        if column:
            above.tick_params(labelleft=False)
            below.tick_params(labelleft=False)
        else:
            above.set_ylabel("probability", fontsize=FONT_SIZE, color=INK)
            below.set_ylabel("push on\nthe logit", fontsize=FONT_SIZE, color=INK)
    _draw_traces(figure, runs, styles, found, step)
    figure.text(0.012, 0.95, found.prompt, fontsize=FONT_SIZE + 4, fontweight="bold", color=INK)
    figure.text(_RIGHT, 0.95, f"step {step}", fontsize=FONT_SIZE + 4, fontweight="bold", color=INK, ha="right")
    below_it = f"{found.model}'s next token (outline). Each step draws {runs[0].drawn_SRN.shape[2]}: "
    below_it += "▲ pulled up, ▼ pushed down, ○ left out."
    figure.text(0.012, 0.905, below_it, fontsize=FONT_SIZE, color=GRAY)
    return figure


def _head(axes: Axes, name: str, style: Style) -> None:
    heading, _, formula = name.partition("\n")
    place = axes.transAxes
    axes.text(0.0, 1.42, heading, transform=place, fontsize=FONT_SIZE + 4, fontweight="bold", color=style.ink)
    axes.text(0.0, 1.29, formula, transform=place, fontsize=FONT_SIZE, color=INK)


def label_bars(axes: Axes, texts: Sequence[str], is_right: Sequence[bool]) -> None:
    """Write each text below its bar, right ones bold and wrong ones gray; upright where one is long."""
    is_long = max(map(len, texts)) > 2
    axes.set_xticks(range(len(texts)), texts, rotation=90 if is_long else 0)
    for label, is_bold in zip(axes.get_xticklabels(), is_right, strict=True):
        label.set(color=INK if is_bold else GRAY, fontweight="bold" if is_bold else "normal")
    axes.tick_params(axis="x", length=0, pad=2)


def _token_texts(found: NextToken) -> list[str]:
    return [token.text.strip() or repr(token.text) for token in found.tokens]


def _label_kinds(axes: Axes, found: NextToken) -> None:
    num_right, num_tokens = sum(found.is_right), len(found.is_right)
    axes.set_xticks([(num_right - 1) / 2, (num_right + num_tokens - 1) / 2], ["right", "wrong"])
    axes.tick_params(axis="x", length=0, pad=1)
    axes.set_xlim(-0.7, num_tokens - 0.3)


def _draw_traces(
    figure: Figure, runs: Sequence[SoftmaxRun], styles: Sequence[Style], found: NextToken, step: int
) -> None:
    grid = figure.add_gridspec(1, 2, left=_LEFT, right=_RIGHT, top=0.265, bottom=0.09, wspace=0.13)
    right, in_use = (figure.add_subplot(grid[0, column]) for column in range(2))
    draw_over_steps(right, [run.right_SR for run in runs], styles, step)
    draw_over_steps(in_use, [run.num_right_in_use_SR for run in runs], styles, step)
    for axes, text in (
        (right, "probability of a right answer"),
        (in_use, f"right answers in use, of {sum(found.is_right)}"),
    ):
        axes.set_title(text, loc="left", fontsize=FONT_SIZE, color=INK, pad=4)
    num_repeats = runs[0].probabilities_SRV.shape[1]
    if num_repeats > 1:
        in_use.set_title(f"thick: mean of {num_repeats} runs", loc="right", fontsize=FONT_SIZE - 1, color=GRAY, pad=4)
    right.set_ylim(0.9 * min(float(run.right_SR.min()) for run in runs), 1.015)
    percent_axis(right)
    right.yaxis.set_major_locator(MaxNLocator(nbins=3, steps=[1, 2, 5, 10]))
    in_use.set_ylim(0.95, 1.05 * max(float(run.num_right_in_use_SR.max()) for run in runs))
    in_use.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))


def decomposition_strip(
    runs: Sequence[SoftmaxRun], found: NextToken, names: Sequence[str], steps: Sequence[int]
) -> Figure:
    """The probabilities of ``decomposition_figure`` at some steps, a row for each: for paper."""
    if not runs:
        return figure_of_nothing(found.prompt)
    styles = styles_of([run.name for run in runs])
    figure = PlainFigure(figsize=(_WIDTH, 0.9 + 1.5 * len(steps)), dpi=DPI, facecolor="white")
    figure.set_layout_engine("constrained", h_pad=0.05, w_pad=0.04)
    figure.suptitle(found.prompt, x=0.012, ha="left", fontsize=FONT_SIZE + 2, fontweight="bold", color=INK)
    panels = figure.subplots(len(steps), len(runs), squeeze=False, sharey=True)
    for row, step in enumerate(steps):
        for axes, run, style, name in zip(panels[row], runs, styles, names, strict=True):
            now_V = run.probabilities_SRV[step, _FIRST]
            draw_probabilities(axes, now_V, found.probabilities, found.is_right, style.color)
            label_bars(axes, _token_texts(found), found.is_right)
            if row == 0:
                title(axes, name.partition("\n")[0], fontweight="bold")
        panels[row][0].set_ylabel(f"step {step}", fontsize=FONT_SIZE, color=INK)
    return figure
