"""Pass-at-k policy optimization, PKPO: an unbiased policy gradient of pass@k (arXiv:2505.15201).

Over the subsets I of k of a group's n responses, with max g = 1 if a subset holds a correct response, the paper has

    s_i = 1 / C(n, k) * sum over I with i of (max over I of g - baseline of I without i)        sum_i s_i grad log pi_i

and A_i = n s_i here, so that the *mean* over a group is the gradient, which is what a loss averages. In closed form, with
w = n - c wrong responses and C(a, b) = 0 for b > a:

    baseline        correct                            incorrect
    none            k                                  k * (1 - C(w-1, k-1) / C(n-1, k-1))     s of Eq 19 (Eq 7 and 8)
    loo_minus_one   k * C(w, k-1) / C(n-1, k-1)        0                                       s(loo-1) of Eq 33

``loo_minus_one``, the default, is what the paper calls PKPO: the baseline of a response is what the k - 1 others of its
subset reach without it. So only a correct response that is the first of its subset counts, and wrong ones have advantage
0. k = 1 leaves no others; as in the paper's runs the leave-one-out mean of the group takes their place (Eq 26, RLOO).

It is unbiased for a loss that adds up the tokens of a response and averages over responses: loss_agg_mode =
seq-mean-token-sum. verl's token-mean weighs every response by its length instead, for this objective as for any other.
"""

from functools import partial
from math import comb

from verl_ext.objectives.algorithm_options import PKPO_BASELINES, AlgorithmOptions
from verl_ext.objectives.groups import GroupFormula, OutcomeAdvantages, check_group_size, pass_at_k_of

NAME = "pkpo"


def pkpo_advantages(
    num_samples: int, num_correct: int, k: int, *, baseline: str = PKPO_BASELINES[0]
) -> OutcomeAdvantages:
    """n times the paper's weights in a group of n responses, c of them correct, for 1 <= k <= n.

    Raises:
        ValueError: k > n, or a baseline that is not one of ``PKPO_BASELINES``.
    """
    check_group_size(NAME, num_samples, num_correct, k)
    num_wrong, num_others = num_samples - num_correct, num_samples - 1
    num_subsets = comb(num_others, k - 1)  # of k that a response is in, each given by its k - 1 others
    if baseline == "none":
        num_wrong_subsets = comb(num_wrong - 1, k - 1) if num_wrong else 0
        return OutcomeAdvantages(correct=float(k), incorrect=k * (num_subsets - num_wrong_subsets) / num_subsets)
    if baseline != "loo_minus_one":
        raise ValueError(f"algorithm.pkpo_baseline must be one of {', '.join(PKPO_BASELINES)}, got {baseline}.")
    if k > 1 or num_others == 0:
        return OutcomeAdvantages(correct=k * comb(num_wrong, k - 1) / num_subsets, incorrect=0.0)
    return OutcomeAdvantages(correct=num_wrong / num_others, incorrect=-num_correct / num_others)


def formula_under(options: AlgorithmOptions) -> GroupFormula:
    """The formula for k = ``algorithm.pass_at_k`` and ``algorithm.pkpo_baseline``."""
    return partial(pkpo_advantages, k=pass_at_k_of(options), baseline=options.pkpo_baseline)
