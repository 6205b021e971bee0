"""Everything a report says in numbers, computed once from the counted generations of each method."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

from verl_ext.analysis.diversity import Diversity, diversity
from verl_ext.metrics.generations import Generations
from verl_ext.metrics.pass_at_k import powers_of_two_up_to
from verl_ext.metrics.summary import PairedDifference, PassAtKCurve, as_json, curve_of, paired_differences


@dataclass(frozen=True, kw_only=True)
class Results:
    """The base and the methods trained from it, on the same problems."""

    base: str
    ks: tuple[int, ...]
    """From 1 to n, the k that every run reaches."""
    curves: list[PassAtKCurve]
    """The base first."""
    differences: list[PairedDifference]
    """Each method against the base at every k; intervals for reading along the curve, Holm over all of them."""
    versus_base: list[PairedDifference]
    """Each method against the base at k = 1 and k = n: the first family of comparisons."""
    between_methods: list[PairedDifference]
    """Each pair of methods at k = 1 and k = n: the second family."""
    diversity: list[Diversity]
    """Empty where the answers were not counted."""
    reasons: Mapping[str, Mapping[str, int]]
    """Method -> verdict reason -> number of answers."""

    @property
    def largest_k(self) -> int:
        return self.ks[-1]

    @property
    def num_shared(self) -> tuple[int, int]:
        """The fewest and the most problems that a method shares with the base; without methods, those of the base."""
        shared = [row.num_problems for row in self.versus_base if row.k == self.ks[0]]
        counts = shared or self.curves[0].num_problems[:1]
        return min(counts), max(counts)


def build_results(
    runs: Sequence[Generations],
    *,
    base: str = "base",
    ks: Sequence[int] | None = None,
    seed: int = 0,
    are_compared: bool = True,
) -> Results:
    """Compare methods with the base and with each other.

    Args:
        runs: One per method, each with its own name, read ``with_answers`` for the diversity.
        base: Name of the run that the others are compared with.
        ks: Values of k; powers of two up to the smallest n that any problem has, and that n, if None.
        seed: Of every bootstrap and sign-flip test.
        are_compared: Whether methods are compared with each other too, which takes a test for each pair.

    Raises:
        ValueError: Two runs have one name, there is no base, or the runs are not about the same problems.
    """
    names = [run.name for run in runs]
    if len(set(names)) < len(names):
        raise ValueError(f"Every run in a report needs its own name, got {', '.join(names)}.")
    if base not in names:
        raise ValueError(f"No run is called {base}; the runs are {', '.join(names) or 'none'}. Pass base=.")
    first = runs[names.index(base)]
    others = [run for run in runs if run.name != base]
    ks = list(ks) if ks is not None else powers_of_two_up_to(min(int(run.num_samples_P.min()) for run in runs))
    ends = sorted({min(ks), max(ks)})
    in_order = [first, *others]
    pairs = [(b, a) for a, b in combinations(others, 2)] if are_compared else []
    return Results(
        base=base,
        ks=tuple(sorted(ks)),
        curves=[curve_of(run, sorted(ks), seed=seed) for run in in_order],
        differences=paired_differences([(run, first) for run in others], sorted(ks), seed=seed),
        versus_base=paired_differences([(run, first) for run in others], ends, seed=seed),
        between_methods=paired_differences(pairs, ends, seed=seed),
        diversity=_diversities(in_order, seed),
        reasons={run.name: run.reasons for run in in_order if run.reasons},
    )


def results_as_json(results: Results) -> dict[str, Any]:
    """The results as plain JSON values."""
    return {
        "base": results.base,
        "ks": list(results.ks),
        "curves": as_json(results.curves),
        "differences": as_json(results.differences),
        "versus_base": as_json(results.versus_base),
        "between_methods": as_json(results.between_methods),
        "diversity": [asdict(row) for row in results.diversity],
        "reasons": {name: dict(counts) for name, counts in results.reasons.items()},
    }


def _diversities(runs: Sequence[Generations], seed: int) -> list[Diversity]:
    num_draws = min(int(run.num_samples_P.min()) for run in runs)
    return [
        diversity(run.name, run.answers, run.correct_answers, run.num_samples_P.tolist(), num_draws, seed=seed)
        for run in runs
        if run.answers is not None and run.correct_answers is not None and any(run.answers)
    ]
