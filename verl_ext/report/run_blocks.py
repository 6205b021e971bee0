"""What runs say on a page: training, which step is which, how they were made, and what is missing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import isnan
from statistics import fmean

from verl_ext.plots.figures import training_figure
from verl_ext.plots.run_figures import has_reasons, reasons_figure, without_seed
from verl_ext.plots.step_choices import ValidatedSteps, step_choices_figure
from verl_ext.plots.style import style_by_name
from verl_ext.plots.training_curves import (
    LOGGED_PANELS,
    PANELS,
    Panel,
    TrainingCurve,
    mean_over_runs,
    smoothing_window,
)
from verl_ext.report.drawings import Drawing
from verl_ext.report.findings import points
from verl_ext.report.page_blocks import Block, Bullets, DataTable, Entry, Fold, Heading, Paragraph, PictureShown, Row
from verl_ext.report.run_logs import RunLog
from verl_ext.report.sentences import listed
from verl_ext.report.step_choice import StepChoice

_MANY = 12
"""Runs: more have a table that is folded."""
_NONE = "\N{EN DASH}"
NOTE = (
    "The best of several validations has been picked for its luck too, so it reads higher than the model is: its score counts "
    "only on problems that had no part in the choice."
)


def training_blocks(logs: Sequence[RunLog], drawings: dict[str, Drawing]) -> list[Block]:
    """The curves that matter most, and all others behind a line; nothing where no run has begun."""
    curves = curves_by_method([curve for log in logs if (curve := log.curve) is not None])
    if not curves:
        return []
    is_mean = any(len(group) > 1 for group in grouped(logs).values())
    heading = "Training, mean over seeds" if is_mean else "Training, step by step"
    drawings["training"] = _training(curves, heading, PANELS)
    drawings["all_training"] = _training(curves, "Everything that training logs of a step", LOGGED_PANELS)
    more: list[Block] = [PictureShown("all_training", "All training metrics of each method against the step")]
    if has_reasons(curves):
        drawings["reasons"] = Drawing(lambda is_narrow: reasons_figure(curves, is_narrow=is_narrow))
        more.append(PictureShown("reasons", "Shares of the verdicts' reasons, step by step"))
    return [
        Heading("Training"),
        PictureShown(
            "training", "Training accuracy, entropy and samples in the update of each method against the step"
        ),
        _ends_table(curves),
        Fold("Everything that training logs of a step", more),
    ]


def _training(curves: Sequence[TrainingCurve], heading: str, panels: Sequence[Panel]) -> Drawing:
    return Drawing(lambda is_narrow: training_figure(curves, heading=heading, panels=panels, is_narrow=is_narrow))


def grouped(logs: Sequence[RunLog]) -> dict[str, list[RunLog]]:
    """Method -> its runs."""
    groups: dict[str, list[RunLog]] = {}
    for log in logs:
        groups.setdefault(without_seed(log.name), []).append(log)
    return groups


def curves_by_method(curves: Sequence[TrainingCurve]) -> list[TrainingCurve]:
    """The mean over the seeds of each method, over the steps that all of them have; the runs themselves where there are none."""
    groups: dict[str, list[TrainingCurve]] = {}
    for curve in curves:
        groups.setdefault(without_seed(curve.name), []).append(curve)
    found: list[TrainingCurve] = []
    for name, group in groups.items():
        is_shared = set.intersection(*(set(curve.steps) for curve in group))
        if len(group) == 1:
            found.append(replace(group[0], name=name))
        else:
            found += [mean_over_runs(name, group)] if is_shared else group
    return found


def ends_of(curve: TrainingCurve, key: str) -> tuple[float, float] | None:
    """The means of a metric over the first and the last tenth of the steps; None where a step has none of it."""
    values = [value for value in curve.values.get(key, ()) if not isnan(value)]
    if len(values) < 2:
        return None
    window = max(1, smoothing_window(len(values)))
    return fmean(values[:window]), fmean(values[-window:])


def _ends_table(curves: Sequence[TrainingCurve]) -> DataTable:
    styles = style_by_name([curve.name for curve in curves])
    columns: list[tuple[str, str, Callable[[float], str]]] = [
        ("accuracy in %", "correct_ratio", lambda value: f"{100 * value:.1f}"),
        ("entropy in nats", "entropy", lambda value: f"{value:.3f}"),
        ("tokens an answer", "response_length", lambda value: f"{value:.1f}"),
        ("samples in the update", "kept_samples", lambda value: f"{value:.0f}"),
    ]
    rows: list[Row] = []
    for curve in curves:
        style = styles[curve.name]
        row: list[str | Entry] = [Entry(style.label, color=style.color), f"{curve.steps[-1]:,}"]
        for _, key, form in columns:
            ends = ends_of(curve, key)
            row += [_NONE, _NONE] if ends is None else [form(end) for end in ends]
        rows.append(row)
    header = ["run", "steps", *(text for name, _, _ in columns for text in (f"{name}, first", f"{name}, last"))]
    return DataTable(
        name="training", caption="Training metrics, means of the first and the last steps", header=header, rows=rows
    )


def choice_blocks(logs: Sequence[RunLog], drawings: dict[str, Drawing]) -> list[Block]:
    """Which step of each run is the last, the peak, the one that is kept; nothing where no run has validations."""
    chosen = {log.name: log.choice for log in logs if log.choice is not None}
    if not chosen:
        return []
    for number, metric in enumerate(dict.fromkeys(choice.metric for choice in chosen.values()), start=1):
        of_metric = {name: choice for name, choice in chosen.items() if choice.metric == metric}
        drawings[f"steps_{number}"] = _steps(of_metric, metric)
    names = [name for name in drawings if name.startswith("steps_")]
    table = _choice_table(chosen)
    return [
        Heading("Which step, and how it was chosen"),
        Paragraph(choice_sentence(list(chosen.values()))),
        *(
            PictureShown(name, "Validations of each run over its steps; last, peak and kept steps marked")
            for name in names
        ),
        Fold(f"The steps of all {len(chosen)} runs", [table]) if len(chosen) > _MANY else table,
        Paragraph(NOTE, is_quiet=True),
    ]


def _steps(chosen: Mapping[str, StepChoice], metric: str) -> Drawing:
    runs = [
        ValidatedSteps(
            name,
            [score.step for score in choice.scores],
            [score.value for score in choice.scores],
            choice.last.step,
            choice.peak.step,
            None if choice.kept is None else choice.kept.step,
        )
        for name, choice in chosen.items()
    ]
    are_shares = all(map(is_share, chosen.values()))
    return Drawing(
        lambda is_narrow: step_choices_figure(runs, measure=metric, is_share=are_shares, is_narrow=is_narrow)
    )


def is_share(choice: StepChoice) -> bool:
    """Whether its score is one of [0, 1], which is shown in percent."""
    return all(0 <= score.value <= 1 for score in choice.scores)


def choice_sentence(choices: Sequence[StepChoice]) -> str:
    """How far the usual practice of reporting the peak would move the numbers."""
    several = [choice for choice in choices if len(choice.trained) > 1]
    if not several:
        return "Each run has been validated once after it began: no step was picked."
    kept = sum(choice.kept is not None for choice in choices)
    rule = (
        f"`trainer.best_checkpoint` has kept a step of {kept} of {len(choices)} runs"
        if kept
        else "No rule has kept a best step"
    )
    higher = [choice for choice in several if choice.gain_of_peak > 0]
    if not higher:
        return f"{rule}. The last step of every run is also the peak of its validations."
    largest = max(higher, key=lambda choice: choice.gain_of_peak)
    gain = largest.gain_of_peak
    size = f"{100 * gain:.1f} points" if is_share(largest) else f"{gain:.3g}"
    return (
        f"{rule}. Reporting the peak of its validations instead of the last step would make {len(higher)} of {len(several)} runs "
        f"look better, by up to {size}."
    )


def _choice_table(chosen: Mapping[str, StepChoice]) -> DataTable:
    styles = style_by_name(list(dict.fromkeys(map(without_seed, chosen))))
    rows: list[Row] = []
    for name, choice in chosen.items():
        start, gain = choice.start, choice.peak.value - choice.last.value
        color = styles[without_seed(name)].color
        rows.append(
            [
                Entry(name, color=color),
                _NONE if start is None else _score(start.value),
                Entry(_score(choice.last.value), f"step {choice.last.step:,}"),
                Entry(_score(choice.peak.value), f"step {choice.peak.step:,} of {len(choice.trained)} validated"),
                points(gain) if is_share(choice) else f"{gain:+.3g}",
                _NONE if choice.kept is None else Entry(_score(choice.kept.value), f"step {choice.kept.step:,}"),
                choice.metric,
            ]
        )
    return DataTable(
        name="steps",
        caption="The last step, the peak and the kept step of each run",
        header=["run", "before training", "last step", "peak", "peak \N{MINUS SIGN} last", "kept", "score"],
        rows=rows,
    )


def _score(value: float) -> str:
    return f"{100 * value:.1f} %" if 0 <= value <= 1 else f"{value:.3g}"


def missing_blocks(missing: Mapping[str, Sequence[str]]) -> list[Block]:
    """What is not there, once for all that lack it; nothing where all is there.

    Args:
        missing: Name of a run or a file -> sentences.
    """
    by_sentence: dict[str, list[str]] = {}
    for name, sentences in missing.items():
        for sentence in sentences:
            by_sentence.setdefault(sentence, []).append(name)
    if not by_sentence:
        return []
    lines = [
        f"{listed(names) if len(names) <= 4 else f'{len(names)} runs'}: {sentence}."
        for sentence, names in by_sentence.items()
    ]
    return [Heading("What is missing"), Bullets([line.replace("..", ".") for line in lines])]
