"""Sections of a study's page: what the base never solves, and accuracy by level and subject."""

from math import isnan

from verl_ext.analysis.least_squares import Coefficient, LeastSquares
from verl_ext.analysis.new_ability import NewAbility
from verl_ext.plots.problem_bars import count_text
from verl_ext.report.cells import interval
from verl_ext.report.findings import label
from verl_ext.report.page_blocks import Block, DataTable, Entry, Fold, Heading, Paragraph, Row
from verl_ext.report.sentences import range_text
from verl_ext.report.study_numbers import BeyondTheBase, Missing, Study
from verl_ext.report.study_pieces import method_entry, not_shown, study_picture

_SHOWN_PROBLEMS = 50


def abilities_of(beyond: BeyondTheBase) -> list[NewAbility]:
    """As sampled, then at half the samples of the base: in each block the base's own rate first."""
    as_sampled = [*([] if beyond.second_file is None else [beyond.second_file]), *beyond.abilities]
    halves = [] if isinstance(beyond.halves, Missing) else beyond.halves
    return [each for each in (*as_sampled, *halves) if each.num_unsolved > 0]


def beyond_section(study: Study, base: str) -> list[Block]:
    """What the base never solves, and what runs solve of it."""
    beyond = study.beyond
    n = range_text(study.distributions[0].min_samples, study.distributions[0].max_samples)
    blocks: list[Block] = [
        Heading(f"Problems that {base} never solves"),
        Paragraph(
            f"{base} solves {study.num_problems - beyond.num_unsolved:,} of {study.num_problems:,} problems at least once in its {n} "
            f"samples, and never {beyond.num_unsolved:,}."
        ),
    ]
    abilities = abilities_of(beyond)
    if abilities:
        rows: list[Row] = [
            [
                method_entry(study.names, each.name, f"{base} again" if each.name == each.base else ""),
                f"{each.num_samples:,}",
                f"{each.num_base_samples:,}",
                count_text(each.num_unsolved),
                count_text(each.num_solved),
                Entry(f"{100 * each.share:.1f} %", interval(each.low, each.high)),
            ]
            for each in abilities
        ]
        header = ["who", "samples", f"unsolved by {base}'s", "unsolved", "solved", "share"]
        caption = f"What each run solves of what {base} leaves unsolved"
        blocks += [
            study_picture("new_ability"),
            DataTable(name="new_ability", caption=caption, header=header, rows=rows),
        ]
    blocks += [Paragraph(sentence, is_quiet=True) for sentence in _notes(beyond, base)]
    return [*blocks, *_solved(study)]


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


def _solved(study: Study) -> list[Block]:
    beyond = study.beyond
    if not beyond.solved:
        return []
    fields = list(beyond.solved[0].groups)
    rows = [
        [
            each.question_id,
            *(each.groups[field] for field in fields),
            each.reference if len(each.reference) <= 60 else f"{each.reference[:57]}...",
            *(f"{c:,} of {n:,}" for c, n in zip(each.num_correct, each.num_samples, strict=True)),
        ]
        for each in beyond.solved[:_SHOWN_PROBLEMS]
    ]
    hidden = max(0, len(beyond.solved) - _SHOWN_PROBLEMS)
    more = f" {hidden} more are in the JSON file." if hidden else ""
    return [
        Heading("Which of them are solved", 3),
        DataTable(
            name="solved",
            caption=f"Problems that {label(study.base)} never solves and a run does",
            header=["question_id", *fields, "reference", *map(label, study.names)],
            rows=rows,
            num_left=2 + len(fields),
        ),
        Paragraph(
            f"Correct of all samples.{more} A problem that is solved once in many samples may have been guessed.",
            is_quiet=True,
        ),
    ]


def fit_section(study: Study) -> list[Block]:
    """Least squares of accuracy."""
    blocks: list[Block] = [Heading("Accuracy by level and subject: least squares")]
    if any(isinstance(fit, LeastSquares) for fit in study.fits):
        blocks.append(study_picture("least_squares"))
    for number, (name, fit) in enumerate(zip(study.names, study.fits, strict=True), start=1):
        blocks.append(
            Fold(label(name), _fit(fit, number, label(name))) if len(study.fits) > 1 else Heading(label(name), 3)
        )
        blocks += [] if len(study.fits) > 1 else _fit(fit, number, label(name))
    blocks.append(
        Paragraph(
            "Ordinary least squares (statsmodels) on each problem's share of correct samples; coefficients are shares, 0.1 is ten "
            "points. The standard errors suppose that accuracies scatter alike everywhere, and p is not corrected for the number of "
            "rows.",
            is_quiet=True,
        )
    )
    return blocks


def _fit(fit: LeastSquares | Missing, number: int, name: str) -> list[Block]:
    if isinstance(fit, Missing):
        return [not_shown(fit)]
    return [
        DataTable(
            name=f"least_squares_{number}",
            caption=f"Least squares of accuracy on level and subject: {name}",
            header=["term", "coefficient", "standard error", "t", "p", "95 % interval"],
            rows=[[each.name, *_coefficient_cells(each)] for each in fit.coefficients],
        ),
        Paragraph(
            f"{fit.num_problems:,} problems, {fit.residual_degrees:,} degrees of freedom, R\N{SUPERSCRIPT TWO} = {fit.r_squared:.3f}. "
            f"Effects are differences from {' and '.join(fit.compared_with)}.",
            is_quiet=True,
        ),
    ]


def _coefficient_cells(each: Coefficient) -> list[str]:
    p = "none" if isnan(each.p) else "< 0.0001" if each.p < 0.0001 else f"{each.p:.4f}"
    numbers = [f"{each.estimate:+.4f}", f"{each.standard_error:.4f}", f"{each.t:.2f}", p]
    return [*(text.replace("-", "\N{MINUS SIGN}") for text in numbers), _signed_interval(each)]


def _signed_interval(each: Coefficient) -> str:
    return f"[{each.low:+.3f}, {each.high:+.3f}]".replace("-", "\N{MINUS SIGN}")
