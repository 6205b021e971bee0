"""How the cells of a study are drawn: the color of their objective, shades and markers along one axis, lines along another."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from matplotlib.colors import to_hex, to_rgb

from verl_ext.analysis.grid_comparisons import SeedDifference
from verl_ext.analysis.grid_pairs import is_of_objectives
from verl_ext.analysis.grid_scores import CellScores
from verl_ext.plots.style import LineStyle, Style, known_style, style_by_name

_LINES: tuple[LineStyle, ...] = ("-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (5, 1, 1, 1)))
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "p", "h")
_LIGHTEST, _DARKEST = 0.4, 0.5
"""How much white the first value of an axis gets, and how much black the last."""
_TOGETHER = 8
"""So many cells share an axes."""
BESIDE = "beside the grid"


def value_label(value: str) -> str:
    """The name of a value of an axis as a reader knows it."""
    style = known_style(value)
    if style is not None:
        return style.label
    return re.sub(r"^lambda(_|$)", lambda match: "λ = " if match[1] else "λ", value).replace("_", " ")


def cell_label(cell: CellScores) -> str:
    """The values of a cell on its axes; the parts of its name where it is beside the grid."""
    parts = list(cell.place.values()) or ([cell.name] if known_style(cell.name) else cell.name.split("-"))
    return ", ".join(map(value_label, parts))


def pair_label(first: CellScores, second: CellScores) -> str:
    """A difference of two cells, what they share only once: PSR − NSR (exact)."""
    differing = [axis for axis in first.place if first.place[axis] != second.place.get(axis)]
    if not second.place or not differing:
        return f"{cell_label(first)} \N{MINUS SIGN} {cell_label(second)}"
    sides = [", ".join(value_label(cell.place[axis]) for axis in differing) for cell in (first, second)]
    shared = [value_label(value) for axis, value in first.place.items() if axis not in differing]
    return f"{sides[0]} \N{MINUS SIGN} {sides[1]}" + (f" ({', '.join(shared)})" if shared else "")


def row_label(row: SeedDifference, cells: Sequence[CellScores]) -> str:
    """A comparison of two cells, of a cell with the base, or of two values of an axis."""
    of = {cell.name: cell for cell in cells}
    if row.name in of and row.base in of:
        return pair_label(of[row.name], of[row.base])
    sides = [cell_label(of[name]) if name in of else value_label(name) for name in (row.name, row.base)]
    return f"{sides[0]} \N{MINUS SIGN} {sides[1]}"


def cell_styles(cells: Sequence[CellScores]) -> dict[str, Style]:
    """Name of each cell -> its style, the same in every figure of a study; the axis of ``facets`` needs none."""
    of_objective = style_by_name(list(dict.fromkeys(cell.objective for cell in cells)))
    axes = list(dict.fromkeys(axis for cell in cells for axis in cell.place))
    axes = axes[1:] if _is_split_by_axis(cells) else axes
    values = {
        axis: found
        for axis in axes
        if len(found := list(dict.fromkeys(cell.place[axis] for cell in cells if cell.place))) > 1
        and not is_of_objectives(axis, cells)
    }
    return {
        cell.name: replace(_varied(of_objective[cell.objective], cell, values, cells), label=cell_label(cell))
        for cell in cells
    }


def _varied(style: Style, cell: CellScores, values: dict[str, list[str]], cells: Sequence[CellScores]) -> Style:
    if not cell.place:
        is_alone = sum(other.objective == cell.objective for other in cells) == 1
        return style if is_alone else replace(style, line=":", marker="X")
    for number, (axis, found) in enumerate(values.items()):
        place = found.index(cell.place[axis])
        if number == 0:
            marker = _MARKERS[place % len(_MARKERS)]
            style = replace(style, color=_shade(style.color, place / (len(found) - 1)), marker=marker)
        elif number == 1:
            style = replace(style, line=_LINES[place % len(_LINES)])
        else:
            style = replace(style, marker=_MARKERS[(_MARKERS.index(style.marker) + 3 * place) % len(_MARKERS)])
    return style


def _shade(color: str, share: float) -> str:
    """From light to dark, the color itself in the middle."""
    towards, amount = (1.0, _LIGHTEST * (1 - 2 * share)) if share < 0.5 else (0.0, _DARKEST * (2 * share - 1))
    red, green, blue = ((1 - amount) * part + amount * towards for part in to_rgb(color))
    return to_hex((red, green, blue))


def _is_split_by_axis(cells: Sequence[CellScores]) -> bool:
    return len(cells) > _TOGETHER and max(len(cell.place) for cell in cells) > 1


class Facet(NamedTuple):
    """Cells that are drawn into one axes."""

    title: str
    cells: list[CellScores]

    def label(self, cell: CellScores) -> str:
        """Of a cell, without what the title says."""
        found = [label for label in cell_label(cell).split(", ") if label != self.title]
        return ", ".join(found) or self.title


def facets(cells: Sequence[CellScores]) -> list[Facet]:
    """All cells together where they are few, else by the values of the grid's first axis, else in rows of equal length.

    A run beside the grid is with the cells of its objective, where these are one facet's.
    """
    if len(cells) <= _TOGETHER:
        return [Facet("", list(cells))]
    if not _is_split_by_axis(cells):
        num_rows = -(-len(cells) // _TOGETHER)
        size = -(-len(cells) // num_rows)
        return [Facet("", list(cells[start : start + size])) for start in range(0, len(cells), size)]
    in_grid = [cell for cell in cells if cell.place]
    first = next(iter(in_grid[0].place))
    by_value: dict[str, list[CellScores]] = {}
    for cell in in_grid:
        by_value.setdefault(cell.place[first], []).append(cell)
    for cell in cells:
        if not cell.place:
            own = [value for value, found in by_value.items() if {each.objective for each in found} == {cell.objective}]
            by_value.setdefault(own[0] if len(own) == 1 else BESIDE, []).append(cell)
    return [Facet(value_label(value), found) for value, found in by_value.items()]
