"""Which cells of a study differ: at equal steps and at equal pass@1, paired by seed and problem.

Shapes: T = steps, S = seeds, P = problems, K = values of k.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import isnan

import numpy as np

from verl_ext.analysis.grid_scores import CellScores, GridScores
from verl_ext.metrics.crossed import CrossedMean, crossed_mean
from verl_ext.metrics.intervals import holm
from verl_ext.metrics.pass_at_k import FloatArray
from verl_ext.metrics.summary import PairedDifference

BASE = "base"
_FEW_VALUES = 5
"""Of an axis: more would make more pairs than anybody asks about."""


@dataclass(frozen=True, kw_only=True)
class SeedDifference(PairedDifference):
    """pass@k of ``name`` minus that of ``base``; interval and p are over seeds and problems (``metrics.crossed``)."""

    at: float
    """The step of both, or the pass@1 of both."""
    num_seeds: int
    degrees: float
    detectable: float
    """The smallest true difference that would be found with a probability of 80 %; nan where nothing varies."""


@dataclass(frozen=True, kw_only=True)
class NotReached:
    """A pair that cannot be compared at equal pass@1."""

    name: str
    base: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Comparisons:
    """Each list is a family for Holm."""

    versus_base: list[SeedDifference]
    of_axes: list[SeedDifference]
    """Between the values of an axis, each averaged over the grid's other axes; of a grid of one axis there are none."""
    between_cells: list[SeedDifference]
    beside_the_grid: list[SeedDifference]
    """Of the runs beside the grid from the cells that are most like them."""
    at_equal_accuracy: list[SeedDifference]
    not_reached: list[NotReached]

    @property
    def families(self) -> tuple[list[SeedDifference], ...]:
        return self.versus_base, self.of_axes, self.between_cells, self.beside_the_grid, self.at_equal_accuracy


def comparisons(scores: GridScores) -> Comparisons:
    """All comparisons of a study: at k = 1 and at the largest k, and at equal pass@1 at the largest k."""
    ends = sorted({scores.ks[0], scores.ks[-1]})
    versus_base = [
        _difference(cell.at(scores.step)[:, :, column] - base.values_PK[:, column], cell.name, BASE, k, scores.step)
        for cell in scores.cells
        if (base := scores.bases.get(cell.model)) is not None
        for k, column in ((k, scores.ks.index(k)) for k in ends)
    ]
    pairs, beside = list(pairs_of(scores.cells)), list(pairs_beside(scores.cells))
    found = [_at_equal_accuracy(a, b, scores) for a, b in (*pairs, *beside)] if len(ends) > 1 else []
    return Comparisons(
        versus_base=_corrected(versus_base),
        of_axes=_corrected([each for k in ends for each in _of_axes(scores, k)]),
        between_cells=_corrected([_at_last_step(a, b, k, scores) for a, b in pairs for k in ends]),
        beside_the_grid=_corrected([_at_last_step(a, b, k, scores) for a, b in beside for k in ends]),
        at_equal_accuracy=_corrected([each for each in found if isinstance(each, SeedDifference)]),
        not_reached=[each for each in found if isinstance(each, NotReached)],
    )


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


def _of_axes(scores: GridScores, k: int) -> Iterator[SeedDifference]:
    """The differences between values of an axis, averaged over the places on the other axes where both have a cell."""
    in_grid = [cell for cell in scores.cells if cell.place]
    axes = list(dict.fromkeys(axis for cell in in_grid for axis in cell.place))
    column = scores.ks.index(k)
    for axis in axes if len(axes) > 1 else ():
        cell_at = {(cell.place[axis], elsewhere(cell, axis)): cell for cell in in_grid}
        for earlier, later in pairs_of_values(axis, in_grid):
            places = [place for value, place in cell_at if value == earlier and (later, place) in cell_at]
            both = [(cell_at[later, place], cell_at[earlier, place]) for place in places]
            shared = (
                [seed for seed in both[0][0].seeds if all(seed in cell.seeds for pair in both for cell in pair)]
                if both
                else []
            )
            if shared:
                differences = [
                    _of_seeds(a, shared, a.at(scores.step)) - _of_seeds(b, shared, b.at(scores.step)) for a, b in both
                ]
                yield _difference(np.mean(differences, axis=0)[:, :, column], later, earlier, k, scores.step)


def _of_seeds(cell: CellScores, seeds: Sequence[str], values_S: FloatArray) -> FloatArray:
    found: FloatArray = values_S[[cell.seeds.index(seed) for seed in seeds]]
    return found


def _on_same_seeds(
    first: CellScores, second: CellScores, values_of: Callable[[CellScores], FloatArray]
) -> tuple[FloatArray, FloatArray]:
    """(S, P, ...) values of both, over the seeds that both have; over none if they share none."""
    shared = [seed for seed in first.seeds if seed in second.seeds]
    return _of_seeds(first, shared, values_of(first)), _of_seeds(second, shared, values_of(second))


def _at_last_step(a: CellScores, b: CellScores, k: int, scores: GridScores) -> SeedDifference:
    first, second = _on_same_seeds(a, b, lambda cell: cell.at(scores.step))
    return _difference((first - second)[:, :, scores.ks.index(k)], a.name, b.name, k, scores.step)


def _difference(differences_SP: FloatArray, name: str, base: str, k: int, at: float) -> SeedDifference:
    found = crossed_mean(differences_SP) if differences_SP.size else CrossedMean(*[float("nan")] * 7)
    return SeedDifference(
        name=name,
        base=base,
        k=k,
        difference=found.mean,
        low=found.low,
        high=found.high,
        p_value=found.p_value,
        p_holm=found.p_value,
        num_problems=differences_SP.shape[1],
        num_different=int(np.count_nonzero(np.any(differences_SP, axis=0))),
        at=at,
        num_seeds=differences_SP.shape[0],
        degrees=found.degrees,
        detectable=found.detectable,
    )


def _corrected(family: Sequence[SeedDifference]) -> list[SeedDifference]:
    """With Holm over those that have a p."""
    known = [each for each in family if not isnan(each.p_value)]
    adjusted = dict(zip(map(id, known), holm([each.p_value for each in known]), strict=True))
    return [replace(each, p_holm=adjusted.get(id(each), each.p_holm)) for each in family]


def _at_equal_accuracy(a: CellScores, b: CellScores, scores: GridScores) -> SeedDifference | NotReached:
    """At the largest pass@1 that every run of both cells reaches."""
    level = min(reached(a).min(), reached(b).min())
    for cell in (a, b):
        starts_S = cell.means_TSK[0, :, 0]
        if level <= starts_S.max():
            slowest = a if reached(a).min() <= reached(b).min() else b
            seed = slowest.seeds[int(reached(slowest).argmin())]
            run = "-".join(part for part in (slowest.name, seed) if part)
            return NotReached(
                name=a.name,
                base=b.name,
                why=f"pass@1 of {run} is never above {100 * level:.1f} %, and {cell.name} starts at "
                f"{100 * starts_S.max():.1f} %",
            )
    first, second = _on_same_seeds(a, b, lambda cell: at_accuracy(cell, level))
    return _difference(first - second, a.name, b.name, scores.ks[-1], level)


def reached(cell: CellScores) -> FloatArray:
    """(S,) the largest pass@1 of each run."""
    largest: FloatArray = cell.means_TSK[:, :, 0].max(axis=0)
    return largest


def at_accuracy(cell: CellScores, level: float) -> FloatArray:
    """pass@k at the largest k where pass@1 of each run first crosses ``level``, between validations by a straight line.

    Where a run crosses depends on the problems that were drawn. So each problem's value is corrected for what it says about
    pass@1 there (the delta method): other problems with a higher pass@1 would have had the run cross earlier. The mean over
    problems stays what was interpolated.

    Args:
        cell: Every run of it reaches the level, after its first step.
        level: A share in [0, 1].

    Returns:
        (S, P).
    """
    rows = []
    for run in range(len(cell.seeds)):
        after, weight = crossing(cell, run, level)
        before_PK, after_PK = cell.values_TSPK[after - 1, run], cell.values_TSPK[after, run]
        here_PK = (1 - weight) * before_PK + weight * after_PK
        rise_K = after_PK.mean(axis=0) - before_PK.mean(axis=0)
        rows.append(here_PK[:, -1] - rise_K[-1] / rise_K[0] * (here_PK[:, 0] - level))
    return np.array(rows)


def crossing(cell: CellScores, run: int, level: float) -> tuple[int, float]:
    """Where pass@1 of a run first crosses a level: the place of the validation after it, and how far towards that one."""
    accuracy_T = cell.means_TSK[:, run, 0]
    after = int(np.argmax(accuracy_T >= level))
    assert after > 0, "the run starts above the level, or never reaches it"
    before = accuracy_T[after - 1]
    return after, float((level - before) / (accuracy_T[after] - before))


@dataclass(frozen=True, kw_only=True)
class AtLevel:
    """The runs of a cell where their pass@1 first crosses a level."""

    name: str
    level: float
    steps: tuple[float, ...]
    """Of each seed; empty where not all reach the level."""
    pass_at_k: tuple[float, ...]
    """Of each seed, at the largest k."""


def at_common_levels(scores: GridScores, num_levels: int = 4) -> list[AtLevel]:
    """Every cell at evenly spaced levels of pass@1, from above where all start to the largest that all seeds of a cell reach."""
    start = max(float(cell.means_TSK[0, :, 0].max()) for cell in scores.cells)
    best = max(float(reached(cell).min()) for cell in scores.cells)
    if best <= start or len(scores.ks) == 1:
        return []
    levels = [start + (best - start) * number / num_levels for number in range(1, num_levels)] + [best]
    return [_at_level(cell, level) for cell in scores.cells for level in levels]


def _at_level(cell: CellScores, level: float) -> AtLevel:
    if reached(cell).min() < level:
        return AtLevel(name=cell.name, level=level, steps=(), pass_at_k=())
    steps = []
    for run in range(len(cell.seeds)):
        after, weight = crossing(cell, run, level)
        steps.append((1 - weight) * cell.steps[after - 1] + weight * cell.steps[after])
    values = at_accuracy(cell, level).mean(axis=1)
    return AtLevel(name=cell.name, level=level, steps=tuple(steps), pass_at_k=tuple(float(value) for value in values))
