"""What a study over seeds and problems decides and what it does not, in at most five sentences."""

from collections.abc import Mapping, Sequence
from math import isnan
from typing import NamedTuple

from verl_ext.analysis.grid_comparisons import Comparisons, SeedDifference
from verl_ext.report.findings import points

_MOST_NAMED = 4
"""So many pairs are named in a sentence; of more, the one with the largest difference."""


class GridFindings(NamedTuple):
    """Sentences."""

    decided: list[str]
    undecided: str
    """Empty where everything is decided."""


def grid_findings(compared: Comparisons, labels: Mapping[str, str]) -> GridFindings:
    """Sum up the comparisons.

    Args:
        compared: The families.
        labels: Name of a cell -> what a reader calls it.
    """
    sentences = [
        _against_the_base(compared.versus_base, labels),
        _between(compared.of_axes, labels, "Averaged over the other axes"),
        _between([*compared.between_cells, *compared.beside_the_grid], labels, "Between each other"),
        _between(compared.at_equal_accuracy, labels, "At equal pass@1"),
    ]
    decided = [sentence for sentence in sentences if sentence]
    return GridFindings(decided or ["Nothing is decided."], _undecided(compared))


def _against_the_base(rows: Sequence[SeedDifference], labels: Mapping[str, str]) -> str:
    parts = []
    for k in sorted({row.k for row in rows}):
        for word, sign in (("higher", 1), ("lower", -1)):
            found = [row for row in rows if row.k == k and row.is_decided and row.difference * sign > 0]
            found.sort(key=lambda row: -abs(row.difference))
            shown = [f"{labels[row.name]} ({points(row.difference)})" for row in found[:_MOST_NAMED]]
            rest = [f"{len(found) - _MOST_NAMED} more"] if len(found) > _MOST_NAMED else []
            parts += [f"pass@{k} is {word} for {listed([*shown, *rest])}"] if found else []
    return f"In points against the base at step {rows[0].at:.0f}: {'; '.join(parts)}." if parts else ""


def _between(rows: Sequence[SeedDifference], labels: Mapping[str, str], start: str) -> str:
    decided = sorted((row for row in rows if row.is_decided), key=lambda row: -abs(row.difference))
    if not decided:
        return ""
    if len(decided) <= 2:
        return f"{start}, {'; '.join(_pair(row, labels) for row in decided)}."
    return f"{start}, {len(decided)} of {len(rows)} differences are decided, the largest: {_pair(decided[0], labels)}."


def _pair(row: SeedDifference, labels: Mapping[str, str]) -> str:
    higher, lower = (row.name, row.base) if row.difference > 0 else (row.base, row.name)
    return f"{labels[higher]} has {100 * abs(row.difference):.1f} points more pass@{row.k} than {labels[lower]}"


def _undecided(compared: Comparisons) -> str:
    rows = [row for family in compared.families for row in family]
    open_ = [row for row in rows if not row.is_decided]
    if not open_:
        return ""
    known = [row for row in open_ if not isnan(row.detectable)]
    seen = [
        f"up to {100 * max(row.detectable for row in found):.1f} points at {where}"
        for where, found in (
            ("equal steps", [row for row in known if row not in compared.at_equal_accuracy]),
            ("equal pass@1", [row for row in known if row in compared.at_equal_accuracy]),
        )
        if found
    ]
    said = f"{len(open_)} of {len(rows)} comparisons are not decided"
    if not seen:
        return f"{said}, and nothing in them varies that would tell what they could have seen."
    return f"{said}: one of them could have missed a true difference of {' and '.join(seen)}."


def listed(words: Sequence[str]) -> str:
    """a, b and c."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
