"""What a study over seeds and problems decides and what it does not, in at most five sentences."""

from collections.abc import Mapping, Sequence
from math import isnan
from typing import NamedTuple

from verl_ext.analysis.grid_comparisons import Comparisons, SeedDifference
from verl_ext.report.sentences import against_the_base, between


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
        against_the_base(compared.versus_base, labels, _at_step(compared.versus_base)),
        between(_primary(compared.of_axes), labels, "Averaged over the other axes"),
        between(_primary([*compared.between_cells, *compared.beside_the_grid]), labels, "Between each other"),
        between(_primary(compared.at_equal_accuracy), labels, "At equal pass@1"),
    ]
    decided = [sentence for sentence in sentences if sentence]
    return GridFindings(decided or ["Nothing is decided."], _undecided(compared))


def _primary(rows: Sequence[SeedDifference]) -> list[SeedDifference]:
    return [row for row in rows if row.is_primary]


def _at_step(rows: Sequence[SeedDifference]) -> str:
    return f"In points against the base at step {rows[0].at:.0f}" if rows else ""


def _undecided(compared: Comparisons) -> str:
    rows = compared.primary
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
    named = " that the study names" if compared.num_exploratory else ""
    said = f"{len(open_)} of {len(rows)} comparisons{named} are not decided"
    if not seen:
        return f"{said}, and nothing in them varies that would tell what they could have seen."
    return f"{said}: corrected for their number, one of them misses a true difference of {' and '.join(seen)} one time in five."
