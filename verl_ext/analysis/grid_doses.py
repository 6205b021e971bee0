"""The axes of a study that are numbers, such as lambda or a rate of flipped verdicts, read from the names of their values.

``lambda_0.1`` is 0.1 of lambda and ``false_wrong_5`` 5 of "false wrong". A value of the axis that sets no option, such as an exact
grader among noisy ones, is 0 of each.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from verl_ext.analysis.grid_pairs import elsewhere
from verl_ext.analysis.grid_scores import CellScores

_NUMBERED = re.compile(r"(.+?)_([0-9.]+(?:e[+-]?[0-9]+)?)")


@dataclass(frozen=True, kw_only=True)
class DoseAxis:
    """What runs differ in by a number."""

    axis: str
    dose: str
    """What the number is of."""
    lines: Mapping[str, Mapping[float, CellScores]]
    """The other values of the cells, joined -> number -> cell."""
    asides: tuple[CellScores, ...]
    """Runs beside the grid."""


def dose_axes(cells: Sequence[CellScores]) -> list[DoseAxis]:
    """The numbered axes; of one axis several where its values are numbers of several things. Those of one number are none."""
    in_grid = [cell for cell in cells if cell.place]
    beside = tuple(cell for cell in cells if not cell.place)
    found = []
    for axis in dict.fromkeys(axis for cell in in_grid for axis in cell.place):
        values = list(dict.fromkeys(cell.place[axis] for cell in in_grid))
        numbered = {value: _number(value) for value in values}
        unnumbered = [value for value, pair in numbered.items() if pair is None]
        zero = unnumbered[0] if len(unnumbered) == 1 and _sets_nothing(axis, unnumbered[0], in_grid) else None
        for dose in dict.fromkeys(pair[0] for pair in numbered.values() if pair is not None):
            number_of = {value: pair[1] for value, pair in numbered.items() if pair is not None and pair[0] == dose}
            if zero is not None:
                number_of[zero] = 0.0
            if len(number_of) > 1:
                lines = _lines(axis, number_of, in_grid)
                found.append(DoseAxis(axis=axis, dose=dose.replace("_", " "), lines=lines, asides=beside))
    return found


def _number(value: str) -> tuple[str, float] | None:
    match = _NUMBERED.fullmatch(value)
    try:
        return None if match is None else (match[1], float(match[2]))
    except ValueError:  # 1.2.3
        return None


def _sets_nothing(axis: str, value: str, cells: Sequence[CellScores]) -> bool:
    """Whether the cells with a value of an axis have no option that all cells beside them on the axis have not as well."""
    for cell in (cell for cell in cells if cell.place[axis] == value):
        around = [other for other in cells if elsewhere(other, axis) == elsewhere(cell, axis)]
        if not all(set(cell.options.items()) <= set(other.options.items()) for other in around):
            return False
    return True


def _lines(
    axis: str, number_of: Mapping[str, float], cells: Sequence[CellScores]
) -> dict[str, dict[float, CellScores]]:
    lines: dict[str, dict[float, CellScores]] = {}
    for cell in cells:
        number = number_of.get(cell.place[axis])
        if number is not None:
            lines.setdefault(", ".join(elsewhere(cell, axis)) or cell.objective, {})[number] = cell
    return {name: dict(sorted(line.items())) for name, line in lines.items()}
