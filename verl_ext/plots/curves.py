"""pass@k against k, one curve per method, or two where the bootstrap's estimate is drawn beside the unbiased one."""

from collections.abc import Sequence
from math import isnan

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator

from verl_ext.analysis.two_estimates import TwoEstimates
from verl_ext.metrics.summary import PassAtKCurve
from verl_ext.plots.style import FONT_SIZE, GRAY, INK, clean, percent_axis, say_nothing_recorded, spread, styles_of


def draw_two_estimates(axes: Axes, estimates: Sequence[TwoEstimates]) -> None:
    """``draw_pass_at_k`` of the unbiased estimates, with the bootstrap's dotted in the same colors."""
    draw_pass_at_k(axes, [each.unbiased for each in estimates], dotted=[each.bootstrap for each in estimates])


def draw_pass_at_k(
    axes: Axes, curves: Sequence[PassAtKCurve], *, dotted: Sequence[Sequence[float]] = (), are_named: bool = True
) -> None:
    """Draw curves with their 95 % bands, k on a log2 axis, each named at its right end if ``are_named``.

    A curve is drawn over the k that it has. ``dotted`` has other values of the same curves at the same k. Sizes are read
    from the axes, so give them their final size first.
    """
    clean(axes)
    if not curves:
        say_nothing_recorded(axes)
        return
    axes.set_xscale("log", base=2)
    styles = styles_of([curve.name for curve in curves])
    for curve, style in zip(curves, styles, strict=True):
        axes.fill_between(curve.ks, curve.low, curve.high, color=style.color, alpha=0.12, linewidth=0)
    for curve, style in zip(curves, styles, strict=True):
        axes.plot(
            curve.ks,
            curve.pass_at_k,
            color=style.color,
            linestyle=style.line,
            marker=style.marker,
            markersize=5,
            markeredgecolor="white",
            markeredgewidth=0.6,
            linewidth=1.9,
            label=style.label,
        )
    for values, curve, style in zip(dotted, curves, styles, strict=bool(dotted)):
        axes.plot(curve.ks, values, color=style.color, linestyle=":", linewidth=1.6)
    ks = sorted({k for curve in curves for k in curve.ks})
    axes.xaxis.set_major_locator(FixedLocator(_roomy(ks)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda k, _: f"{k:.0f}")
    if len(ks) > 1:
        axes.set_xlim(ks[0] / 1.12, ks[-1] * 1.06)
    # One problem has no interval.
    drawn = [*dotted, *(values for curve in curves for values in (curve.low, curve.high, curve.pass_at_k))]
    shown = [share for values in drawn for share in values if not isnan(share)]
    lowest, highest = min(shown), max(shown)
    margin = max(0.02, 0.05 * (highest - lowest))
    axes.set_ylim(max(0.0, lowest - margin), min(1.0, highest) + margin)
    if highest + margin > 1:
        axes.set_ylim(top=1.0 + min(margin, 0.015))
    percent_axis(axes)
    axes.set_xlabel("k, answers drawn per problem (log scale)", fontsize=FONT_SIZE, color=INK)
    axes.set_ylabel("pass@k, share of problems solved", fontsize=FONT_SIZE, color=INK)
    if are_named:
        _name_curves(axes, curves)


def _roomy(ks: Sequence[int]) -> list[int]:
    """The k to write at the axis: a power of two gives way to an n that is too close to it."""
    last = ks[-1]
    return [k for k in ks if k == last or last / k > 1.3]


def _name_curves(axes: Axes, curves: Sequence[PassAtKCurve]) -> None:
    """Write each name and last value at the right end of its curve, moved apart where they would overlap."""
    styles = styles_of([curve.name for curve in curves])
    low, high = axes.get_ylim()
    height_in_points = axes.get_window_extent().height * 72 / axes.get_figure(root=True).dpi  # type: ignore[union-attr]
    gap = 1.35 * FONT_SIZE * (high - low) / height_in_points
    ends = [curve.pass_at_k[-1] for curve in curves]
    places = spread(ends, gap, low, high)
    for curve, style, end, place, name in zip(curves, styles, ends, places, named_ends(curves), strict=True):
        axes.annotate(
            name,
            xy=(curve.ks[-1], end),
            xytext=(1.045, (place - low) / (high - low)),
            textcoords="axes fraction",
            color=style.ink,
            fontsize=FONT_SIZE,
            fontweight="bold",
            verticalalignment="center",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": style.color,
                "linewidth": 0.8,
                "relpos": (0, 0.5),
                "shrinkA": 1,
                "shrinkB": 4,
            },
        )
    last = max(curve.ks[-1] for curve in curves)
    if all(curve.uses_every_sample(last) for curve in curves if curve.ks[-1] == last):
        axes.text(
            1.045,
            0.0,
            f"At k = {last} every sample is\nused: a point says only\nin how many problems\nany answer was correct.",
            transform=axes.transAxes,
            fontsize=FONT_SIZE - 2,
            color=GRAY,
            verticalalignment="bottom",
        )


def named_ends(curves: Sequence[PassAtKCurve]) -> list[str]:
    """The name of each curve with its last value."""
    styles = styles_of([curve.name for curve in curves])
    return [
        f"{style.label}  {100 * curve.pass_at_k[-1]:.1f} %{where_it_ends(curve, curves)}"
        for curve, style in zip(curves, styles, strict=True)
    ]


def where_it_ends(curve: PassAtKCurve, curves: Sequence[PassAtKCurve]) -> str:
    """What stands behind the last value of a curve: at which k that is, if another curve goes on."""
    last = curve.ks[-1]
    return "" if all(other.ks[-1] <= last for other in curves) else f" (k = {last})"


def subtitle(curves: Sequence[PassAtKCurve]) -> str:
    """What the plot is of: problems, samples and what the bands are; nothing without a curve."""
    if not curves:
        return ""
    problems = sorted({max(curve.num_problems) for curve in curves})
    samples = sorted({n for curve in curves for n in (curve.min_samples, curve.max_samples)})
    return f"{_range(problems)} problems, {_range(samples)} samples each; bands: 95 % bootstrap over problems"


def _range(values: Sequence[int]) -> str:
    return f"{values[0]:,}" if len(values) == 1 else f"{int(np.min(values)):,} to {int(np.max(values)):,}"
