"""Metrics of training runs against the step."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from verl_ext.plots.style import FONT_SIZE, GRAY, INK, clean, percent_axis, styles_of, title

SMOOTH_FROM = 24
"""Steps; shorter runs are drawn as they are."""


@dataclass(frozen=True)
class TrainingCurve:
    """One run: metric name -> one number per step, NaN where the step did not record it."""

    name: str
    steps: list[int]
    values: dict[str, list[float]]

    def __post_init__(self) -> None:
        for key, values in self.values.items():
            if len(values) != len(self.steps):
                raise ValueError(f"{self.name}: {key} has {len(values)} values for {len(self.steps)} steps.")


@dataclass(frozen=True)
class Panel:
    """One metric of the training figure."""

    key: str
    title: str
    unit: str
    is_share: bool = False
    is_signed: bool = False
    """Values may be below 0, so that the axis need not begin there."""


PANELS = (
    Panel("correct_ratio", "Training accuracy", "correct answers, share of the batch", is_share=True),
    Panel("entropy", "Policy entropy", "mean entropy per token (nats)"),
    Panel("kept_samples", "Samples in the update", "samples kept per step"),
)


def read_training_curve(path: Path, *, name: str, keys: Mapping[str, str]) -> TrainingCurve:
    """Read a ``metrics.jsonl`` of lines ``{"step": 3, "data": {"train/correct_ratio": 0.4, ...}}``.

    Args:
        path: The file. A step that comes twice (after a resume) counts as it came last.
        name: The method.
        keys: Our name of a metric -> its key under ``data``.

    Raises:
        ValueError: The file is missing, empty, or has a line that is not such an object; names the line.
    """
    if not path.is_file():
        raise ValueError(f"{path} does not exist. Expected the metrics of a training run, one JSON object per step.")
    by_step: dict[int, dict[str, object]] = {}
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
                step, data = int(record["step"]), dict(record["data"])
            except (ValueError, TypeError, KeyError) as error:
                raise ValueError(
                    f'{path}, line {number}, is not a step like {{"step": 1, "data": {{...}}}}. Correct or delete it.'
                ) from error
            by_step[step] = by_step.get(step, {}) | data
    if not by_step:
        raise ValueError(f"{path} holds no steps. Expected one JSON object per step.")
    steps = sorted(by_step)
    return TrainingCurve(
        name, steps, {ours: [_number(by_step[step].get(theirs)) for step in steps] for ours, theirs in keys.items()}
    )


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else nan


def draw_training(axes: Axes, runs: Sequence[TrainingCurve], panel: Panel) -> None:
    """Draw one metric of every run over its steps.

    Runs of 24 steps or more are drawn faintly as they are, with a centered moving average over a tenth of the steps on
    top; shorter ones as they are. A run without the metric is not drawn; if none has it the axes say so.
    """
    clean(axes)
    title(axes, panel.title)
    axes.set_xlabel("training step", fontsize=FONT_SIZE, color=INK)
    axes.set_ylabel(panel.unit, fontsize=FONT_SIZE, color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    highest = 0.0
    for place, (run, style) in enumerate(zip(runs, styles_of([run.name for run in runs]), strict=True)):
        values = np.array(run.values.get(panel.key, []), dtype=np.float64)
        is_known = ~np.isnan(values)
        if not is_known.any():
            continue
        steps, values = np.array(run.steps)[is_known], values[is_known]
        highest = max(highest, float(values.max()))
        window = len(values) // 10 if len(values) >= SMOOTH_FROM else 1
        every = max(1, len(values) // 6)
        if window > 1:
            axes.plot(steps, values, color=style.color, linewidth=0.7, alpha=0.28)
        axes.plot(
            steps,
            moving_average(values, window),
            color=style.color,
            linestyle=style.line,
            linewidth=2.0,
            marker=style.marker,
            markevery=(place * every // len(runs), every),  # in turn, so that curves that coincide are all seen
            markersize=5,
            markeredgecolor="white",
            markeredgewidth=0.6,
            label=style.label,
        )
    if not axes.lines:
        axes.text(0.5, 0.5, "not recorded", transform=axes.transAxes, color=GRAY, fontsize=FONT_SIZE, ha="center")
        return
    if panel.is_share:
        low, high = axes.get_ylim()
        axes.set_ylim(max(0.0, low), high if highest else 0.01)
        percent_axis(axes)
    elif panel.is_signed:
        axes.axhline(0.0, color=GRAY, linewidth=0.9, zorder=0.5)
    else:
        axes.set_ylim(bottom=0.0, top=1.08 * highest if highest else 1.0)


def moving_average(values: npt.NDArray[np.float64], window: int) -> npt.NDArray[np.float64]:
    """Centered mean over ``window`` values (made odd), over those that exist near the ends; window 1 changes nothing."""
    reach = max(window, 1) // 2
    totals = np.concatenate(([0.0], np.cumsum(values)))
    first = np.maximum(np.arange(len(values)) - reach, 0)
    last = np.minimum(np.arange(len(values)) + reach + 1, len(values))
    means: npt.NDArray[np.float64] = (totals[last] - totals[first]) / (last - first)
    return means
