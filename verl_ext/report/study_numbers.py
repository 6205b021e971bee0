"""Everything a study says in numbers: a base and runs trained from it, on the same problems, one section after another."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, TypeVar

from verl_ext.analysis.accuracy_distribution import AccuracyDistribution, accuracy_distribution
from verl_ext.analysis.breakdown import (
    INTEGER,
    NOT_INTEGER,
    REFERENCE,
    Breakdown,
    breakdown,
    reference_of,
    with_kind_of_reference,
)
from verl_ext.analysis.least_squares import LeastSquares, least_squares
from verl_ext.analysis.new_ability import NewAbility, never_solved, new_ability, new_ability_by_halves
from verl_ext.analysis.same_problems import MissingData, on_same_problems
from verl_ext.analysis.two_estimates import TwoEstimates, two_estimates
from verl_ext.metrics.generations import Generations
from verl_ext.metrics.summary import PairedDifference, as_json, paired_differences

LEVEL, SUBJECT = "level", "subject"
FIELDS = (LEVEL, SUBJECT)
"""What the problems are broken down by; read them with ``by_if_constant``."""

_TELLING_PROBLEMS = 8
"""Solved sometimes: that fresh samples solve as many of them equally often does not happen by chance."""

Section = TypeVar("Section")


@dataclass(frozen=True, kw_only=True)
class Missing:
    """A section that the files have no data for."""

    why: str


@dataclass(frozen=True, kw_only=True)
class SolvedProblem:
    """A problem that the base never solves and some run does."""

    question_id: str
    groups: dict[str, str]
    reference: str
    num_correct: tuple[int, ...]
    num_samples: tuple[int, ...]
    """One per run, the base first."""


@dataclass(frozen=True, kw_only=True)
class BeyondTheBase:
    """What is solved of the problems that the base never solves."""

    num_unsolved: int
    abilities: tuple[NewAbility, ...]
    """Of each run, with all its samples and all of the base."""
    second_file: NewAbility | None
    """Of the base's second file, if there is one."""
    halves: tuple[NewAbility, ...] | Missing
    """Of the base's other half, then of each run with as many samples."""
    solved: tuple[SolvedProblem, ...]


@dataclass(frozen=True, kw_only=True)
class Study:
    """The base first, in every part; a part is ``Missing`` where the files lack what it is about."""

    base: str
    names: tuple[str, ...]
    num_problems: int
    estimates: tuple[TwoEstimates, ...]
    differences: tuple[PairedDifference, ...]
    """Each run against the base at k = 1 and at the largest k that every run reaches, Holm over all."""
    distributions: tuple[AccuracyDistribution, ...]
    by_level: Breakdown | Missing
    by_subject: Breakdown | Missing
    by_reference: Breakdown | Missing
    """Problems whose reference is an integer, and the others."""
    not_integers: tuple[TwoEstimates, ...] | Missing
    """On the problems whose reference is not an integer."""
    beyond: BeyondTheBase
    fits: tuple[LeastSquares | Missing, ...]
    """One per run."""


def build_study(
    runs: Sequence[Generations],
    *,
    base: str | None = None,
    base_again: Generations | None = None,
    ks: Sequence[int] | None = None,
    seed: int = 0,
) -> Study:
    """Study runs on the same problems.

    Args:
        runs: Each with its own name, read with ``by_if_constant=FIELDS``.
        base: Name of the run that the others are compared with; the first if None.
        base_again: A second file of the base's answers to the same problems, drawn with another seed.
        ks: Values of k; for each run the powers of two up to its n, and n, if None.
        seed: Of every bootstrap and sign-flip test.

    Raises:
        ValueError: Two runs have one name, there is no such base (the nearest is named), a k is above the samples of a run,
            or the runs are not about the same problems.
    """
    first, *others = on_same_problems(_in_order(runs, base))
    ordered = [first, *others]
    largest = min(int(run.num_samples_P.min()) for run in ordered)
    ends = sorted({1, largest})
    again = None if base_again is None else _fresh(base_again, first)
    kinds = _or_missing(lambda: with_kind_of_reference(ordered))
    return Study(
        base=first.name,
        names=tuple(run.name for run in ordered),
        num_problems=first.num_problems,
        estimates=tuple(two_estimates(run, ks, seed=seed) for run in ordered),
        differences=tuple(paired_differences([(run, first) for run in others], ends, seed=seed)),
        distributions=tuple(accuracy_distribution(run) for run in ordered),
        by_level=_or_missing(lambda: breakdown(ordered, LEVEL, ends, seed=seed)),
        by_subject=_or_missing(lambda: breakdown(ordered, SUBJECT, ends, seed=seed)),
        by_reference=kinds if isinstance(kinds, Missing) else breakdown(kinds, REFERENCE, ends, seed=seed),
        not_integers=_not_integers(kinds, ks, seed),
        beyond=_beyond(first, others, again, seed),
        fits=tuple(map(_fit, ordered)),
    )


def study_as_json(study: Study) -> Any:
    """The study as plain JSON values; a missing section says why."""
    return as_json(study)


def _in_order(runs: Sequence[Generations], base: str | None) -> list[Generations]:
    """The base first."""
    names = [run.name for run in runs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"Two runs are called {twice}. Give every run a name of its own.")
    if not names:
        raise ValueError("A study needs at least 1 run.")
    base = names[0] if base is None else base
    if base not in names:
        near = get_close_matches(base, names, n=1, cutoff=0.4)
        hint = f"Did you mean {near[0]}?" if near else f"The runs are {', '.join(names)}."
        raise ValueError(f"No run is called {base}. {hint}")
    return [runs[names.index(base)], *(run for run in runs if run.name != base)]


def _fresh(again: Generations, base: Generations) -> Generations:
    """The second file of the base in the order of its first, unless it looks like the same answers."""
    _, again = on_same_problems([base, again])
    has_choice_P = (base.num_correct_P > 0) & (base.num_correct_P < base.num_samples_P)
    is_same_P = (again.num_samples_P == base.num_samples_P) & (again.num_correct_P == base.num_correct_P)
    if has_choice_P.sum() >= _TELLING_PROBLEMS and is_same_P.all():
        raise ValueError(
            f"{again.path} and {base.path} have as many correct answers to every problem: they are the same answers. "
            "Samples are seeded: draw the second file with another --seed."
        )
    return again


def _or_missing(section: Callable[[], Section]) -> Section | Missing:
    try:
        return section()
    except MissingData as reason:
        return Missing(why=str(reason))


def _fit(run: Generations) -> LeastSquares | Missing:
    return _or_missing(lambda: least_squares(run))


def _not_integers(
    kinds: list[Generations] | Missing, ks: Sequence[int] | None, seed: int
) -> tuple[TwoEstimates, ...] | Missing:
    if isinstance(kinds, Missing):
        return kinds
    rows = [row for row, kind in enumerate(kinds[0].groups[REFERENCE]) if kind == NOT_INTEGER]
    if not rows:
        return Missing(why=f"Every reference answer is an {INTEGER}.")
    return tuple(two_estimates(part, _possible(part, ks), seed=seed) for part in (run.take(rows) for run in kinds))


def _possible(part: Generations, ks: Sequence[int] | None) -> list[int] | None:
    """A subset may have fewer samples than the whole file."""
    return None if ks is None else [k for k in ks if k <= int(part.num_samples_P.max())] or [1]


def _beyond(base: Generations, others: Sequence[Generations], again: Generations | None, seed: int) -> BeyondTheBase:
    rows = never_solved(base)
    runs = [base, *others]
    return BeyondTheBase(
        num_unsolved=len(rows),
        abilities=tuple(new_ability(run, base, seed=seed) for run in others),
        second_file=None if again is None else new_ability(replace(again, name=base.name), base, seed=seed),
        halves=_or_missing(lambda: tuple(new_ability_by_halves(others, base, seed=seed))),
        solved=tuple(
            SolvedProblem(
                question_id=base.question_ids[row],
                groups={field: values[row] for field, values in base.groups.items()},
                reference="" if (reference := reference_of(runs, row)) is None else str(reference),
                num_correct=tuple(int(run.num_correct_P[row]) for run in runs),
                num_samples=tuple(int(run.num_samples_P[row]) for run in runs),
            )
            for row in rows
            if any(run.num_correct_P[row] for run in others)
        ),
    )
