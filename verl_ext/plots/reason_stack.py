"""Why answers got their grades, step by step: the shares of the verdicts, stacked."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from verl_ext.grading import Reason
from verl_ext.plots.style import FONT_SIZE, INK, clean, percent_axis, say_nothing_recorded
from verl_ext.plots.training_curves import TrainingCurve, moving_average, smoothing_window

REASON_KEYS = {f"reason/{reason}": f"train/reason/{reason}" for reason in Reason}
"""Our name of a metric -> its key in a run's metrics."""
COLORS = {
    Reason.CORRECT: "#77AADD",
    Reason.INCORRECT: "#DDDDDD",
    Reason.NO_ANSWER: "#EE8866",
    Reason.TRUNCATED: "#EEDD88",
    Reason.UNPARSABLE: "#FFAABB",
    Reason.TIMED_OUT: "#AAAA00",
    Reason.GRADER_ERROR: "#222222",
}
"""Paul Tol's light ones, for any color vision, and none of an objective's."""


def draw_reasons(axes: Axes, run: TrainingCurve) -> None:
    """Draw the shares of all reasons that ever occur, from correct upward, smoothed like the training curves.

    A step that recorded none is left out; a run without any says so.
    """
    clean(axes)
    axes.set_xlabel("training step", fontsize=FONT_SIZE, color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    recorded = {reason: np.array(run.values.get(f"reason/{reason}", []), dtype=np.float64) for reason in Reason}
    shares = {reason: values for reason, values in recorded.items() if values.size}
    is_known = ~np.all([np.isnan(values) for values in shares.values()], axis=0) if shares else np.zeros(0, dtype=bool)
    if not is_known.any():
        say_nothing_recorded(axes)
        return
    steps = np.array(run.steps)[is_known]
    window = smoothing_window(len(steps))
    kept = {reason: np.nan_to_num(values[is_known]) for reason, values in shares.items()}
    kept = {reason: moving_average(values, window) for reason, values in kept.items() if values.any()}
    axes.stackplot(
        steps,
        *kept.values(),
        colors=[COLORS[reason] for reason in kept],
        labels=[reason.replace("_", " ") for reason in kept],
        linewidth=0,
    )
    axes.set_xlim(steps[0], steps[-1] if len(steps) > 1 else steps[0] + 1)
    axes.set_ylim(0.0, 1.0)
    percent_axis(axes)
