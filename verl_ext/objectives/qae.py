"""Quantile advantage estimation, QAE: the baseline is a quantile of a prompt's rewards, not their mean (arXiv:2509.22611).

    A = (r - b) / (std + 1e-6)        b = the K-quantile of the group: the smallest x with P(reward <= x) >= K

For rewards of 0 and 1 and a share p of correct responses that is PSR or NSR by prompt, as the paper's abstract has it:

    p <= 1 - K     b = 0     correct 1 / (std + 1e-6)     incorrect 0
    p > 1 - K      b = 1     correct 0                    incorrect -1 / (std + 1e-6)

A group of equal rewards gets 0. K = 0.4 is where the authors start; they go to 0.6 where the entropy collapses early. Their
code (github.com/junkangwu/QAE) changes nothing of verl's GRPO but the baseline, so the standard deviation divides by one
less than the number of rewards, and so it is here. It interpolates the quantile, though: where K (n - 1) falls between the
last wrong and the first correct reward, b is a fraction and both outcomes have an advantage. Here the paper's rule holds.
"""

from fractions import Fraction
from functools import partial
from math import sqrt

from verl_ext.objectives.algorithm_options import AlgorithmOptions
from verl_ext.objectives.groups import NOTHING_TO_LEARN, GroupFormula, OutcomeAdvantages

NAME = "qae"
EPSILON = 1e-6


def qae_advantages(
    num_samples: int, num_correct: int, quantile: float, *, divides_by_std: bool = True
) -> OutcomeAdvantages:
    """Advantages in a group of n responses, c of them correct.

    Args:
        num_samples: n >= 1.
        num_correct: c, 0 <= c <= n.
        quantile: K, 0 < K < 1.
        divides_by_std: False leaves A = r - b, as ``algorithm.norm_adv_by_std_in_grpo=False`` does in verl's GRPO.
    """
    num_wrong = num_samples - num_correct
    if num_correct in (0, num_samples):
        return NOTHING_TO_LEARN
    variance = num_correct * num_wrong / (num_samples * (num_samples - 1))
    scale = 1 / (sqrt(variance) + EPSILON) if divides_by_std else 1.0
    # Of the decimal that was typed: in floating point 1 of 10 correct would be above 1 - 0.9.
    is_hard = num_wrong >= Fraction(str(quantile)) * num_samples
    return OutcomeAdvantages(scale, 0.0) if is_hard else OutcomeAdvantages(0.0, -scale)


def formula_under(options: AlgorithmOptions) -> GroupFormula:
    """The formula for K = ``algorithm.qae_quantile``, as ``algorithm.norm_adv_by_std_in_grpo`` says."""
    return partial(qae_advantages, quantile=options.qae_quantile, divides_by_std=options.norm_adv_by_std_in_grpo)
