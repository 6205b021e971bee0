"""Results as one HTML page that needs nothing else: no script, no style sheet, no image from elsewhere."""

from collections.abc import Sequence
from math import isnan

from verl_ext.grading import Reason
from verl_ext.plots.figures import pass_at_k_figure, training_figure
from verl_ext.plots.run_figures import final_figure, has_reasons, reasons_figure
from verl_ext.plots.training_curves import PANELS, Panel, TrainingCurve
from verl_ext.report.cells import Rows, cell, comparison, image, interval, points_interval, share_cell, template
from verl_ext.report.findings import findings, label, points
from verl_ext.report.results import Results

_TRAINING = "Training, step by step"


def render_report(
    results: Results,
    *,
    title: str,
    facts: Sequence[tuple[str, str]],
    commands: Sequence[str] = (),
    training: Sequence[TrainingCurve] = (),
    panels: Sequence[Panel] = PANELS,
    caveats: Sequence[str] = (),
    num_training_seeds: int = 1,
) -> str:
    """Render the page.

    Args:
        results: From ``build_results``.
        title: Heading of the page.
        facts: (name, value) rows of what was run: versions, seed, model size, budget.
        commands: The commands that make these results again.
        training: One curve per trained method; no training section if empty.
        panels: The metrics of the training figure.
        caveats: More sentences for the reader to keep in mind.
        num_training_seeds: How many trainings stand behind each method.

    Returns:
        The text of an HTML file, UTF-8.
    """
    said = findings(results, num_training_seeds=num_training_seeds)
    said.limits.extend(caveats)
    reasons = sorted({reason for counts in results.reasons.values() for reason in counts}, key=_reason_order)
    row = Rows([curve.name for curve in results.curves])
    return template("report.html.jinja").render(
        title=title,
        subtitle=f"{len(results.curves)} model{'s' * (len(results.curves) > 1)}, "
        f"{max(curve.num_problems[0] for curve in results.curves):,} problems: "
        f"{sum(curve.num_answers for curve in results.curves):,} graded answers",
        base=label(results.base),
        findings=said,
        ks=results.ks,
        ends=sorted({results.ks[0], results.largest_k}),
        pass_at_k_png=image(pass_at_k_figure(results.curves, heading="pass@k of each method")),
        final_png=image(final_figure(results.curves, sorted({results.ks[0], results.largest_k}))),
        training_png=image(training_figure(training, heading=_TRAINING, panels=panels)) if training else "",
        reasons_png=image(reasons_figure(training)) if has_reasons(training) else "",
        pass_at_k_rows=[
            row(curve.name, cells=[cell(*each) for each in zip(curve.pass_at_k, curve.low, curve.high, strict=True)])
            for curve in results.curves
        ],
        noise_rows=[
            row(curve.name, cells=[interval(*each) for each in zip(curve.noise_low, curve.noise_high, strict=True)])
            for curve in results.curves
        ],
        difference_rows=[row(curve.name, cells=_difference_cells(results, curve.name)) for curve in results.curves[1:]],
        comparison_rows=[comparison(each) for each in (*results.versus_base, *results.between_methods)],
        num_versus_base=len(results.versus_base),
        num_between=len(results.between_methods),
        num_draws=results.diversity[0].num_draws if results.diversity else 0,
        diversity_rows=[
            row(
                each.name,
                distinct=_count_cell(each.distinct, each.distinct_low, each.distinct_high),
                correct=_count_cell(each.distinct_correct, each.distinct_correct_low, each.distinct_correct_high),
                top_share=f"{100 * each.top_share:.1f} %",
            )
            for each in results.diversity
        ],
        reasons=[reason.replace("_", " ") for reason in reasons],
        reason_rows=[
            row(
                name,
                cells=[share_cell(counts.get(reason, 0), sum(counts.values())) for reason in reasons],
                total=f"{sum(counts.values()):,}",
            )
            for name, counts in results.reasons.items()
        ],
        facts=facts,
        commands=commands,
    )


def _count_cell(value: float, low: float, high: float) -> dict[str, str]:
    return {"value": f"{value:.1f}", "interval": "none" if isnan(low) else f"[{low:.1f}, {high:.1f}]"}


def _difference_cells(results: Results, name: str) -> list[dict[str, str]]:
    by_k = {row.k: row for row in results.differences if row.name == name}
    return [
        {
            "value": points(by_k[k].difference),
            "interval": points_interval(by_k[k]),
        }
        for k in results.ks
    ]


def _reason_order(reason: str) -> tuple[int, str]:
    usual: list[str] = list(Reason)
    return (usual.index(reason) if reason in usual else len(usual), reason)
