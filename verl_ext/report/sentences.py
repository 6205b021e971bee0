"""What a family of comparisons decides, in a sentence, and the line of evidence behind each of its rows."""

from collections.abc import Mapping, Sequence
from math import isnan

from verl_ext.metrics.summary import PairedDifference
from verl_ext.report.findings import p_text, points

_MOST_NAMED = 4
"""So many pairs are named in a sentence; of more, the one with the largest difference."""


def against_the_base(rows: Sequence[PairedDifference], labels: Mapping[str, str], start: str) -> str:
    """Which are above the base and which below, for each k; empty where nothing is decided."""
    parts = []
    for k in sorted({row.k for row in rows}):
        for word, sign in (("higher", 1), ("lower", -1)):
            found = [row for row in rows if row.k == k and row.is_decided and row.difference * sign > 0]
            found.sort(key=lambda row: -abs(row.difference))
            shown = [f"{labels[row.name]} ({points(row.difference)})" for row in found[:_MOST_NAMED]]
            rest = [f"{len(found) - _MOST_NAMED} more"] if len(found) > _MOST_NAMED else []
            parts += [f"pass@{k} is {word} for {listed([*shown, *rest])}"] if found else []
    return f"{start}: {'; '.join(parts)}." if parts else ""


def between(rows: Sequence[PairedDifference], labels: Mapping[str, str], start: str) -> str:
    """Which of a family's pairs differ; empty where nothing is decided."""
    decided = sorted((row for row in rows if row.is_decided), key=lambda row: -abs(row.difference))
    if not decided:
        return ""
    if len(decided) <= 2:
        return f"{start}, {'; '.join(_pair(row, labels) for row in decided)}."
    return f"{start}, {len(decided)} of {len(rows)} differences are decided, the largest: {_pair(decided[0], labels)}."


def _pair(row: PairedDifference, labels: Mapping[str, str]) -> str:
    higher, lower = (row.name, row.base) if row.difference > 0 else (row.base, row.name)
    return f"{labels[higher]} has {100 * abs(row.difference):.1f} points more pass@{row.k} than {labels[lower]}"


def compatible(rows: Sequence[PairedDifference]) -> str:
    """How many comparisons are open, and how far their intervals reach; empty where all are decided."""
    open_ = [row for row in rows if not row.is_decided]
    if not open_:
        return ""
    reach = [max(abs(row.low), abs(row.high)) for row in open_ if not isnan(row.low)]
    said = f"{len(open_)} of {len(rows)} comparisons are not decided"
    if not reach:
        return f"{said}: one problem has no interval."
    furthest = 100 * max(reach)
    size = "less than 0.1" if furthest < 0.05 else f"up to {furthest:.1f}"
    return f"{said}: what was seen leaves room for differences of {size} points."


def evidence_of(row: PairedDifference, label: str) -> str:
    """The numbers of a comparison."""
    seen = "one problem, so no interval" if isnan(row.low) else f"95 % interval {points(row.low)} to {points(row.high)}"
    if row.num_different == 0 and row.num_problems > 1:
        return f"{label}, pass@{row.k}: the same on each of the {row.num_problems:,} problems ({seen})."
    p = "" if isnan(row.p_holm) else f", corrected p {p_text(row.p_holm)}"
    return f"{label}, pass@{row.k}: {points(row.difference)} points ({seen}{p})."


def listed(words: Sequence[str]) -> str:
    """a, b and c."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def range_text(low: int, high: int) -> str:
    """One number, or two that others are between."""
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
