"""What a run solves of the problems that its base never solved: new ability, or only more samples?

A problem that n samples of the base leave unsolved may have a small chance all the same, so that fresh samples of the
*base* solve some of them too. A run's number means something beside that rate only. It comes from a second file of the
base, or from its one file: h of the n samples leave some problems unsolved, and f of the others solve some of these. Over
all ways to choose them the expectations are exact, c of a problem's n samples being correct:

    unsolved by h                   sum of u, u = C(n - c, h) / C(n, h)
    ... and solved by the base      sum of u pass@f(n - h, c)
    ... and solved by the run       sum of u pass@f(m, d), d of the run's m samples being correct

Shapes: P = problems.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan

import numpy as np

from verl_ext.analysis.same_problems import MissingData
from verl_ext.metrics.generations import Generations
from verl_ext.metrics.intervals import ratio_interval
from verl_ext.metrics.pass_at_k import FloatArray, pass_at_k_table


@dataclass(frozen=True, kw_only=True)
class NewAbility:
    """Of the problems that the base leaves unsolved, the share that ``name`` solves at least once."""

    name: str
    base: str
    num_base_samples: int
    """That left the problems unsolved; the fewest of any problem."""
    num_samples: int
    """Fresh samples of ``name``; the fewest of any problem."""
    num_problems: int
    num_unsolved: float
    """A count, or an expectation over ways to choose the samples."""
    num_solved: float
    low: float
    high: float
    """95 % interval of the share, bootstrap over problems; NaN where fewer than two problems count."""

    @property
    def share(self) -> float:
        """NaN where nothing is unsolved."""
        return self.num_solved / self.num_unsolved if self.num_unsolved else nan


def never_solved(base: Generations) -> list[int]:
    """Places of the problems of which no sample is correct."""
    return [int(row) for row in np.flatnonzero(base.num_correct_P == 0)]


def new_ability(run: Generations, base: Generations, *, seed: int = 0) -> NewAbility:
    """What all samples of ``run``, on the same problems, solve of those that all samples of ``base`` leave unsolved.

    ``run`` may be a second file of the base: then this is the rate at which fresh samples solve them with no new ability.
    """
    is_unsolved_P = (base.num_correct_P == 0).astype(np.float64)
    return _ability(
        run.name,
        base,
        num_base_samples=int(base.num_samples_P.min()),
        num_samples=int(run.num_samples_P.min()),
        unsolved_P=is_unsolved_P,
        solved_P=is_unsolved_P * (run.num_correct_P > 0),
        seed=seed,
    )


def new_ability_by_halves(runs: Sequence[Generations], base: Generations, *, seed: int = 0) -> list[NewAbility]:
    """The same at half of the base's samples, first by the base's other samples and then by each run, all with as many.

    Raises:
        MissingData: The base has one sample of some problem.
    """
    n_P, c_P = base.num_samples_P, base.num_correct_P
    half = int(n_P.min()) // 2
    if not half:
        raise MissingData(f"{base.path} has 1 sample of some problem, which cannot be split into halves.")
    num_fresh = min([int(n_P.min()) - half, *(int(run.num_samples_P.min()) for run in runs)])
    unsolved_P = 1 - pass_at_k_table(n_P, c_P, [half])[:, 0]
    # Where more are correct than the half leaves over, it holds one of them: the weight is 0 whatever the other half says.
    again_P = pass_at_k_table(n_P - half, np.minimum(c_P, n_P - half), [num_fresh])[:, 0]
    solved = [(base, again_P)]
    solved += [(run, pass_at_k_table(run.num_samples_P, run.num_correct_P, [num_fresh])[:, 0]) for run in runs]
    return [
        _ability(
            run.name,
            base,
            num_base_samples=half,
            num_samples=num_fresh,
            unsolved_P=unsolved_P,
            solved_P=unsolved_P * solved_P,
            seed=seed,
        )
        for run, solved_P in solved
    ]


def _ability(
    name: str,
    base: Generations,
    *,
    num_base_samples: int,
    num_samples: int,
    unsolved_P: FloatArray,
    solved_P: FloatArray,
    seed: int,
) -> NewAbility:
    low, high = ratio_interval(solved_P, unsolved_P, seed=seed)
    return NewAbility(
        name=name,
        base=base.name,
        num_base_samples=num_base_samples,
        num_samples=num_samples,
        num_problems=base.num_problems,
        num_unsolved=float(unsolved_P.sum()),
        num_solved=float(solved_P.sum()),
        low=low,
        high=high,
    )
