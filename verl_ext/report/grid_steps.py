"""Which step the numbers of a study are of, and what picking the peak of each run would have made of them."""

from collections.abc import Sequence

from verl_ext.analysis.grid_scores import START, GridScores
from verl_ext.plots.cell_styles import cell_styles
from verl_ext.report.findings import points
from verl_ext.report.page_blocks import Block, DataTable, Entry, Paragraph


def steps_sentence(scores: GridScores) -> str:
    """Which step the numbers are of, and what reporting each run's peak would have made of them."""
    said = f"Every number is of step {scores.step}, the last that all runs validated; no run's best step is picked."
    gains = _gains_of_peaks(scores)
    if not gains:
        return said
    low, high = min(gains.values()), max(gains.values())
    size = f"{100 * high:.1f}" if points(low) == points(high) else f"{100 * low:.1f} to {100 * high:.1f}"
    most = max(len(_trained(cell.steps)) for cell in scores.cells)
    return f"{said} Picking each run's best of {most} validations by pass@1 would add {size} points, for its luck too."


def step_blocks(scores: GridScores) -> list[Block]:
    """Which step the numbers are of and, where a run has several validations to pick from, what its peak is."""
    return [Paragraph(steps_sentence(scores)), *([_peaks_table(scores)] if _gains_of_peaks(scores) else [])]


def crossing_sentence(scores: GridScores) -> str:
    """Between how many validations the crossing of a value is interpolated; empty where no run has two."""
    steps = [cell.steps for cell in scores.cells if len(cell.steps) > 1]
    if not steps:
        return ""
    fewest, most = min(map(len, steps)), max(map(len, steps))
    first, last = min(each[0] for each in steps), max(each[-1] for each in steps)
    if most > 2:
        number = f"{most}" if fewest == most else f"{fewest} to {most}"
        return f"The crossing is interpolated between the {number} validations of each run, from step {first} to step {last}."
    ends = f"step {first} to step {last}" if len(set(steps)) == 1 else "each run's first validation to its second"
    return f"The crossing is interpolated by one straight line from {ends}: nothing was measured in between."


def _trained(steps: Sequence[int]) -> list[int]:
    return [place for place, step in enumerate(steps) if step > START]


def _gains_of_peaks(scores: GridScores) -> dict[str, float]:
    """Cell -> how much higher the mean over its seeds of their best pass@1 is than that of the last step; with one step none."""
    gains = {}
    for cell in scores.cells:
        places = _trained(cell.steps)
        if len(places) > 1:
            pass_at_1_TS = cell.means_TSK[places, :, 0]
            gains[cell.name] = float((pass_at_1_TS.max(axis=0) - pass_at_1_TS[-1]).mean())
    return gains


def _peaks_table(scores: GridScores) -> DataTable:
    """pass@1 of the last step beside that of each run's peak, the means over seeds."""
    styles = cell_styles(scores.cells)
    rows: list[list[str | Entry]] = []
    for cell in scores.cells:
        places = _trained(cell.steps)
        pass_at_1_TS = cell.means_TSK[places, :, 0]
        peaks = [cell.steps[places[place]] for place in pass_at_1_TS.argmax(axis=0)]
        last, peak = pass_at_1_TS[-1].mean(), pass_at_1_TS.max(axis=0).mean()
        rows.append(
            [
                Entry(styles[cell.name].label, color=styles[cell.name].color),
                f"{100 * last:.1f}",
                f"{100 * peak:.1f}",
                points(float(peak - last)),
                ", ".join(map(str, peaks)),
            ]
        )
    return DataTable(
        name="steps",
        caption="pass@1 at the last step and at the peak of each run",
        header=["pass@1 in %", f"step {scores.step}", "each run's peak", "difference", "steps of the peaks"],
        rows=rows,
    )
