"""A study as one HTML page in the style of the report, and its pictures."""

from collections.abc import Mapping, Sequence
from math import isnan
from typing import Any

from verl_ext.analysis.breakdown import Breakdown
from verl_ext.analysis.least_squares import Coefficient, LeastSquares
from verl_ext.analysis.new_ability import NewAbility
from verl_ext.analysis.two_estimates import TwoEstimates
from verl_ext.plots.figures import png, two_estimates_figure
from verl_ext.plots.problem_bars import count_text
from verl_ext.plots.study_figures import (
    breakdown_figure,
    distribution_figure,
    least_squares_figure,
    new_ability_figure,
)
from verl_ext.report.cells import Rows, base64_text, cell, comparison, interval, share_cell, template
from verl_ext.report.findings import label, points
from verl_ext.report.study_numbers import BeyondTheBase, Missing, Study

PICTURES = ("pass_at_k", "accuracy", "by_level", "by_subject", "not_integers", "new_ability", "least_squares")
"""The names of all that a study may have."""
_SHOWN_PROBLEMS = 50


def study_figures(study: Study) -> dict[str, bytes]:
    """The pictures of a study, as PNG by name; none for a section that is missing."""
    found = {
        "pass_at_k": two_estimates_figure(study.estimates, heading="pass@k of each run"),
        "accuracy": distribution_figure(study.distributions),
    }
    for name, groups in (("by_level", study.by_level), ("by_subject", study.by_subject)):
        if isinstance(groups, Breakdown):
            found[name] = breakdown_figure(groups)
    if not isinstance(study.not_integers, Missing):
        found["not_integers"] = two_estimates_figure(
            study.not_integers, heading="pass@k where the reference is not an integer"
        )
    abilities = _abilities(study.beyond)
    if abilities:
        found["new_ability"] = new_ability_figure(abilities, study.names)
    fits = [fit for fit in study.fits if isinstance(fit, LeastSquares)]
    if fits:
        found["least_squares"] = least_squares_figure(fits, study.names)
    return {name: png(figure) for name, figure in found.items()}


def render_study(
    study: Study,
    figures: Mapping[str, bytes],
    *,
    title: str,
    facts: Sequence[tuple[str, str]],
    commands: Sequence[str] = (),
) -> str:
    """Render the page.

    Args:
        study: From ``build_study``.
        figures: From ``study_figures``.
        title: Heading of the page.
        facts: (name, value) rows of what was run.
        commands: The commands that make these results again.

    Returns:
        The text of an HTML file, UTF-8.
    """
    row = Rows(study.names)
    sections = (("By level", "by_level", study.by_level), ("By subject", "by_subject", study.by_subject))
    return template("study.html.jinja").render(
        title=title,
        subtitle=f"{len(study.names)} run{'s' * (len(study.names) > 1)}, {study.num_problems:,} problems: "
        f"{sum(each.unbiased.num_answers for each in study.estimates):,} graded answers",
        base=label(study.base),
        pictures={name: base64_text(picture) for name, picture in figures.items()},
        limits=_limits(study),
        estimate_tables=_estimate_tables(study.estimates),
        comparison_rows=[comparison(each) for each in study.differences],
        distribution_rows=[
            row(
                each.name,
                samples=_range(each.min_samples, each.max_samples),
                never=share_cell(each.num_never, each.num_problems),
                always=share_cell(each.num_always, each.num_problems),
                cells=[f"{100 * share:.1f}" for share in (each.mean, *each.quartiles)],
            )
            for each in study.distributions
        ],
        breakdowns=[
            {"heading": heading, "picture": name, **_breakdown_section(groups)} for heading, name, groups in sections
        ],
        by_reference=_breakdown_section(study.by_reference),
        not_integers_missing=study.not_integers.why if isinstance(study.not_integers, Missing) else "",
        not_integer_tables=[] if isinstance(study.not_integers, Missing) else _estimate_tables(study.not_integers),
        beyond=_beyond(study, row),
        fits=[_fit(name, fit, row) for name, fit in zip(study.names, study.fits, strict=True)],
        facts=facts,
        commands=commands,
    )


def _limits(study: Study) -> list[str]:
    samples = {each.name: (each.min_samples, each.max_samples) for each in study.distributions}
    limits = [
        "Nothing here says how far another training seed would move a run, which can be further than its interval.",
        "Intervals are about other problems of this kind. With many sections, some difference is large by chance: only the "
        "differences that are tested are corrected for their number.",
    ]
    if len(set(samples.values())) > 1:
        said = ", ".join(f"{label(name)} {_range(*pair)}" for name, pair in samples.items())
        limits.append(f"The runs have different numbers of samples a problem ({said}): compare them at the same k.")
    return limits


def _range(low: int, high: int) -> str:
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _estimate_tables(estimates: Sequence[TwoEstimates]) -> list[dict[str, Any]]:
    row = Rows([each.name for each in estimates])
    return [
        row(
            each.name,
            ks=each.unbiased.ks,
            unbiased=[
                cell(*values)
                for values in zip(each.unbiased.pass_at_k, each.unbiased.low, each.unbiased.high, strict=True)
            ],
            bootstrap=[f"{100 * value:.1f}" for value in each.bootstrap],
            difference=[points(low - high) for low, high in zip(each.bootstrap, each.unbiased.pass_at_k, strict=True)],
        )
        for each in estimates
    ]


def _breakdown_section(groups: Breakdown | Missing) -> dict[str, Any]:
    if isinstance(groups, Missing):
        return {"missing": groups.why, "table": None}
    ks = sorted({k for curves in groups.curves.values() for curve in curves for k in curve.ks})
    rows = []
    for index, (value, num_problems) in enumerate(zip(groups.values, groups.num_problems, strict=True)):
        cells = []
        for curve in (curves[index] for curves in groups.curves.values()):
            for k in ks:
                at = curve.at(k) if k in curve.ks else None
                empty = {"value": "\N{EN DASH}", "interval": ""}
                cells.append(empty if at is None else cell(curve.pass_at_k[at], curve.low[at], curve.high[at]))
        rows.append({"value": value, "num_problems": f"{num_problems:,}", "cells": cells})
    table = {"field": groups.field, "runs": [label(name) for name in groups.curves], "ks": ks, "rows": rows}
    return {"missing": "", "table": table}


def _abilities(beyond: BeyondTheBase) -> list[NewAbility]:
    """As sampled, then at half the samples of the base: in each block the base's own rate first."""
    as_sampled = [*([] if beyond.second_file is None else [beyond.second_file]), *beyond.abilities]
    halves = [] if isinstance(beyond.halves, Missing) else beyond.halves
    return [each for each in (*as_sampled, *halves) if each.num_unsolved > 0]


def _beyond(study: Study, row: Rows) -> dict[str, Any]:
    beyond, base = study.beyond, label(study.base)
    n = _range(study.distributions[0].min_samples, study.distributions[0].max_samples)
    fields = list(beyond.solved[0].groups) if beyond.solved else []
    return {
        "sentence": f"{base} solves {study.num_problems - beyond.num_unsolved:,} of {study.num_problems:,} problems at least "
        f"once in its {n} samples, and never {beyond.num_unsolved:,}.",
        "rows": [
            row(each.name)
            | ({"label": f"{base} again"} if each.name == each.base else {})
            | {
                "samples": f"{each.num_samples:,}",
                "base_samples": f"{each.num_base_samples:,}",
                "unsolved": count_text(each.num_unsolved),
                "solved": count_text(each.num_solved),
                "share": {
                    "value": f"{100 * each.share:.1f} %",
                    "interval": interval(each.low, each.high),
                },
            }
            for each in _abilities(beyond)
        ],
        "notes": _notes(beyond, base),
        "fields": fields,
        "runs": [label(name) for name in study.names],
        "solved": [
            {
                "question_id": each.question_id,
                "groups": [each.groups[field] for field in fields],
                "reference": each.reference if len(each.reference) <= 60 else f"{each.reference[:57]}...",
                "counts": [f"{c:,} of {n:,}" for c, n in zip(each.num_correct, each.num_samples, strict=True)],
            }
            for each in beyond.solved[:_SHOWN_PROBLEMS]
        ],
        "num_not_shown": max(0, len(beyond.solved) - _SHOWN_PROBLEMS),
    }


def _notes(beyond: BeyondTheBase, base: str) -> list[str]:
    notes = [
        f"A problem that {base} never solved in its samples may have a small chance all the same: fresh samples of {base} would "
        f"also solve some. Only what a run solves beyond that rate, with as many samples, is new."
    ]
    if beyond.second_file is not None and beyond.second_file.num_unsolved > 0:
        notes.append(f"The first row is that rate, from a second file of {base}'s answers.")
    if isinstance(beyond.halves, Missing):
        notes.append(f"{base}'s samples were not split: {beyond.halves.why}")
    elif beyond.halves[0].num_unsolved > 0:
        first = beyond.halves[0]
        notes.append(
            f"The rows with {first.num_base_samples:,} samples of {base} split its samples: that many leave problems unsolved, "
            f"and {first.num_samples:,} of its others ({base} again), or as "
            "many of a run, try these. Counts are exact expectations over all ways to split."
        )
    return notes


def _fit(name: str, fit: LeastSquares | Missing, row: Rows) -> dict[str, Any]:
    if isinstance(fit, Missing):
        return row(name, missing=fit.why, rows=[], note="")
    compared = " and ".join(fit.compared_with)
    return row(
        name,
        missing="",
        rows=[{"name": each.name, "cells": _coefficient_cells(each)} for each in fit.coefficients],
        note=f"{fit.num_problems:,} problems, {fit.residual_degrees:,} degrees of freedom, R\N{SUPERSCRIPT TWO} = "
        f"{fit.r_squared:.3f}. Effects are differences from {compared}.",
    )


def _coefficient_cells(each: Coefficient) -> list[str]:
    p = "none" if isnan(each.p) else "< 0.0001" if each.p < 0.0001 else f"{each.p:.4f}"
    numbers = [f"{each.estimate:+.4f}", f"{each.standard_error:.4f}", f"{each.t:.2f}", p]
    return [*(text.replace("-", "\N{MINUS SIGN}") for text in numbers), _signed_interval(each)]


def _signed_interval(each: Coefficient) -> str:
    return f"[{each.low:+.3f}, {each.high:+.3f}]".replace("-", "\N{MINUS SIGN}")
