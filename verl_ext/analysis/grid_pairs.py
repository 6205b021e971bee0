"""Which cells of a study are compared, and which of the comparisons the study is about."""

from collections.abc import Iterator, Sequence
from itertools import combinations, permutations
from typing import NamedTuple

from verl_ext.analysis.grid_scores import CellScores

_FEW_VALUES = 5
"""Of an axis: more would make more pairs than anybody asks about."""


class PrimaryPair(NamedTuple):
    """A comparison that a study is about: ``name`` minus ``base``."""

    name: str
    base: str
    axis: str | None
    """Of which both are values; None: both are cells."""


class CellPair(NamedTuple):
    """Two cells that are compared: ``first`` minus ``second``."""

    first: CellScores
    second: CellScores
    is_primary: bool

    @property
    def is_beside(self) -> bool:
        """Whether just one of the two is in the grid."""
        return bool(self.first.place) != bool(self.second.place)


class ValuePair(NamedTuple):
    """Two values of an axis that are compared: ``name`` minus ``base``."""

    name: str
    base: str
    is_primary: bool


def compared_cells(cells: Sequence[CellScores], primary: Sequence[PrimaryPair]) -> list[CellPair]:
    """The pairs that a study is about, as it names them, and then all others; without ``primary`` it is about all.

    A pair of values stands for all cells that differ in these values of the axis alone.
    """
    named = [pair for each in primary for pair in _cells_of(each, cells)]
    known = {frozenset((first.name, second.name)) for first, second in named}
    others = [
        (first, second)
        for first, second in (*pairs_of(cells), *pairs_beside(cells))
        if frozenset((first.name, second.name)) not in known
    ]
    return [
        *(CellPair(first, second, is_primary=True) for first, second in named),
        *(CellPair(first, second, is_primary=not primary) for first, second in others),
    ]


def compared_values(axis: str, in_grid: Sequence[CellScores], primary: Sequence[PrimaryPair]) -> list[ValuePair]:
    """The same of the values of an axis."""
    named = [(each.name, each.base) for each in primary if each.axis == axis]
    known = {frozenset(pair) for pair in named}
    others = [(later, earlier) for earlier, later in pairs_of_values(axis, in_grid) if {earlier, later} not in known]
    return [
        *(ValuePair(name, base, is_primary=True) for name, base in named),
        *(ValuePair(name, base, is_primary=not primary) for name, base in others),
    ]


def _cells_of(pair: PrimaryPair, cells: Sequence[CellScores]) -> list[tuple[CellScores, CellScores]]:
    """The pairs of cells that there are of it: a study may be looked at before all its runs are finished."""
    return [(first, second) for first, second in permutations(cells, 2) if _is_of(pair, first, second)]


def _is_of(pair: PrimaryPair, first: CellScores, second: CellScores) -> bool:
    axis = pair.axis
    if axis is None:
        return (first.name, second.name) == (pair.name, pair.base)
    has_values = (first.place.get(axis), second.place.get(axis)) == (pair.name, pair.base)
    return has_values and elsewhere(first, axis) == elsewhere(second, axis)


def is_of_objectives(axis: str, cells: Sequence[CellScores]) -> bool:
    """Whether an axis of the grid is one of objectives: each of its values has one, and they differ."""
    by_value: dict[str, set[str]] = {}
    for cell in cells:
        if axis in cell.place:
            by_value.setdefault(cell.place[axis], set()).add(cell.objective)
    return all(len(found) == 1 for found in by_value.values()) and len(set().union(*by_value.values())) > 1


def pairs_of(cells: Sequence[CellScores]) -> Iterator[tuple[CellScores, CellScores]]:
    """The pairs that are compared, axis by axis: (the later, the earlier) cells that differ on this axis of the grid only.

    All of them on an axis of objectives or of few values, each value with the first on another. Without a grid all pairs of runs.
    """
    in_grid = [cell for cell in cells if cell.place]
    for axis in dict.fromkeys(axis for cell in in_grid for axis in cell.place):
        for pair in pairs_of_values(axis, in_grid):
            for earlier, later in combinations(in_grid, 2):
                if (earlier.place[axis], later.place[axis]) == pair and elsewhere(earlier, axis) == elsewhere(
                    later, axis
                ):
                    yield later, earlier
    if not in_grid:
        yield from ((later, earlier) for earlier, later in combinations(cells, 2))


def pairs_beside(cells: Sequence[CellScores]) -> Iterator[tuple[CellScores, CellScores]]:
    """Each run beside the grid with the cells of the grid whose options are most like its own."""
    in_grid = [cell for cell in cells if cell.place]
    for beside in (cell for cell in cells if not cell.place):
        apart = [len(dict(beside.options.items() ^ cell.options.items())) for cell in in_grid]
        yield from ((beside, cell) for cell, number in zip(in_grid, apart, strict=True) if number == min(apart))


def pairs_of_values(axis: str, in_grid: Sequence[CellScores]) -> list[tuple[str, str]]:
    """(Earlier, later) values of an axis: all pairs of objectives or of few values, else the first with each other."""
    values = list(dict.fromkeys(cell.place[axis] for cell in in_grid))
    pairs = list(combinations(values, 2))
    is_all = is_of_objectives(axis, in_grid) or len(values) <= _FEW_VALUES
    return pairs if is_all else [pair for pair in pairs if pair[0] == values[0]]


def elsewhere(cell: CellScores, axis: str) -> tuple[str, ...]:
    """The values of a cell on the other axes."""
    return tuple(value for name, value in cell.place.items() if name != axis)
