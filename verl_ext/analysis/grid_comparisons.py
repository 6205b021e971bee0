"""Which cells of a study differ: at equal steps and at equal pass@1, paired by seed and problem.

Shapes: T = steps, S = seeds, P = problems, K = values of k.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import isnan, nan
from typing import NamedTuple

import numpy as np

from verl_ext.analysis.grid_pairs import CellPair, PrimaryPair, compared_cells, compared_values, elsewhere
from verl_ext.analysis.grid_scores import CellScores, GridScores
from verl_ext.metrics.crossed import CrossedMean, crossed_mean, detectable
from verl_ext.metrics.intervals import holm
from verl_ext.metrics.pass_at_k import FloatArray
from verl_ext.metrics.summary import PairedDifference

BASE = "base"


@dataclass(frozen=True, kw_only=True)
class SeedDifference(PairedDifference):
    """pass@k of ``name`` minus that of ``base``; interval and p are over seeds and problems (``metrics.crossed``)."""

    at: float
    """The step of both, or the pass@1 of both."""
    num_seeds: int
    degrees: float
    detectable: float
    """The smallest true difference that would be decided with a probability of 80 % (``metrics.crossed.detectable``); nan where
    nothing varies, and where nothing is to be decided."""
    is_primary: bool
    """Whether the study is about it. Else it is exploratory: in no correction (``p_holm`` is nan), and never decided."""


@dataclass(frozen=True, kw_only=True)
class NotReached:
    """A pair that cannot be compared at equal pass@1."""

    name: str
    base: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Comparisons:
    """Each list is a family for Holm, which is over its primary comparisons."""

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

    @property
    def primary(self) -> list[SeedDifference]:
        """Those that the study is about."""
        return [row for family in self.families for row in family if row.is_primary]

    @property
    def num_exploratory(self) -> int:
        return sum(map(len, self.families)) - len(self.primary)


def comparisons(scores: GridScores, primary: Sequence[PrimaryPair] = ()) -> Comparisons:
    """All comparisons of a study: at k = 1 and at the largest k, and at equal pass@1 at the largest k.

    Args:
        scores: Of the cells.
        primary: What the study is about; empty: all pairs. Each cell is compared with the base in any case.
    """
    ends = sorted({scores.ks[0], scores.ks[-1]})
    versus_base = [
        _Values(cell.at(scores.step)[:, :, column] - base.values_PK[:, column], cell.name, BASE, k, scores.step)
        for cell in scores.cells
        if (base := scores.bases.get(cell.model)) is not None
        for k, column in ((k, scores.ks.index(k)) for k in ends)
    ]
    pairs = compared_cells(scores.cells, primary)
    beside, between = ([pair for pair in pairs if pair.is_beside is wanted] for wanted in (True, False))
    found = [_at_equal_accuracy(pair, scores) for pair in (*between, *beside)] if len(ends) > 1 else []
    return Comparisons(
        versus_base=_family(versus_base),
        of_axes=_family([each for k in ends for each in _of_axes(scores, k, primary)]),
        between_cells=_family([_at_last_step(pair, k, scores) for pair in between for k in ends]),
        beside_the_grid=_family([_at_last_step(pair, k, scores) for pair in beside for k in ends]),
        at_equal_accuracy=_family([each for each in found if isinstance(each, _Values)]),
        not_reached=[each for each in found if isinstance(each, NotReached)],
    )


def _of_axes(scores: GridScores, k: int, primary: Sequence[PrimaryPair]) -> Iterator["_Values"]:
    """The differences between values of an axis, averaged over the places on the other axes where both have a cell."""
    in_grid = [cell for cell in scores.cells if cell.place]
    axes = list(dict.fromkeys(axis for cell in in_grid for axis in cell.place))
    column = scores.ks.index(k)
    for axis in axes if len(axes) > 1 else ():
        cell_at = {(cell.place[axis], elsewhere(cell, axis)): cell for cell in in_grid}
        for pair in compared_values(axis, in_grid, primary):
            places = [place for value, place in cell_at if value == pair.base and (pair.name, place) in cell_at]
            both = [(cell_at[pair.name, place], cell_at[pair.base, place]) for place in places]
            shared = (
                [seed for seed in both[0][0].seeds if all(seed in cell.seeds for pair in both for cell in pair)]
                if both
                else []
            )
            if shared:
                differences = [
                    _of_seeds(a, shared, a.at(scores.step)) - _of_seeds(b, shared, b.at(scores.step)) for a, b in both
                ]
                mean_SP = np.mean(differences, axis=0)[:, :, column]
                yield _Values(mean_SP, pair.name, pair.base, k, scores.step, pair.is_primary)


def _of_seeds(cell: CellScores, seeds: Sequence[str], values_S: FloatArray) -> FloatArray:
    found: FloatArray = values_S[[cell.seeds.index(seed) for seed in seeds]]
    return found


def _on_same_seeds(
    first: CellScores, second: CellScores, values_of: Callable[[CellScores], FloatArray]
) -> tuple[FloatArray, FloatArray]:
    """(S, P, ...) values of both, over the seeds that both have; over none if they share none."""
    shared = [seed for seed in first.seeds if seed in second.seeds]
    return _of_seeds(first, shared, values_of(first)), _of_seeds(second, shared, values_of(second))


def _at_last_step(pair: CellPair, k: int, scores: GridScores) -> "_Values":
    first, second = _on_same_seeds(pair.first, pair.second, lambda cell: cell.at(scores.step))
    column = scores.ks.index(k)
    return _Values((first - second)[:, :, column], pair.first.name, pair.second.name, k, scores.step, pair.is_primary)


class _Values(NamedTuple):
    """A comparison before those that it stands with are known."""

    differences_SP: FloatArray
    name: str
    base: str
    k: int
    at: float
    is_primary: bool = True


def _family(found: Sequence[_Values]) -> list[SeedDifference]:
    """With Holm over the primary ones that have a p."""
    means = [
        crossed_mean(each.differences_SP) if each.differences_SP.size else CrossedMean(*[nan] * 6) for each in found
    ]
    tested = [number for number, each in enumerate(found) if each.is_primary and not isnan(means[number].p_value)]
    corrected = dict(zip(tested, holm([means[number].p_value for number in tested]), strict=True))
    return [
        SeedDifference(
            name=each.name,
            base=each.base,
            k=each.k,
            difference=mean.mean,
            low=mean.low,
            high=mean.high,
            p_value=mean.p_value,
            p_holm=corrected.get(number, nan),
            num_problems=each.differences_SP.shape[1],
            num_different=int(np.count_nonzero(np.any(each.differences_SP, axis=0))),
            at=each.at,
            num_seeds=each.differences_SP.shape[0],
            degrees=mean.degrees,
            detectable=detectable(each.differences_SP, len(tested)) if number in corrected else nan,
            is_primary=each.is_primary,
        )
        for number, (each, mean) in enumerate(zip(found, means, strict=True))
    ]


def _at_equal_accuracy(pair: CellPair, scores: GridScores) -> _Values | NotReached:
    """At the largest pass@1 that every run of both cells reaches."""
    a, b = pair.first, pair.second
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
    return _Values(first - second, a.name, b.name, scores.ks[-1], level, pair.is_primary)


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


_ROUNDING = 1e-9
"""Of a mean: processors differ in its last digits, and 2 of 4 may be a little less than a half."""


def crossing(cell: CellScores, run: int, level: float) -> tuple[int, float]:
    """Where pass@1 of a run first crosses a level: the place of the validation after it, and how far towards that one."""
    accuracy_T = cell.means_TSK[:, run, 0]
    after = int(np.argmax(accuracy_T >= level - _ROUNDING))
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
    if reached(cell).min() < level - _ROUNDING:
        return AtLevel(name=cell.name, level=level, steps=(), pass_at_k=())
    steps = []
    for run in range(len(cell.seeds)):
        after, weight = crossing(cell, run, level)
        steps.append((1 - weight) * cell.steps[after - 1] + weight * cell.steps[after])
    values = at_accuracy(cell, level).mean(axis=1)
    return AtLevel(name=cell.name, level=level, steps=tuple(steps), pass_at_k=tuple(float(value) for value in values))
