"""Pass@k training: GRPO on the rewards of subsets of k responses (arXiv:2508.10751).

Every subset of k of a group's n responses is one sample, rewarded 1 if it holds a correct response. A response's
advantage is the mean GRPO advantage of the subsets it is in. Over all C(n, k) subsets, with w = n - c wrong responses:

    fail = C(w, k) / C(n, k)        mean = 1 - fail        std = sqrt(mean * fail)
    A = fail / std                                   correct
    A = (fail - C(w-1, k-1) / C(n-1, k-1)) / std     incorrect

The advantages of a group sum to 0, and k = 1 is (r - mean) / std. The standard deviation is that of all subsets (divisor
C(n, k)). The authors' code adds 1e-6 to it; here a group whose subsets all fare alike, w = n or w < k, gets exactly 0.
"""

from functools import partial
from math import comb, sqrt

from verl_ext.objectives.algorithm_options import AlgorithmOptions
from verl_ext.objectives.groups import NOTHING_TO_LEARN, GroupFormula, OutcomeAdvantages, check_group_size, pass_at_k_of

NAME = "pass_at_k_training"


def pass_at_k_training_advantages(num_samples: int, num_correct: int, k: int) -> OutcomeAdvantages:
    """Advantages in a group of n responses, c of them correct, for 1 <= k <= n; raises ValueError when k > n."""
    check_group_size(NAME, num_samples, num_correct, k)
    num_wrong = num_samples - num_correct
    if num_wrong == num_samples or num_wrong < k:
        return NOTHING_TO_LEARN
    fail = comb(num_wrong, k) / comb(num_samples, k)
    fail_beside_a_wrong_one = comb(num_wrong - 1, k - 1) / comb(num_samples - 1, k - 1)
    std = sqrt((1 - fail) * fail)
    return OutcomeAdvantages(correct=fail / std, incorrect=(fail - fail_beside_a_wrong_one) / std)


def formula_under(options: AlgorithmOptions) -> GroupFormula:
    """The formula for k = ``algorithm.pass_at_k``."""
    return partial(pass_at_k_training_advantages, k=pass_at_k_of(options))
