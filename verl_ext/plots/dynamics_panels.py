"""Pictures of what training does to a policy: its measures over the steps, and Eq 7 and 8 beside what its logits do."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from verl_ext.objectives.logit_gradient import Floats
from verl_ext.plots.figures import figure_of_nothing, wide_figure
from verl_ext.plots.style import FONT_SIZE, GRAY, INK, clean, styles_of, title
from verl_ext.plots.training_curves import Panel

PANELS = (
    Panel("correct_ratio", "Correct answers", "share of the samples", is_share=True),
    Panel("entropy", "Entropy", "mean per token (nats)"),
    Panel("distinct", "Distinct answers", "per problem, among its samples"),
    Panel("moved", "Probability moved", "share, against the first checkpoint", is_share=True),
    Panel("psr_norm", "Gradient of the PSR part", "norm"),
    Panel("nsr_norm", "Gradient of the NSR part", "norm"),
    Panel("cosine", "Do the parts pull together?", "cosine of the two gradients", is_signed=True),
    Panel("clip_negative", "Clipped tokens, wrong answers", "share, since the checkpoint before", is_share=True),
    Panel("clip_positive", "Clipped tokens, right answers", "share, since the checkpoint before", is_share=True),
)


_EQUATIONS = {"psr": "Eq 7", "nsr": "Eq 8"}
Bools = npt.NDArray[np.bool_]


class LogitPart(NamedTuple):
    """What one part does to M logits; see ``verl_ext.dynamics.logit_changes``."""

    name: str
    """psr or nsr."""
    predicted_M: Floats
    alone_M: Floats
    together_M: Floats
    is_drawn_M: Bools
    correlations: tuple[float, float]
    """Of the prediction with the other two."""


def draw_logit_changes(axes: Axes, predicted_M: Floats, measured_M: Floats, is_drawn_M: Bools, color: str) -> None:
    """Draw what an equation says of logits against what a step does to them; filled: of the tokens that were drawn."""
    clean(axes)
    axes.axhline(0.0, color=GRAY, linewidth=0.8)
    axes.axvline(0.0, color=GRAY, linewidth=0.8)
    for is_drawn, label in ((False, "any other token"), (True, "the token that was drawn")):
        shown_M = is_drawn_M == is_drawn
        axes.plot(
            predicted_M[shown_M],
            measured_M[shown_M],
            linestyle="none",
            marker="o",
            markersize=5.0 if is_drawn else 4.0,
            color=color if is_drawn else "none",
            markeredgecolor="white" if is_drawn else color,
            markeredgewidth=0.6,
            label=label,
        )
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(nbins=5))
    axes.ticklabel_format(style="sci", scilimits=(-2, 3))


def logit_changes_figure(parts: Sequence[LogitPart], *, heading: str) -> Figure:
    """A column for each part: above, steps from one token alone, below, from the whole batch."""
    if not parts:
        return figure_of_nothing(heading)
    figure = wide_figure(5.2 * len(parts), 7.6, heading)
    places = figure.subplots(2, len(parts), squeeze=False)
    for column, (part, style) in enumerate(zip(parts, styles_of([part.name for part in parts]), strict=True)):
        for axes, measured_M, correlation, kind in zip(
            places[:, column],
            (part.alone_M, part.together_M),
            part.correlations,
            ("its token alone", "whole batch"),
            strict=True,
        ):
            draw_logit_changes(axes, part.predicted_M, measured_M, part.is_drawn_M, color=style.color)
            title(axes, f"{style.label}, {kind}: rank correlation {correlation:.2f}")
        places[1][column].set_xlabel(f"{_EQUATIONS[part.name]}, free logits", fontsize=FONT_SIZE, color=INK)
        places[0][column].legend(frameon=False, fontsize=FONT_SIZE - 1, loc="best")
    for axes in places[:, 0]:
        axes.set_ylabel("change of the model's logit", fontsize=FONT_SIZE, color=INK)
    return figure
