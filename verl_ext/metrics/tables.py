"""Curves and differences as aligned plain text. Shares are printed in %, differences in points."""

from collections.abc import Mapping, Sequence
from math import isnan

from verl_ext.grading import Reason
from verl_ext.grading.verdict import WITHHELD_REASON
from verl_ext.metrics.generations import Generations
from verl_ext.metrics.summary import MajorityCurve, PairedDifference, PassAtKCurve

_UNDECIDED = {
    Reason.TIMED_OUT: "timed out in the grader",
    Reason.GRADER_ERROR: "were not graded for a fault of the grader",
    WITHHELD_REASON: "were withheld by the server",
}
"""Reasons that say nothing about the answer."""


def undecided_in(reasons: Mapping[str, int]) -> dict[str, int]:
    """How many answers nobody knows the verdict of, by what happened to them."""
    return {why: reasons[reason] for reason, why in _UNDECIDED.items() if reasons.get(reason)}


def curve_table(
    generations: Generations,
    curve: PassAtKCurve,
    strict: PassAtKCurve | None = None,
    majority: MajorityCurve | None = None,
) -> str:
    """One file: what is in it, then a line per k."""
    rows = [["k", "pass@k", "95 % interval", "same problems"]]
    if strict is not None:
        rows[0] += ["strict", "95 % interval"]
    rows[0] += ["pass^k"]
    if majority is not None:
        rows[0] += ["maj@k", "95 % interval"]
    rows[0] += ["problems", ""]
    for column, k in enumerate(curve.ks):
        row = [
            str(k),
            _percent(curve.pass_at_k[column]),
            interval(curve.low[column], curve.high[column]),
            interval(curve.noise_low[column], curve.noise_high[column]),
        ]
        if strict is not None:
            row += [_percent(strict.pass_at_k[column]), interval(strict.low[column], strict.high[column])]
        row += [_percent(curve.pass_hat_k[column])]
        if majority is not None:
            row += [_percent(majority.maj_at_k[column]), interval(majority.low[column], majority.high[column])]
        notes = ["k = n"] * curve.is_every_sample[column]
        if curve.num_problems[column] == 1 and isnan(curve.low[column]):
            notes.append("1 problem: no interval over others")
        if curve.num_left_out[column]:
            notes.append(f"{curve.num_left_out[column]:,} left out: fewer than {k} samples")
        rows.append([*row, f"{curve.num_problems[column]:,}", "; ".join(notes)])
    return "\n".join([*_heading(generations, curve), "", *align(rows)])


def group_table(field: str, curves: Sequence[PassAtKCurve]) -> str:
    """pass@k per value of a field, the interval below each."""
    ks = max((curve.ks for curve in curves), key=len)
    rows = [[f"by {field}", "problems", *(f"k = {k}" for k in ks)]]
    for curve in curves:
        num_missing = len(ks) - len(curve.ks)
        rows.append([curve.name, f"{max(curve.num_problems):,}", *map(_percent, curve.pass_at_k), *["-"] * num_missing])
        rows.append(["", "", *map(interval, curve.low, curve.high), *[""] * num_missing])
    return "\n".join(align([[*row, ""] for row in rows], num_left=1))


def difference_table(differences: Sequence[PairedDifference]) -> str:
    """Paired differences, a line each."""
    header = ["difference", "k", "points", "95 % interval", "p", "p (Holm)", "problems", ""]
    rows = [
        [
            f"{row.name} - {row.base}",
            str(row.k),
            _points(row.difference),
            "none" if isnan(row.low) else f"[{_points(row.low)}, {_points(row.high)}]",
            f"{row.p_value:.4f}",
            f"{row.p_holm:.4f}",
            f"{row.num_problems:,}",
            "decided" if row.is_decided else "",
        ]
        for row in differences
    ]
    return "\n".join(align([header, *rows], num_left=1))


LEGEND = """\
In %. 95 % interval: other problems of this kind (bootstrap over problems). same problems: these problems, sampled
again; at k = n every sample is used at once, and the file holds no information about it. pass^k: all k correct."""

STRICT_LEGEND = """\
strict: an answer counts as correct only if strings, exact numbers, types or the task's own verifier say so, and no
formula was compared."""

MAJORITY_LEGEND = """\
maj@k: the answer given most often among k is correct, ties broken uniformly."""

NO_MAJORITY_LEGEND = "--maj adds exact maj@k, which takes some seconds for hundreds of problems."

DIFFERENCE_LEGEND = """\
pass@k minus that of the first file, paired by question_id, with the same resamples; p: sign-flip test; Holm over all
lines. decided: the interval excludes 0 and p (Holm) is below 0.05."""


def align(rows: Sequence[Sequence[str]], *, num_left: int = 0) -> list[str]:
    """Pad cells to columns two blanks apart, right-aligned but for the first ``num_left`` and the last."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    last = len(widths) - 1
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if column < num_left or column == last else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def interval(low: float, high: float) -> str:
    """[12.3, 45.6] in %, or none."""
    return "none" if isnan(low) else f"[{_percent(low)}, {_percent(high)}]"


def _heading(generations: Generations, curve: PassAtKCurve) -> list[str]:
    least, most = curve.min_samples, curve.max_samples
    samples = f"{most}" if least == most else f"{least} to {most}"
    lines = [
        f"{generations.name}: {generations.path}",
        f"{generations.num_problems:,} problems, {samples} samples each, {generations.num_answers:,} answers, "
        f"{generations.num_correct:,} correct; avg@{most if least == most else 'n'} {_percent(curve.mean_correct)} %",
    ]
    if generations.num_strict_P is not None:
        lines[-1] += f"; {int(generations.num_strict_P.sum()):,} correct by the strict verdicts"
    if generations.reasons:
        counts = sorted(generations.reasons.items(), key=lambda item: (-item[1], item[0]))
        lines.append(", ".join(f"{reason} {count:,}" for reason, count in counts))
        undecided = undecided_in(generations.reasons)
        if num_undecided := sum(undecided.values()):
            lines.append(
                f"{num_undecided:,} answers of which nobody knows whether they are right are counted as not correct: "
                + ", ".join(f"{count:,} {why}" for why, count in undecided.items())
            )
    if generations.counted_from is not None:
        lines.append(f"counted from {generations.counted_from}")
    if generations.num_bad_lines:
        lines.append(f"{generations.num_bad_lines:,} bad lines left out (--skip_bad_lines)")
    return lines


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _points(share: float) -> str:
    text = f"{100 * share:+.1f}"
    return "0.0" if text[1:] == "0.0" else text
