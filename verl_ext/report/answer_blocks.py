"""What counted answers say on a page: pass@k, differences, diversity and reasons, as pictures and tables."""

from collections.abc import Mapping, Sequence
from math import isnan

from verl_ext.analysis.diversity import Diversity
from verl_ext.grading import Reason
from verl_ext.metrics.summary import PairedDifference, PassAtKCurve
from verl_ext.plots.figures import pass_at_k_figure
from verl_ext.plots.run_figures import final_figure
from verl_ext.plots.style import style_by_name
from verl_ext.report.cells import interval, points_interval
from verl_ext.report.drawings import Drawing
from verl_ext.report.findings import direction, findings, label, points
from verl_ext.report.page_blocks import Block, DataTable, Entry, Fold, Heading, Paragraph, PictureShown, Row, Said
from verl_ext.report.results import Results
from verl_ext.report.sentences import against_the_base, between, compatible, evidence_of

MAIN = "pass_at_k"


def main_picture(results: Results, drawings: dict[str, Drawing]) -> PictureShown:
    """pass@k of every method."""
    curves = results.curves
    heading = "pass@k of each method" if len(curves) > 1 else f"pass@k of {label(results.base)}"
    drawings[MAIN] = Drawing(lambda is_narrow: pass_at_k_figure(curves, heading=heading, is_narrow=is_narrow))
    ends = "; ".join(f"{label(curve.name)} {100 * curve.pass_at_k[-1]:.1f} %" for curve in curves[:6])
    return PictureShown(MAIN, f"pass@k against k with 95 % bands. At the largest k: {ends}")


def answer_lines(results: Results, limits: Sequence[str], *, num_training_seeds: int = 1) -> list[Said]:
    """What is decided, what is not, and what to keep in mind, each with the sentences that stand behind it."""
    said = findings(results, num_training_seeds=num_training_seeds)
    labels = {curve.name: label(curve.name) for curve in results.curves}
    behind = [*limits[1:], *said.limits] if limits else said.limits[1:]
    mind = Said("Keep in mind", limits[0] if limits else said.limits[0], behind, "and what the intervals are not about")
    if len(results.curves) == 1:
        curve = results.curves[0]
        ends = " and ".join(f"pass@{k} is {_value(curve, k)}" for k in _ends(results))
        return [
            Said("Measured", f"{ends} of {curve.num_problems[0]:,} problems. There is nothing to compare it with."),
            mind,
        ]
    sentences = [
        against_the_base(results.versus_base, labels, f"In points against {labels[results.base]}"),
        between(results.between_methods, labels, "Between each other"),
    ]
    decided = [sentence for sentence in sentences if sentence]
    rows = [*results.versus_base, *results.between_methods]
    open_ = [_evidence(row) for row in rows if not row.is_decided]
    return [
        Said("Decided", " ".join(decided) or "No difference is decided.", said.shown if decided else ()),
        Said("Not decided", compatible(rows) or "Every comparison is decided.", open_, f"all {len(open_)} of them"),
        mind,
    ]


def _evidence(row: PairedDifference) -> str:
    sentence = evidence_of(row, f"{label(row.name)} \N{MINUS SIGN} {label(row.base)}")
    return f"{sentence} The interval alone excludes 0." if row.excludes_zero else sentence


def _value(curve: PassAtKCurve, k: int) -> str:
    at = curve.at(k)
    return f"{100 * curve.pass_at_k[at]:.1f} % {interval(curve.low[at], curve.high[at])}"


def _ends(results: Results) -> list[int]:
    return sorted({results.ks[0], results.largest_k})


def number_blocks(results: Results, drawings: dict[str, Drawing], *, num_not_paired: int = 0) -> list[Block]:
    """pass@k in numbers, differences, diversity and reasons; a part that the files have nothing for is left out."""
    return [
        *_pass_at_k(results, drawings),
        *_differences(results, num_not_paired),
        *_diversity(results),
        *_reasons(results),
    ]


def _pass_at_k(results: Results, drawings: dict[str, Drawing]) -> list[Block]:
    curves, ends = results.curves, _ends(results)
    drawings["final"] = Drawing(lambda is_narrow: final_figure(curves, ends, is_narrow=is_narrow))
    header = ["method", *(f"k = {k}" for k in results.ks)]
    shares: list[Row] = [
        [
            _method(results, curve.name),
            *(
                Entry(f"{100 * value:.1f}", interval(low, high))
                for value, low, high in zip(curve.pass_at_k, curve.low, curve.high, strict=True)
            ),
            f"{curve.num_problems[0]:,}",
        ]
        for curve in curves
    ]
    noise: list[Row] = [
        [_method(results, curve.name), *map(interval, curve.noise_low, curve.noise_high)] for curve in curves
    ]
    return [
        Heading("pass@k in numbers"),
        DataTable(
            name="pass_at_k", caption="pass@k of each method in percent", header=[*header, "problems"], rows=shares
        ),
        Paragraph(
            "Unbiased pass@k in %, mean over problems; below it the 95 % bootstrap interval over problems.",
            is_quiet=True,
        ),
        PictureShown("final", f"A bar for each method: pass@{' and pass@'.join(map(str, ends))} with 95 % intervals"),
        Fold(
            "If the same problems were sampled again",
            [
                DataTable(name="noise", caption="Intervals from sampling alone", header=header, rows=noise),
                Paragraph(
                    "95 % interval in %, from the noise of sampling alone. None at a k that is n of some problem, because pass@n "
                    "uses all samples of a problem at once.",
                    is_quiet=True,
                ),
            ],
        ),
    ]


def _method(results: Results, name: str) -> Entry:
    style = style_by_name([curve.name for curve in results.curves])[name]
    return Entry(style.label, color=style.color)


def _differences(results: Results, num_not_paired: int) -> list[Block]:
    if len(results.curves) < 2:
        return []
    base = label(results.base)
    by_place = {(row.name, row.k): row for row in results.differences}
    along: list[Row] = [
        [
            _method(results, curve.name),
            *(
                Entry(points(row.difference), points_interval(row))
                if (row := by_place.get((curve.name, k)))
                else "\N{EN DASH}"
                for k in results.ks
            ),
            f"{max((row.num_problems for row in results.differences if row.name == curve.name), default=0):,}",
        ]
        for curve in results.curves[1:]
    ]
    families = f"Corrected by Holm over the {len(results.versus_base)} comparisons with {base}"
    if results.between_methods:
        families += f", and separately over the {len(results.between_methods)} between methods"
    left_out = (
        f" {num_not_paired:,} pairs of methods are not compared with each other: of so many, some differ by chance."
        if num_not_paired
        else ""
    )
    return [
        Heading("Differences"),
        Heading(f"Against {base}, along the curve", 3),
        DataTable(
            name="differences",
            caption=f"pass@k minus that of {base} in points",
            header=["method", *(f"k = {k}" for k in results.ks), "problems"],
            rows=along,
        ),
        Paragraph(
            f"pass@k minus that of {base}, in points, paired by problem, with 95 % bootstrap intervals. The intervals hold for "
            "each k by itself, not for all k together. Problems: those that both have.",
            is_quiet=True,
        ),
        Heading("The comparisons that are tested", 3),
        comparison_table([*results.versus_base, *results.between_methods]),
        Paragraph(
            f"In points. Decided: the paired interval excludes 0 and the corrected p is below 0.05. {families}.{left_out}",
            is_quiet=True,
        ),
    ]


def comparison_table(rows: Sequence[PairedDifference], name: str = "comparisons") -> DataTable:
    """Every comparison with its test."""
    return DataTable(
        name=name,
        caption="Tested differences of pass@k in points",
        header=[
            "comparison",
            "k",
            "difference",
            "95 % interval",
            "p, sign flips",
            "p after Holm",
            "problems",
            "verdict",
        ],
        rows=[
            [
                f"{label(row.name)} \N{MINUS SIGN} {label(row.base)}",
                str(row.k),
                points(row.difference),
                points_interval(row),
                f"{row.p_value:.4f}",
                f"{row.p_holm:.4f}",
                f"{row.num_problems:,}",
                direction(row),
            ]
            for row in rows
        ],
    )


def _diversity(results: Results) -> list[Block]:
    if not results.diversity:
        return []
    rows: list[Row] = [[_method(results, each.name), *_diversity_cells(each)] for each in results.diversity]
    return [
        Heading("Diversity of answers"),
        DataTable(
            name="diversity",
            caption="Distinct answers to a problem",
            header=["method", "distinct answers", "distinct correct answers", "share of the most common answer"],
            rows=rows,
        ),
        Paragraph(
            f"Mean per problem among {results.diversity[0].num_draws} samples, with 95 % bootstrap intervals over problems. A "
            "response without an answer adds none.",
            is_quiet=True,
        ),
    ]


def _diversity_cells(each: Diversity) -> list[str | Entry]:
    return [
        _count(each.distinct, each.distinct_low, each.distinct_high),
        _count(each.distinct_correct, each.distinct_correct_low, each.distinct_correct_high),
        f"{100 * each.top_share:.1f} %",
    ]


def _count(value: float, low: float, high: float) -> Entry:
    return Entry(f"{value:.1f}", "none" if isnan(low) else f"[{low:.1f}, {high:.1f}]")


def _reasons(results: Results) -> list[Block]:
    if not results.reasons:
        return []
    reasons = sorted({reason for counts in results.reasons.values() for reason in counts}, key=_reason_order)
    return [
        Heading("Why answers were graded as they were"),
        DataTable(
            name="reasons",
            caption="Number and share of answers by the reason of their verdict",
            header=["method", *(reason.replace("_", " ") for reason in reasons), "all"],
            rows=[
                [_method(results, name), *_reason_cells(counts, reasons), f"{sum(counts.values()):,}"]
                for name, counts in results.reasons.items()
            ],
        ),
    ]


def _reason_cells(counts: Mapping[str, int], reasons: Sequence[str]) -> list[str | Entry]:
    total = sum(counts.values())
    return [Entry(f"{counts.get(reason, 0):,}", f"{100 * counts.get(reason, 0) / total:.1f} %") for reason in reasons]


def _reason_order(reason: str) -> tuple[int, str]:
    usual: list[str] = list(Reason)
    return (usual.index(reason) if reason in usual else len(usual), reason)
