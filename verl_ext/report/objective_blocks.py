"""What the objectives of a page's runs weigh correct and wrong responses by."""

from collections.abc import Sequence

from verl_ext.objectives.run_curves import RunCurves, RunSettings, curves_of_runs
from verl_ext.objectives.weight_curve import WeightCurve
from verl_ext.plots.objective_weights import objective_weights_figure
from verl_ext.plots.style import known_style
from verl_ext.report.drawings import Drawing
from verl_ext.report.page_blocks import Block, Heading, Paragraph, PictureShown
from verl_ext.report.sentences import listed

NAME = "objective_weights"
_MOST_NAMED = 4
_SHOWS = (
    "What a correct response weighs (w₊) and a wrong one (w₋, minus its advantage) over the "
    "accuracy p of its prompt, for each objective with the options of these runs (a scheduled λ as it starts); where neither weighs anything, a prompt teaches nothing."
)
_BANDS = "Bands go from the least to the most that a response weighs, by its likelihood, and lines are means (docs/objectives.md)."


def objective_blocks(runs: Sequence[RunSettings], drawings: dict[str, Drawing]) -> list[Block]:
    """The section, whose picture goes into ``drawings``; nothing where there is no run, a line where none has such weights."""
    if not runs:
        return []
    found = curves_of_runs(runs)
    curves = [_named_as_in_plots(curve) for curve in found.curves]
    blocks: list[Block] = [Heading("What each objective weighs")]
    if curves:
        sizes = {len(curve.accuracy) - 1 for curve in curves}
        heading = "What each response weighs" + (f", {sizes.pop()} to a prompt" if len(sizes) == 1 else "")
        drawings[NAME] = Drawing(
            lambda is_narrow: objective_weights_figure(curves, heading=heading, is_narrow=is_narrow)
        )
        has_bands = any(curve.positive_range is not None for curve in curves)
        named = "; ".join(curve.name for curve in curves)
        blocks += [
            Paragraph(f"{_SHOWS} {_BANDS}" if has_bands else _SHOWS),
            PictureShown(NAME, f"The two weights of each objective over a prompt's accuracy: {named}"),
        ]
    return [*blocks, *_without(found)]


def _named_as_in_plots(curve: WeightCurve) -> WeightCurve:
    """The objective by the name that it has in all other pictures, its options behind it."""
    objective, *settings = curve.name.split(", ")
    style = known_style(objective)
    return curve if style is None else curve._replace(name=", ".join([style.label, *settings]))


def _without(found: RunCurves) -> list[Block]:
    """One line on what is not drawn."""
    parts = [
        f"{listed(names) if len(names) <= _MOST_NAMED else f'{len(names)} runs'} ({reason.rstrip('.')})"
        for reason, names in found.without.items()
    ]
    return [Paragraph(f"Not drawn: {'; '.join(parts)}.", is_quiet=True)] if parts else []
