"""pass@k of a run with its intervals, and paired differences between runs: what tables, plots and the report show.

All shares are in [0, 1]. Shapes: P = problems, K = values of k.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from verl_ext.metrics.generations import Generations
from verl_ext.metrics.intervals import (
    NUM_RESAMPLES,
    difference_interval,
    fixed_problems_interval,
    holm,
    share_interval,
    sign_flip_p,
)
from verl_ext.metrics.majority import maj_at_k
from verl_ext.metrics.pass_at_k import IntArray, pass_at_k_table, pass_hat_k_table, powers_of_two_up_to


@dataclass(frozen=True, kw_only=True)
class PassAtKCurve:
    """Mean pass@k over problems at each of ``ks``; every tuple has one entry per k."""

    name: str
    ks: tuple[int, ...]
    pass_at_k: tuple[float, ...]
    """NaN where no problem has k samples."""
    low: tuple[float, ...]
    high: tuple[float, ...]
    """95 % interval for other problems of the same kind (bootstrap over problems)."""
    noise_low: tuple[float, ...]
    noise_high: tuple[float, ...]
    """95 % interval for other samples of the same problems; NaN where k = n, which has nothing to say about it."""
    pass_hat_k: tuple[float, ...]
    """pass^k: all k correct."""
    num_problems: tuple[int, ...]
    num_left_out: tuple[int, ...]
    """Problems with fewer than k samples; they are in no mean."""
    is_every_sample: tuple[bool, ...]
    """k = n for at least one problem: its pass@k is whether any answer was correct, with no information within it."""
    min_samples: int
    max_samples: int
    num_answers: int
    num_correct: int
    mean_correct: float
    """Mean over problems of c / n: avg@n, which is also pass@1."""

    def at(self, k: int) -> int:
        """Index of k in the tuples."""
        return self.ks.index(k)

    def uses_every_sample(self, k: int) -> bool:
        """Whether k is n of every problem."""
        return self.min_samples == k == self.max_samples


def pass_at_k_curve(
    name: str,
    num_samples_P: npt.ArrayLike,
    num_correct_P: npt.ArrayLike,
    ks: Sequence[int] | None = None,
    *,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
) -> PassAtKCurve:
    """The curve of P problems with n samples each, of which c are correct.

    Args:
        name: The method.
        num_samples_P: (P,) int, n of each problem, at least 1.
        num_correct_P: (P,) int, c of each problem.
        ks: Values of k; powers of two up to the largest n, and n itself, if None.
        num_resamples: Of the bootstrap over problems.
        seed: Of the bootstrap. The same seed and problems draw the same resamples.

    Raises:
        ValueError: There is no problem, or a k is larger than every n.
    """
    num_samples = np.asarray(num_samples_P, dtype=np.int64)
    num_correct = np.asarray(num_correct_P, dtype=np.int64)
    if not num_samples.size or num_samples.min() < 1:
        raise ValueError(f"{name}: pass@k needs at least 1 problem, and at least 1 sample of each.")
    largest = int(num_samples.max())
    ks = powers_of_two_up_to(largest) if ks is None else list(ks)
    for k in ks:
        if k > largest:
            raise ValueError(
                f"pass@{k} needs at least {k} samples per problem, got {largest} ({name}). Choose k up to {largest}."
            )
    values_PK = pass_at_k_table(num_samples, num_correct, ks)
    low_K, high_K = share_interval(values_PK, num_resamples=num_resamples, seed=seed)
    noise_low_K, noise_high_K = fixed_problems_interval(num_samples, num_correct, ks)
    counted_K = [int((num_samples >= k).sum()) for k in ks]
    return PassAtKCurve(
        name=name,
        ks=tuple(ks),
        pass_at_k=_floats(np.nanmean(values_PK, axis=0)),
        low=_floats(low_K),
        high=_floats(high_K),
        noise_low=_floats(noise_low_K),
        noise_high=_floats(noise_high_K),
        pass_hat_k=_floats(np.nanmean(pass_hat_k_table(num_samples, num_correct, ks), axis=0)),
        num_problems=tuple(counted_K),
        num_left_out=tuple(len(num_samples) - counted for counted in counted_K),
        is_every_sample=tuple(bool((num_samples == k).any()) for k in ks),
        min_samples=int(num_samples.min()),
        max_samples=largest,
        num_answers=int(num_samples.sum()),
        num_correct=int(num_correct.sum()),
        mean_correct=float((num_correct / num_samples).mean()),
    )


def curve_of(generations: Generations, ks: Sequence[int] | None = None, *, seed: int = 0) -> PassAtKCurve:
    """The curve of a file; see ``pass_at_k_curve``."""
    return pass_at_k_curve(generations.name, generations.num_samples_P, generations.num_correct_P, ks, seed=seed)


def strict_curve_of(generations: Generations, ks: Sequence[int] | None = None, *, seed: int = 0) -> PassAtKCurve | None:
    """The curve if only ``STRICT_TIERS`` could say "correct"; None where the file does not name the tiers."""
    if generations.num_strict_P is None:
        return None
    return pass_at_k_curve(generations.name, generations.num_samples_P, generations.num_strict_P, ks, seed=seed)


@dataclass(frozen=True, kw_only=True)
class MajorityCurve:
    """Mean maj@k over problems with 95 % bootstrap intervals over problems; every tuple has one entry per k."""

    name: str
    ks: tuple[int, ...]
    maj_at_k: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


def majority_curve(generations: Generations, ks: Sequence[int], *, seed: int = 0) -> MajorityCurve:
    """Exact maj@k of a file read ``with_answers``; a problem with fewer than k samples is left out of that k."""
    if generations.answers is None or generations.correct_answers is None:
        raise ValueError(f"{generations.path}: maj@k needs the answers; read the file with_answers.")
    if not any(generations.answers):
        raise ValueError(f"{generations.path}: maj@k needs the field pred_answer, and no line has it.")
    values_PK = np.full((generations.num_problems, len(ks)), np.nan)
    for row, (answers, correct, num_samples) in enumerate(
        zip(generations.answers, generations.correct_answers, generations.num_samples_P.tolist(), strict=True)
    ):
        columns = [column for column, k in enumerate(ks) if k <= num_samples]
        values_PK[row, columns] = maj_at_k(answers, correct, num_samples, [ks[column] for column in columns])
    low_K, high_K = share_interval(values_PK, seed=seed)
    return MajorityCurve(
        name=generations.name,
        ks=tuple(ks),
        maj_at_k=_floats(np.nanmean(values_PK, axis=0)),
        low=_floats(low_K),
        high=_floats(high_K),
    )


def curves_by_group(generations: Generations, group: str, ks: Sequence[int], *, seed: int = 0) -> list[PassAtKCurve]:
    """One curve per value of the field ``group``, named by the value, in reading order (2 before 10).

    Raises:
        KeyError: The generations were not read with ``by=[group]``.
    """
    values = np.array(generations.groups[group])
    curves = []
    for value in sorted(set(generations.groups[group]), key=reading_order):
        is_in_group = values == value
        num_samples = generations.num_samples_P[is_in_group]
        possible = [k for k in ks if k <= num_samples.max()]
        curves.append(pass_at_k_curve(value, num_samples, generations.num_correct_P[is_in_group], possible, seed=seed))
    return curves


@dataclass(frozen=True, kw_only=True)
class PairedDifference:
    """pass@k of ``name`` minus pass@k of ``base``, over the problems of both with at least k samples in each."""

    name: str
    base: str
    k: int
    difference: float
    low: float
    high: float
    """95 % interval over problems of the paired differences: bootstrap, wider where it would have no width."""
    p_value: float
    """Sign-flip test of no difference."""
    p_holm: float
    """The same after Holm over the comparisons made together."""
    num_problems: int
    num_different: int
    """Problems whose pass@k is not the same in both."""

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval alone does."""
        return self.low > 0 or self.high < 0

    @property
    def is_decided(self) -> bool:
        """Whether the interval excludes 0 and the test, corrected for the number of comparisons, agrees."""
        return self.excludes_zero and self.p_holm < 0.05


def paired_differences(
    pairs: Iterable[tuple[Generations, Generations]],
    ks: Sequence[int],
    *,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
) -> list[PairedDifference]:
    """Differences of each (run, base) pair at each k, one family for Holm.

    A k that no shared problem reaches is left out. Every pair over the same number of problems sees the same resamples.

    Raises:
        ValueError: Two runs are not about the same problems; see ``why_not_paired``.
    """
    found = []
    for run, base in pairs:
        if reason := why_not_paired(run, base):
            raise ValueError(reason)
        run_rows, base_rows = _shared_rows(run, base)
        differences_PK = pass_at_k_table(
            run.num_samples_P[run_rows], run.num_correct_P[run_rows], ks
        ) - pass_at_k_table(base.num_samples_P[base_rows], base.num_correct_P[base_rows], ks)
        counted_K = (~np.isnan(differences_PK)).sum(axis=0)
        low_K, high_K = difference_interval(differences_PK, num_resamples=num_resamples, seed=seed)
        p_K = sign_flip_p(differences_PK, num_flips=num_resamples, seed=seed)
        for column, k in enumerate(ks):
            if counted_K[column]:
                mean = float(np.nansum(differences_PK[:, column]) / counted_K[column])
                low, high, p_value = float(low_K[column]), float(high_K[column]), float(p_K[column])
                counted = int(counted_K[column]), int(np.count_nonzero(np.nan_to_num(differences_PK[:, column])))
                found.append((run.name, base.name, k, mean, low, high, p_value, *counted))
    adjusted = holm([row[6] for row in found])
    return [
        PairedDifference(
            name=name,
            base=base_name,
            k=k,
            difference=mean,
            low=low,
            high=high,
            p_value=p_value,
            p_holm=p_holm,
            num_problems=num_problems,
            num_different=num_different,
        )
        for (name, base_name, k, mean, low, high, p_value, num_problems, num_different), p_holm in zip(
            found, adjusted, strict=True
        )
    ]


def why_not_paired(run: Generations, base: Generations) -> str | None:
    """Why two runs cannot be compared problem by problem; None if they can."""
    run_rows, base_rows = _shared_rows(run, base)
    if not len(run_rows):
        return f"{run.path} and {base.path} share no question_id, so they cannot be compared problem by problem."
    for run_row, base_row in zip(run_rows, base_rows, strict=True):
        ours, theirs = run.references[run_row], base.references[base_row]
        # As texts: the paper's files and those of other programs spell the same number differently.
        if ours is not None and theirs is not None and str(ours) != str(theirs):
            return (
                f"{run.path} and {base.path} are about other problems: question_id {run.question_ids[run_row]} has "
                f"gold_answer {ours!r} in one and {theirs!r} in the other."
            )
    return None


def as_json(value: Any) -> Any:
    """Dataclasses, tuples and arrays as what ``json.dump`` writes; NaN and infinities as None."""
    if is_dataclass(value) and not isinstance(value, type):
        return as_json(asdict(value))
    if isinstance(value, dict):
        return {key: as_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_json(item) for item in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


def reading_order(text: str) -> list[tuple[bool, int, str]]:
    """Digits compare as numbers: Level 2 comes before Level 10."""
    parts = [part for part in re.split(r"([0-9]+)", text) if part]
    return [(False, int(part), "") if part[0] in "0123456789" else (True, 0, part) for part in parts]


def _shared_rows(run: Generations, base: Generations) -> tuple[IntArray, IntArray]:
    """Rows of the problems that both have, in the order of ``base``."""
    row_of = {question_id: row for row, question_id in enumerate(run.question_ids)}
    rows = [(row_of[question_id], row) for row, question_id in enumerate(base.question_ids) if question_id in row_of]
    both = np.array(rows, dtype=np.int64).reshape(-1, 2)
    return both[:, 0], both[:, 1]


def _floats(values: npt.NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
