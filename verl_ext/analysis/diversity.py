"""How many different answers a model gives to a problem.

Answers are counted by the caller, who has made equal answers equal. The count grows with the number of samples, so
models are compared at the same number of draws k: the expected number of distinct answers among k of the n samples,
drawn without replacement (rarefaction), is exact,

    sum over answers a of 1 - C(n - n_a, k) / C(n, k)

Shapes: P = problems.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from verl_ext.metrics.intervals import bootstrap_interval
from verl_ext.metrics.pass_at_k import pass_at_k_table


@dataclass(frozen=True, kw_only=True)
class Diversity:
    """Means over problems among ``num_draws`` answers a problem, with 95 % bootstrap intervals over problems."""

    name: str
    num_problems: int
    num_draws: int
    distinct: float
    """Different answers; responses without an answer are none."""
    distinct_low: float
    distinct_high: float
    distinct_correct: float
    """Different answers that were labeled correct: more than one where a problem has several solutions."""
    distinct_correct_low: float
    distinct_correct_high: float
    top_share: float
    """Share of all samples of a problem that give its most common answer, in [0, 1]."""


def expected_distinct(counts: Collection[int], num_samples: int, k: int) -> float:
    """Expected number of distinct answers among k of the samples, drawn without replacement.

    Args:
        counts: How often each distinct answer was given; what is missing to ``num_samples`` are responses without one.
        num_samples: n, at least the sum of ``counts``.
        k: Draws, 1 <= k <= n.

    Returns:
        In [0, number of distinct answers]; that number itself for k = n.
    """
    if sum(counts) > num_samples:
        raise ValueError(f"The answer counts add up to {sum(counts)}, more than the {num_samples} samples.")
    if not 1 <= k <= num_samples:
        raise ValueError(f"Distinct answers among k = {k} draws need 1 <= k <= {num_samples} samples.")
    sizes = np.fromiter(counts, dtype=np.int64, count=len(counts))
    return float(pass_at_k_table(np.full(len(sizes), num_samples), sizes, [k]).sum())


def diversity(
    name: str,
    answers: Sequence[Mapping[str, int]],
    correct_answers: Sequence[Mapping[str, int]],
    num_samples: Sequence[int],
    num_draws: int | None = None,
    *,
    seed: int = 0,
) -> Diversity:
    """Summarize P problems.

    Args:
        name: The model or method.
        answers: Per problem, how often each answer was given.
        correct_answers: Per problem, how often each answer was given and labeled correct.
        num_samples: Per problem, n, with the responses that gave no answer.
        num_draws: k of the expected counts; the smallest n if None.
        seed: Of the bootstrap over problems.
    """
    if not answers:
        raise ValueError(f"{name}: diversity needs at least 1 problem.")
    k = int(min(num_samples)) if num_draws is None else num_draws
    counts_P2 = np.array(
        [
            [expected_distinct(given.values(), int(n), k), expected_distinct(correct.values(), int(n), k)]
            for given, correct, n in zip(answers, correct_answers, num_samples, strict=True)
        ]
    )
    low, high = bootstrap_interval(counts_P2, seed=seed)
    top_shares = [max(given.values(), default=0) / n for given, n in zip(answers, num_samples, strict=True)]
    return Diversity(
        name=name,
        num_problems=len(answers),
        num_draws=k,
        distinct=float(counts_P2[:, 0].mean()),
        distinct_low=float(low[0]),
        distinct_high=float(high[0]),
        distinct_correct=float(counts_P2[:, 1].mean()),
        distinct_correct_low=float(low[1]),
        distinct_correct_high=float(high[1]),
        top_share=float(np.mean(top_shares)),
    )
