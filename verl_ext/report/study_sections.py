"""Sections of a study's page: pass@k, how it is spread over problems, and by level, subject and kind of answer."""

from collections.abc import Sequence

from verl_ext.analysis.breakdown import Breakdown
from verl_ext.analysis.two_estimates import TwoEstimates
from verl_ext.metrics.summary import PassAtKCurve
from verl_ext.report.answer_blocks import comparison_table
from verl_ext.report.cells import interval
from verl_ext.report.findings import label, points
from verl_ext.report.page_blocks import Block, DataTable, Entry, Heading, Paragraph, Row
from verl_ext.report.sentences import range_text
from verl_ext.report.study_numbers import Missing, Study
from verl_ext.report.study_pieces import method_entry, not_shown, study_picture

_NONE = "\N{EN DASH}"


def estimates_section(study: Study, base: str) -> list[Block]:
    """pass@k by both estimates, and the differences that are tested."""
    blocks: list[Block] = [
        Heading("pass@k, estimated twice"),
        _estimates(study.estimates, "pass_at_k"),
        Paragraph(
            'In %, mean over problems; below the unbiased estimate its 95 % bootstrap interval over problems. "bootstrap" is what '
            "resampling k of the n answers with replacement tends to, 1 \N{MINUS SIGN} (1 \N{MINUS SIGN} c / n)^k: published curves "
            "are made so. An answer that is drawn twice counts once, so it is too low, most of all at k = n. The difference is in "
            "points.",
            is_quiet=True,
        ),
    ]
    if study.differences:
        blocks += [
            Heading("Differences that are tested", 3),
            comparison_table(study.differences),
            Paragraph(
                f"Unbiased pass@k minus that of {base}, in points, paired by problem. Decided: the 95 % interval excludes 0 and p, "
                f"corrected by Holm over these {len(study.differences)} comparisons, is below 0.05.",
                is_quiet=True,
            ),
        ]
    return blocks


def _estimates(estimates: Sequence[TwoEstimates], name: str) -> DataTable:
    names = [each.name for each in estimates]
    ks = sorted({k for each in estimates for k in each.unbiased.ks})
    rows: list[list[str | Entry]] = []
    for each in estimates:
        curve = each.unbiased
        at = {k: place for place, k in enumerate(curve.ks)}
        rows += [
            [method_entry(names, each.name), "unbiased", *(_at(curve, k) for k in ks)],
            [
                method_entry(names, each.name),
                "bootstrap",
                *(f"{100 * each.bootstrap[at[k]]:.1f}" if k in at else _NONE for k in ks),
            ],
            [
                method_entry(names, each.name),
                "bootstrap \N{MINUS SIGN} unbiased",
                *(points(each.bootstrap[at[k]] - curve.pass_at_k[at[k]]) if k in at else _NONE for k in ks),
            ],
        ]
    return DataTable(
        name=name,
        caption="pass@k in percent, estimated in two ways",
        header=["run", "estimate", *(f"k = {k}" for k in ks)],
        rows=rows,
        num_left=2,
    )


def _at(curve: PassAtKCurve, k: int) -> str | Entry:
    if k not in curve.ks:
        return _NONE
    at = curve.at(k)
    return Entry(f"{100 * curve.pass_at_k[at]:.1f}", interval(curve.low[at], curve.high[at]))


def distribution_section(study: Study) -> list[Block]:
    """How many problems are solved how often."""
    rows: list[Row] = [
        [
            method_entry(study.names, each.name),
            range_text(each.min_samples, each.max_samples),
            Entry(f"{each.num_never:,}", f"{100 * each.num_never / each.num_problems:.1f} %"),
            Entry(f"{each.num_always:,}", f"{100 * each.num_always / each.num_problems:.1f} %"),
            *(f"{100 * share:.1f}" for share in (each.mean, *each.quartiles)),
        ]
        for each in study.distributions
    ]
    header = ["run", "samples", "never solved", "always solved", "mean", "lower quartile", "median", "upper quartile"]
    return [
        Heading("pass@1 over problems"),
        study_picture("accuracy"),
        DataTable(name="accuracy", caption="How many problems are solved how often", header=header, rows=rows),
        Paragraph(
            "Mean and quartiles of a problem's share of correct samples, in %. Never and always depend on the number of samples: "
            "with more of them fewer problems are at either end.",
            is_quiet=True,
        ),
    ]


def group_section(heading: str, name: str, groups: Breakdown | Missing) -> list[Block]:
    """pass@k for each value of a field."""
    if isinstance(groups, Missing):
        return [Heading(heading), not_shown(groups)]
    return [Heading(heading), study_picture(name), *_groups(groups, name)]


def _groups(groups: Breakdown, name: str) -> list[Block]:
    ks = sorted({k for curves in groups.curves.values() for curve in curves for k in curve.ks})
    rows: list[list[str | Entry]] = []
    for index, (value, num_problems) in enumerate(zip(groups.values, groups.num_problems, strict=True)):
        cells = [_at(curves[index], k) for curves in groups.curves.values() for k in ks]
        rows.append([value, f"{num_problems:,}", *cells])
    return [
        DataTable(
            name=name,
            caption=f"pass@k in percent for each value of {groups.field}",
            header=[groups.field, "problems", *(f"{label(run)}, k = {k}" for run in groups.curves for k in ks)],
            rows=rows,
        ),
        Paragraph(
            "Unbiased pass@k in %, below it the 95 % bootstrap interval over the problems of the row.", is_quiet=True
        ),
    ]


def integers_section(study: Study) -> list[Block]:
    """Problems whose reference is no integer."""
    blocks: list[Block] = [Heading("Answers that are not integers")]
    missing = study.by_reference if isinstance(study.by_reference, Missing) else None
    blocks += [not_shown(missing)] if missing else _groups(study.by_reference, "by_reference")  # type: ignore[arg-type]
    if not isinstance(study.not_integers, Missing):
        blocks += [study_picture("not_integers"), _estimates(study.not_integers, "not_integers")]
    elif missing is None or missing.why != study.not_integers.why:
        blocks.append(not_shown(study.not_integers))
    blocks.append(
        Paragraph(
            "An integer is a reference that is one exact whole number, whatever money or degree sign it has. A number is easier to "
            "guess than a formula, a pair or an interval.",
            is_quiet=True,
        )
    )
    return blocks
