"""What the validations of a grid of runs say together: pass@k of each cell over its seeds, and of the base, step by step.

A cell is a run of the grid without its seed. Shapes: T = steps, S = seeds, P = problems, K = values of k.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from verl_ext.metrics.crossed import CrossedMean, crossed_share
from verl_ext.metrics.pass_at_k import FloatArray, pass_at_k_table, powers_of_two_up_to
from verl_ext.metrics.validations import ValidationCounts, Validations, pooled

START = 0
"""The step of the validation before training, which is of the base."""


@dataclass(frozen=True, kw_only=True)
class CellRuns:
    """The finished runs of a cell."""

    name: str
    objective: str
    place: Mapping[str, str]
    """Axis -> value, without the seed; empty for one beside the grid."""
    options: Mapping[str, str]
    """What sets it apart from other cells."""
    model: str
    """What it was trained from and how that was asked: cells of one model have one base."""
    runs: Mapping[str, Validations]
    """Seed -> its validations; one of the name "" where the study has no seeds."""


@dataclass(frozen=True, kw_only=True)
class BaseScores:
    """A model before training, from the first validations of the runs that start from it."""

    values_PK: FloatArray
    first: ValidationCounts
    """Of one validation, with as many samples as a run has."""
    num_draws: int
    """Validations that it is from. Runs of one seed draw the same answers, which count once."""


@dataclass(frozen=True, kw_only=True)
class CellScores:
    """A cell at the steps that all its runs have validated."""

    name: str
    objective: str
    place: Mapping[str, str]
    options: Mapping[str, str]
    model: str
    seeds: tuple[str, ...]
    steps: tuple[int, ...]
    """The base's first, if there is one."""
    values_TSPK: FloatArray
    counts_S: tuple[ValidationCounts, ...]
    """Of the last step of the study, for each seed."""

    @cached_property
    def means_TSK(self) -> FloatArray:
        means: FloatArray = self.values_TSPK.mean(axis=2)
        return means

    def at(self, step: int) -> FloatArray:
        """(S, P, K) of a step."""
        values: FloatArray = self.values_TSPK[self.steps.index(step)]
        return values


@dataclass(frozen=True, kw_only=True)
class GridScores:
    """The cells of a study, on the same problems."""

    ks: tuple[int, ...]
    num_problems: int
    num_samples: int
    """Of a problem at the last step, or of a base in all: the fewest."""
    step: int
    """The last that all runs have validated: where cells are compared at equal steps."""
    bases: Mapping[str, BaseScores]
    """Model -> its scores; without the models that no run has validated before training."""
    cells: tuple[CellScores, ...]

    def interval(self, cell: CellScores, k: int) -> CrossedMean:
        """pass@k at the last step, for other seeds and problems."""
        return crossed_share(cell.at(self.step)[:, :, self.ks.index(k)])

    def base_interval(self, model: str, k: int) -> CrossedMean:
        """pass@k of a base, for other problems: it has no seed."""
        return crossed_share(self.bases[model].values_PK[None, :, self.ks.index(k)])


def grid_scores(cells: Sequence[CellRuns]) -> GridScores:
    """Score the cells of a study, for k up to the samples that every problem has at the last step and of its base.

    A step with fewer samples, such as one that was validated in passing while others were evaluated with more, is left out.

    Raises:
        ValueError: There is no cell; runs have different numbers of problems; a problem has no sample; or no step was
            validated by all runs.
    """
    if not cells:
        raise ValueError("There is no finished run to score.")
    runs = {_run_name(cell.name, seed): steps for cell in cells for seed, steps in cell.runs.items()}
    _check_problems(runs)
    step = _last_step(runs)
    by_model: dict[str, list[CellRuns]] = {}
    for cell in cells:
        by_model.setdefault(cell.model, []).append(cell)
    drawn = {model: found for model, group in by_model.items() if (found := _draws_of_base(group))}
    compared = [*(steps[step] for steps in runs.values()), *map(pooled, drawn.values())]
    num_samples = min(counts.fewest for counts in compared)
    if num_samples < 1:
        raise ValueError(
            "A problem has no graded sample in some validation, so that there is no pass@1 of all problems."
        )
    ks = tuple(powers_of_two_up_to(num_samples))
    bases = {
        model: BaseScores(values_PK=_table(pooled(found), ks), first=found[0], num_draws=len(found))
        for model, found in drawn.items()
    }
    return GridScores(
        ks=ks,
        num_problems=len(compared[0].num_samples_P),
        num_samples=num_samples,
        step=step,
        bases=bases,
        cells=tuple(_scores(cell, bases.get(cell.model), ks, step) for cell in cells),
    )


def _run_name(cell: str, seed: str) -> str:
    return "-".join(part for part in (cell, seed) if part)


def _check_problems(runs: Mapping[str, Validations]) -> None:
    sizes = {name: len(next(iter(steps.values())).num_samples_P) for name, steps in runs.items()}
    for (first, expected), (name, size) in pairwise(sizes.items()):
        if size != expected:
            raise ValueError(
                f"{name} was validated on {size:,} problems and {first} on {expected:,}. Runs of one study are compared "
                "problem by problem: make them with the same data.val_files."
            )


def _last_step(runs: Mapping[str, Validations]) -> int:
    shared = set.intersection(*(set(steps) - {START} for steps in runs.values()))
    if not shared:
        said = "; ".join(f"{name}: {', '.join(map(str, steps))}" for name, steps in list(runs.items())[:3])
        raise ValueError(
            f"No step after the start was validated by all runs ({said}). Make them with the same trainer.test_freq."
        )
    return max(shared)


def _draws_of_base(cells: Sequence[CellRuns]) -> list[ValidationCounts]:
    """What was drawn from a model before training. With one seed vLLM gives the same answers again, which are no news."""
    drawn: list[ValidationCounts] = []
    for counts in (steps[START] for cell in cells for steps in cell.runs.values() if START in steps):
        if not any(counts.is_same_as(other) for other in drawn):
            drawn.append(counts)
    return drawn


def _scores(cell: CellRuns, base: BaseScores | None, ks: Sequence[int], last: int) -> CellScores:
    enough = [{step for step, counts in steps.items() if counts.fewest >= ks[-1]} for steps in cell.runs.values()]
    steps = sorted(set.intersection(*enough) - {START})
    tables = [[_table(validations[step], ks) for validations in cell.runs.values()] for step in steps]
    if base is not None:
        tables.insert(0, [base.values_PK] * len(cell.runs))
    return CellScores(
        name=cell.name,
        objective=cell.objective,
        place=cell.place,
        options=cell.options,
        model=cell.model,
        seeds=tuple(cell.runs),
        steps=(*([START] if base is not None else []), *steps),
        values_TSPK=np.array(tables),
        counts_S=tuple(validations[last] for validations in cell.runs.values()),
    )


def _table(counts: ValidationCounts, ks: Sequence[int]) -> FloatArray:
    return pass_at_k_table(counts.num_samples_P, counts.num_correct_P, ks)
