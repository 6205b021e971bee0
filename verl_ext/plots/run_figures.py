"""Whole figures of several runs, made without a display; the caller saves them."""

import re
from collections.abc import Sequence
from dataclasses import replace
from math import ceil, isnan

from matplotlib.artist import Artist
from matplotlib.figure import Figure

from verl_ext.metrics.generations import Generations
from verl_ext.metrics.summary import PassAtKCurve
from verl_ext.plots.coverage_map import MANY_RUNS, draw_coverage
from verl_ext.plots.dose_response import Aside, DoseLine, draw_dose_response
from verl_ext.plots.figures import narrow_figure, wide_figure
from verl_ext.plots.reason_stack import REASON_KEYS, draw_reasons
from verl_ext.plots.score_bars import (
    ScoreBar,
    bar_of_curve,
    bar_of_seeds,
    draw_score_bars,
)
from verl_ext.plots.style import FONT_SIZE, INK, STYLES, LineStyle, legend_below, say_nothing_recorded, styles_of, title
from verl_ext.plots.training_curves import TrainingCurve

_SEED = re.compile(r"(.+)-seed[0-9]+")
_LAMBDA = re.compile(r"lambda_([0-9.]+)")
_NUM_COLUMNS = 4
_LINES: tuple[LineStyle, ...] = ("-", "--", "-.", ":")


def without_seed(name: str) -> str:
    """What the runs of all seeds are called: nsr-seed1 and nsr-seed2 are nsr."""
    match = _SEED.fullmatch(name)
    return match[1] if match else name


def by_seed(curves: Sequence[PassAtKCurve]) -> dict[str, list[PassAtKCurve]]:
    """The curves by their names without the seed."""
    groups: dict[str, list[PassAtKCurve]] = {}
    for curve in curves:
        groups.setdefault(without_seed(curve.name), []).append(curve)
    return groups


def final_scores(curves: Sequence[PassAtKCurve], k: int) -> list[ScoreBar]:
    """pass@k by name: over seeds where there are several, else with the interval over problems."""
    return [
        bar_of_seeds(name, [each.pass_at_k[each.at(k)] for each in group])
        if len(group) > 1
        else bar_of_curve(group[0], k)._replace(name=name)
        for name, group in by_seed(curves).items()
    ]


def final_figure(curves: Sequence[PassAtKCurve], ks: Sequence[int], *, is_narrow: bool = False) -> Figure:
    """A panel of bars for each k."""
    num_bars = len(by_seed(curves))
    heading = "Final performance, with 95 % intervals"
    if is_narrow:
        figure, num_columns = narrow_figure(0.3 + 2.9 * len(ks), heading), 1
    else:
        figure, num_columns = wide_figure(max(4.0, 1.2 + 0.62 * num_bars) * len(ks), 4.4, heading), len(ks)
    panels = figure.subplots(len(ks) // num_columns, num_columns, squeeze=False).flatten()
    for axes, k in zip(panels, ks, strict=True):
        draw_score_bars(axes, final_scores(curves, k), measure=f"pass@{k}")
    return figure


def has_lambdas(curves: Sequence[PassAtKCurve]) -> bool:
    """Whether two runs or more are named lambda_<number>, as in ``studies/lambda.yaml``."""
    return sum(_LAMBDA.fullmatch(name) is not None for name in by_seed(curves)) > 1


def lambda_figure(curves: Sequence[PassAtKCurve], ks: Sequence[int]) -> Figure:
    """pass@k over lambda, of runs named lambda_<number>, with NSR if a run is named nsr: lambda = 0 is not the same path."""
    lines, asides = [], []
    for number, k in enumerate(ks):
        bars = final_scores(curves, k)
        style = replace(STYLES["w_reinforce"], label=f"pass@{k}", line=_LINES[number % len(_LINES)])
        lines.append(DoseLine(style, {float(m[1]): bar for bar in bars if (m := _LAMBDA.fullmatch(bar.name))}))
        asides += [Aside(STYLES["nsr"], bar) for bar in bars if bar.name == "nsr"]
    figure = wide_figure(7.0, 4.4, "How much weight for right answers?")
    axes = figure.subplots()
    draw_dose_response(axes, lines, dose="λ, the weight of right answers", asides=asides)
    if axes.lines:
        axes.legend(frameon=False, fontsize=FONT_SIZE - 1, handlelength=3.5, markerscale=0.7)
    return figure


def coverage_figure(runs: Sequence[Generations], *, is_narrow: bool = False) -> Figure:
    """The map of problems and runs with its color bar."""
    width = 2.0 + (0.9 if len(runs) <= MANY_RUNS else 0.42) * len(runs)
    figure = (
        narrow_figure(5.6, "Who solves what") if is_narrow else wide_figure(max(5.5, width), 6.0, "Who solves what")
    )
    axes = figure.subplots()
    shades = draw_coverage(axes, runs)
    if is_narrow:
        axes.tick_params(axis="x", rotation=90, labelsize=FONT_SIZE - 2)
    if shades is not None:
        bar = figure.colorbar(shades, ax=axes, shrink=0.6, ticks=[0.0, 0.5, 1.0])
        bar.ax.set_yticklabels(["never", "50 %", "always"], fontsize=FONT_SIZE - 1)
        bar.set_label("share of the samples that are correct", fontsize=FONT_SIZE - 1, color=INK)
    return figure


def has_reasons(runs: Sequence[TrainingCurve]) -> bool:
    """Whether a run recorded why answers got their grades."""
    return any(not isnan(value) for run in runs for key in REASON_KEYS for value in run.values.get(key, ()))


def reasons_figure(runs: Sequence[TrainingCurve], *, is_narrow: bool = False) -> Figure:
    """A panel for each run, with one legend for all."""
    heading = "Why answers got their grades"
    num_columns = 1 if is_narrow else min(_NUM_COLUMNS, max(1, len(runs)))
    num_rows = max(1, ceil(len(runs) / num_columns))
    if is_narrow:
        figure = narrow_figure(0.5 + 2.4 * num_rows, heading)
    else:
        figure = wide_figure(3.6 * num_columns + 0.4, 1.0 + 3.0 * num_rows, heading)
    panels = figure.subplots(num_rows, num_columns, squeeze=False, sharey=True).flatten()
    if not runs:
        say_nothing_recorded(panels[0])
    for axes in panels[max(1, len(runs)) :]:
        axes.remove()
    drawn: dict[str, Artist] = {}
    for axes, run, style in zip(panels, runs, styles_of([run.name for run in runs]), strict=False):
        draw_reasons(axes, run)
        title(axes, style.label)
        handles, names = axes.get_legend_handles_labels()
        drawn |= zip((str(name) for name in names), handles, strict=True)
    legend_below(figure, drawn, num_columns=2 if is_narrow else 7)
    return figure
