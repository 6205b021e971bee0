"""Exact maj@k: the answer given most often among k of the n samples is correct.

The k answers are drawn without replacement, ties are broken uniformly, and responses without an answer have no vote.
For an answer given m times, the chance to win with v votes is C(m, v) / C(n, k) times the number of ways in which the
k - v other draws give every other answer at most v votes, each way weighted by 1 / (1 + answers that tie).
"""

from collections.abc import Mapping, Sequence
from math import comb

import numpy as np

from verl_ext.metrics.pass_at_k import FloatArray

MAX_SAMPLES = 1000
"""Beyond it binomials leave the range of doubles."""
_ROUNDING = 1e-12
"""More than the relative error of a value: its terms are positive, and at most 4 ``MAX_SAMPLES`` roundings follow on each
other, of 1.1e-16 each."""


def maj_at_k(
    answers: Mapping[str, int], correct_answers: Mapping[str, int], num_samples: int, ks: Sequence[int]
) -> list[float]:
    """maj@k of one problem at each k, in [0, 1].

    Args:
        answers: How often each answer was given; what is missing to ``num_samples`` are responses without one.
        correct_answers: How often each was given and labeled correct; labeled both ways, it counts for its share.
        num_samples: n, at most 1,000.
        ks: Values of k, 1 <= k <= n. Each costs little beside the first.
    """
    if num_samples > MAX_SAMPLES:
        raise ValueError(f"maj@k is computed for at most {MAX_SAMPLES} samples per problem, got {num_samples}.")
    if sum(answers.values()) > num_samples:
        raise ValueError(f"The answer counts add up to {sum(answers.values())}, more than the {num_samples} samples.")
    for k in ks:
        if not 1 <= k <= num_samples:
            raise ValueError(f"maj@{k} needs k >= 1 and at least k samples per problem, got {num_samples}.")
    # Answers with the same count have the same chance: their correct shares add up.
    share_of_count: dict[int, float] = {}
    for answer, num_correct in correct_answers.items():
        if num_correct:
            count = answers[answer]
            share_of_count[count] = share_of_count.get(count, 0.0) + num_correct / count
    counts = sorted(answers.values(), reverse=True)
    ways_K = np.zeros(len(ks))
    for count, share in share_of_count.items():
        others = counts.copy()
        others.remove(count)
        ways_K += share * _ways_to_win(count, others, num_samples, ks)
    return [_share(float(ways / comb(num_samples, k))) for ways, k in zip(ways_K, ks, strict=True)]


def _share(value: float) -> float:
    """Exactly 1 where only rounding tells it from 1, as ``share_interval`` needs it."""
    return 1.0 if value > 1 - _ROUNDING else value


def _ways_to_win(count: int, others: Sequence[int], num_samples: int, ks: Sequence[int]) -> FloatArray:
    """Number of k-draws that an answer wins, a tie of t + 1 counting as 1 / (t + 1); (K,)."""
    ways_K = np.zeros(len(ks))
    for votes in range(1, min(count, max(ks)) + 1):
        rivals = [other for other in others if other >= votes]
        num_free = num_samples - count - sum(rivals)  # samples of answers that cannot reach so many votes, or of none
        ways_TS = _ways_of_others(rivals, num_free, votes, max(ks) - votes)
        shared_S = (ways_TS / np.arange(1, len(ways_TS) + 1)[:, None]).sum(axis=0)
        for column, k in enumerate(ks):
            if k >= votes:
                ways_K[column] += comb(count, votes) * shared_S[k - votes]
    return ways_K


def _ways_of_others(rivals: Sequence[int], num_free: int, votes: int, most: int) -> FloatArray:
    """Ways to draw s <= ``most`` samples of the others with at most ``votes`` of each, t of them exactly: (T, S)."""
    ways_TS = np.zeros((min(len(rivals), most // votes) + 1, most + 1))
    num_direct = min(num_free, most) + 1
    ways_TS[0, :num_direct] = [comb(num_free, drawn) for drawn in range(num_direct)]
    for rank, rival in enumerate(rivals):
        below = np.array([comb(rival, drawn) for drawn in range(min(votes, most + 1))], dtype=np.float64)
        num_rows = min(rank + 1, len(ways_TS))  # those above are still 0
        drawn_TS = np.zeros_like(ways_TS)
        if len(below) <= num_rows:
            for drawn, ways in enumerate(below):
                drawn_TS[:, drawn:] += ways * ways_TS[:, : most + 1 - drawn]
        else:
            for row in range(num_rows):
                drawn_TS[row] = np.convolve(ways_TS[row], below)[: most + 1]
        if votes <= most:
            drawn_TS[1:, votes:] += comb(rival, votes) * ways_TS[:-1, : most + 1 - votes]
        ways_TS = drawn_TS
    return ways_TS
