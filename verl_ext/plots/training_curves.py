"""Metrics of training runs against the step."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import nan
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from verl_ext.plots.style import (
    FONT_SIZE,
    GRAY,
    INK,
    Style,
    clean,
    percent_axis,
    say_nothing_recorded,
    styles_of,
    title,
)

SMOOTH_FROM = 24
"""Steps with a value; shorter runs are drawn as they are."""


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


LOGGED_PANELS = (
    PANELS[0],
    Panel("fully_solved_ratio", "Prompts fully solved", "share of the prompts", is_share=True),
    PANELS[1],
    Panel("response_length", "Response length", "tokens"),
    Panel("truncated", "Answers cut by the limit", "share of the batch", is_share=True),
    Panel("clip_positive", "Clipped tokens, right answers", "share of their tokens", is_share=True),
    Panel("clip_negative", "Clipped tokens, wrong answers", "share of their tokens", is_share=True),
    PANELS[2],
)
"""Everything that our trainer logs of a step and that has a panel."""
LOG_KEYS = {
    "correct_ratio": "train/correct_ratio",
    "fully_solved_ratio": "train/fully_solved_ratio",
    "entropy": "train/entropy",
    "response_length": "train/response_length",
    "truncated": "train/reason/truncated",
    "clip_positive": "train/clip_fraction/positive",
    "clip_negative": "train/clip_fraction/negative",
    "kept_samples": "train/kept_samples",
}
"""Our name of a metric -> its key in a run's metrics."""
METRICS_NAME = "metrics.jsonl"


def read_run(folder: Path, *, name: str, keys: Mapping[str, str] = LOG_KEYS) -> TrainingCurve:
    """``read_training_curve`` of a run's output folder; raises ValueError also where it is none."""
    if not folder.is_dir():
        raise ValueError(f"{name}: there is no folder {folder}. Give the output folder of a training run.")
    if not (folder / METRICS_NAME).is_file():
        raise ValueError(f"{name}: {folder} has no {METRICS_NAME}, so it is no output folder of a run that has begun.")
    return read_training_curve(folder / METRICS_NAME, name=name, keys=keys)


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
    rows = read_rows(path)
    if not rows:
        raise ValueError(f"{path} holds no steps. Expected one JSON object per step.")
    return curve_of_rows(name, rows, keys)


def read_rows(path: Path, *, told: Callable[[str], None] | None = None) -> dict[int, dict[str, object]]:
    """Step -> what a ``metrics.jsonl`` has of it, in the order of the steps.

    Args:
        path: The file.
        told: Gets a sentence about each line that is no step, which is then left out: a run that is going on may be writing it.

    Raises:
        ValueError: A line is no step, and nobody is told.
    """
    by_step: dict[int, dict[str, object]] = {}
    with path.open("rb") as lines:  # bytes, so that one that is no UTF-8 is an error of its line
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(line.decode(errors="strict" if told is None else "replace"))
                step, data = int(record["step"]), dict(record["data"])
            except (ValueError, TypeError, KeyError) as error:
                if told is None:
                    raise ValueError(
                        f'{path}, line {number}, is not a step like {{"step": 1, "data": {{...}}}}. Correct or delete it.'
                    ) from error
                what = "no step" if line.endswith(b"\n") else "cut"
                told(f"line {number} of {path.name} is {what} and left out")
                continue
            by_step[step] = by_step.get(step, {}) | data
    return dict(sorted(by_step.items()))


def curve_of_rows(name: str, rows: Mapping[int, Mapping[str, object]], keys: Mapping[str, str]) -> TrainingCurve:
    """What ``read_rows`` has read, as a curve."""
    return TrainingCurve(
        name,
        list(rows),
        {ours: [_number(data.get(theirs)) for data in rows.values()] for ours, theirs in keys.items()},
    )


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else nan


def mean_over_runs(name: str, runs: Sequence[TrainingCurve]) -> TrainingCurve:
    """The mean of runs that differ in their seed, over the steps that all of them have; NaN where one has none."""
    steps = sorted(set.intersection(*(set(run.steps) for run in runs)))
    rows = [[run.steps.index(step) for step in steps] for run in runs]
    return TrainingCurve(
        name,
        steps,
        {
            key: np.mean([np.array(run.values[key])[row] for run, row in zip(runs, rows, strict=True)], axis=0).tolist()
            for key in runs[0].values
        },
    )


def draw_training(
    axes: Axes, runs: Sequence[TrainingCurve], panel: Panel, styles: Mapping[str, Style] | None = None
) -> None:
    """Draw one metric of every run over its steps, in its style or, without any, in that of its name.

    Runs with 24 values or more are drawn faintly as they are, with a centered moving average over a tenth of the values on
    top; shorter ones as they are (``smoothing_note``). A run without the metric is not drawn; if none has it the axes say so.
    """
    clean(axes)
    title(axes, panel.title)
    axes.set_xlabel("training step", fontsize=FONT_SIZE, color=INK)
    axes.set_ylabel(panel.unit, fontsize=FONT_SIZE, color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    highest = 0.0
    in_style = styles_of([run.name for run in runs]) if styles is None else [styles[run.name] for run in runs]
    for place, (run, style) in enumerate(zip(runs, in_style, strict=True)):
        steps, values = _recorded(run, panel.key)
        if not values.size:
            continue
        highest = max(highest, float(values.max()))
        window = smoothing_window(len(values))
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
        say_nothing_recorded(axes)
        return
    if panel.is_share:
        low, high = axes.get_ylim()
        axes.set_ylim(max(0.0, low), high if highest else 0.01)
        percent_axis(axes)
    elif panel.is_signed:
        axes.axhline(0.0, color=GRAY, linewidth=0.9, zorder=0.5)
    else:
        axes.set_ylim(bottom=0.0, top=1.08 * highest if highest else 1.0)


def _recorded(run: TrainingCurve, key: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """The steps that recorded a metric, and its values."""
    values = np.array(run.values.get(key, [nan] * len(run.steps)), dtype=np.float64)
    is_known = ~np.isnan(values)
    return np.array(run.steps, dtype=np.int64)[is_known], values[is_known]


def smoothing_window(num_steps: int) -> int:
    """Over how many steps ``draw_training`` averages: a tenth of them, made odd; 1, which is none, for a short run."""
    return num_steps // 10 // 2 * 2 + 1 if num_steps >= SMOOTH_FROM else 1


def smoothing_note(runs: Sequence[TrainingCurve], panels: Sequence[Panel]) -> str:
    """What the thin and thick lines of ``draw_training`` are, over all panels; nothing where none is smoothed."""
    sizes = {len(_recorded(run, panel.key)[1]) for run in runs for panel in panels} - {0}
    windows = sorted({smoothing_window(size) for size in sizes})
    smooth = [window for window in windows if window > 1]
    if not smooth:
        return ""
    averaged = " or ".join(map(str, smooth)) if len(smooth) < 3 else f"{smooth[0]} to {smooth[-1]}"
    return f"thin: each value; thick: mean of {averaged} values" + ("; thick alone: each value" if 1 in windows else "")


def moving_average(values: npt.NDArray[np.float64], window: int) -> npt.NDArray[np.float64]:
    """Centered mean over ``window`` values (made odd), over those that exist near the ends; window 1 changes nothing."""
    reach = max(window, 1) // 2
    totals = np.concatenate(([0.0], np.cumsum(values)))
    first = np.maximum(np.arange(len(values)) - reach, 0)
    last = np.minimum(np.arange(len(values)) + reach + 1, len(values))
    means: npt.NDArray[np.float64] = (totals[last] - totals[first]) / (last - first)
    return means
