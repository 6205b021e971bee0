"""What ``python -m verl_ext.analysis dynamics`` does: measure every checkpoint, print a table, write numbers and pictures."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import isnan, nan
from typing import Any

import numpy as np

from verl_ext.dynamics.checkpoint_list import CheckpointRun
from verl_ext.dynamics.checkpoint_measures import Asked, CheckpointMeasures, LogitsOf, ask, logits_of, measure
from verl_ext.dynamics.dynamics_options import DynamicsOptions
from verl_ext.dynamics.logit_changes import LogitChanges, logit_changes
from verl_ext.dynamics.policy import Policy
from verl_ext.dynamics.sign_gradients import NSR, PSR
from verl_ext.evaluation.problems import Problem
from verl_ext.host.files import replacing, write_whole
from verl_ext.plots.dynamics_panels import PANELS, LogitPart, logit_changes_figure
from verl_ext.plots.figures import png, training_figure
from verl_ext.plots.training_curves import TrainingCurve, read_training_curve

CLIP_KEYS = {f"clip_{sign}": f"train/clip_fraction/{sign}" for sign in ("positive", "negative")}
COLUMNS = (
    "correct_ratio",
    "entropy",
    "distinct",
    "moved",
    "psr_norm",
    "nsr_norm",
    "cosine",
    "clip_negative",
    "clip_positive",
)


def run_dynamics(runs: Sequence[CheckpointRun], problems: Sequence[Problem], options: DynamicsOptions) -> None:
    """Measure, print and write."""
    from transformers.utils import logging

    logging.disable_progress_bar()  # a line for each checkpoint that is loaded
    # Before a model is loaded: what is measured until a broken line is found would be lost.
    clipped = [clip_since(run, [checkpoint.step for checkpoint in run.checkpoints]) for run in runs]
    curves: list[TrainingCurve] = []
    for run, fractions in zip(runs, clipped, strict=True):
        curves.append(_curve(run, fractions, problems, options))
        print(table(curves[-1]), flush=True)
    changes = _changes(runs[0], problems, options) if options.logit_positions else {}
    options.output_dir.mkdir(parents=True, exist_ok=True)
    content = {
        "options": {name: str(value) for name, value in asdict(options).items()},
        "runs": {curve.name: {"steps": curve.steps, **_without_nan(curve.values)} for curve in curves},
        "logit_changes": {
            name: dict(zip(("alone", "together"), each.correlations, strict=True)) for name, each in changes.items()
        },
    }
    write_whole(options.output_dir / "dynamics.json", json.dumps(content, indent=2) + "\n")
    heading = f"{len(problems)} held-out problems, {options.num_samples} answers each"
    pictures = {"dynamics.png": png(training_figure(curves, heading=heading, panels=_panels(curves)))}
    if changes:
        pictures["logit_changes.png"] = png(
            logit_changes_figure(
                [
                    LogitPart(name, each.predicted_M, each.alone_M, each.together_M, each.is_drawn_M, each.correlations)
                    for name, each in changes.items()
                ],
                heading=f"What one step does to logits: {runs[0].name}, step {runs[0].checkpoints[0].step}",
            )
        )
    for name, picture in pictures.items():
        with replacing(options.output_dir / name) as unfinished:
            unfinished.write_bytes(picture)
    print(f"{options.output_dir}: dynamics.json, {', '.join(pictures)}")


def _asked(policy: Policy, problems: Sequence[Problem], options: DynamicsOptions) -> Asked:
    return ask(policy, problems, num_samples=options.num_samples, max_tokens=options.max_tokens, seed=options.seed)


def _curve(
    run: CheckpointRun,
    fractions: Mapping[str, list[float]],
    problems: Sequence[Problem],
    options: DynamicsOptions,
) -> TrainingCurve:
    """What is measured of each checkpoint, with the clip fractions that training has logged."""
    first: tuple[Asked, LogitsOf] | None = None
    rows: list[CheckpointMeasures] = []
    for checkpoint in run.checkpoints:
        policy = Policy(checkpoint.path)
        own = _asked(policy, problems, options)
        first = first or (own, logits_of(policy))
        rows.append(measure(policy, checkpoint.step, own, *first))
    steps = [row.step for row in rows]
    values: dict[str, list[float]] = {name: [row.as_values()[name] for row in rows] for name in rows[0].as_values()}
    return TrainingCurve(run.name, steps, {**values, **fractions})


def clip_since(run: CheckpointRun, steps: Sequence[int]) -> dict[str, list[float]]:
    """For each of ``steps``, the mean clip fractions over the training steps since the one before it; nan where none has any."""
    if run.metrics is None:
        return {}
    logged = read_training_curve(run.metrics, name=run.name, keys=CLIP_KEYS)
    at = np.array(logged.steps)
    means: dict[str, list[float]] = {}
    for name, values in logged.values.items():
        known = np.array(values)
        inside = [
            (at > before) & (at <= step) & ~np.isnan(known) for before, step in zip([-1, *steps], steps, strict=False)
        ]
        means[name] = [float(known[each].mean()) if each.any() else nan for each in inside]
    return means


def _changes(run: CheckpointRun, problems: Sequence[Problem], options: DynamicsOptions) -> dict[str, LogitChanges]:
    """Of the first checkpoint, by the name of the part; a part that no answer belongs to is left out."""
    policy = Policy(run.checkpoints[0].path)
    own = _asked(policy, problems, options)
    outcomes = {correct for group in own.is_correct for correct in group}
    return {
        name: logit_changes(
            policy.model, own.batch, own.is_correct, weights, max_positions=options.logit_positions, seed=options.seed
        )
        for name, weights, sign in (("psr", PSR, True), ("nsr", NSR, False))
        if sign in outcomes
    }


def _panels(curves: Sequence[TrainingCurve]) -> list[Any]:
    """Those that a run has values of."""
    known = {name for curve in curves for name, values in curve.values.items() if not all(map(isnan, values))}
    return [panel for panel in PANELS if panel.key in known]


def _without_nan(values: Mapping[str, Sequence[float]]) -> dict[str, list[float | None]]:
    """JSON has no nan."""
    return {name: [None if isnan(value) else value for value in row] for name, row in values.items()}


def table(curve: TrainingCurve) -> str:
    """The measures of a run, a line for each checkpoint."""
    names = [name for name in COLUMNS if name in curve.values]
    lines = [f"{curve.name:>12}" + "".join(f"{name:>15}" for name in names)]
    for row, step in enumerate(curve.steps):
        cells = (curve.values[name][row] for name in names)
        lines.append(
            f"{f'step {step}':>12}" + "".join(f"{'-' if isnan(cell) else f'{cell:.4g}':>15}" for cell in cells)
        )
    return "\n".join(lines)
