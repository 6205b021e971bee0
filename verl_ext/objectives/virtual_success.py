"""GRPO with a virtual success in every group (NGRPO, arXiv:2509.18851).

A correct response that nobody sampled joins the statistics of each group of n, c of them correct:

    mean = (c + 1) / (n + 1)        std = sqrt((n + 1) / n * mean * (1 - mean))        A = (r - mean) / (std + 1e-6)

An all-wrong group, which GRPO learns nothing from, gets A = -1 / sqrt(n + 1); an all-correct one still gets 0.

The standard deviation divides by one less than the n + 1 rewards and 1e-6 is added to it, as in verl's GRPO, the authors'
code and the numbers of their example. Their code gives a group of one response A = r; here the formula holds for it
too. The paper pairs this with asymmetric clipping, which are options of verl: actor.clip_ratio_low=0.16 and
actor.clip_ratio_high=0.24.
"""

from functools import partial
from math import sqrt

from verl_ext.objectives.algorithm_options import AlgorithmOptions
from verl_ext.objectives.groups import NOTHING_TO_LEARN, GroupFormula, OutcomeAdvantages

NAME = "grpo_virtual_success"
EPSILON = 1e-6


def virtual_success_advantages(num_samples: int, num_correct: int, *, divides_by_std: bool = True) -> OutcomeAdvantages:
    """Advantages in a group of ``num_samples`` responses and one virtual success.

    Args:
        num_samples: n >= 1, the virtual one not counted.
        num_correct: c, 0 <= c <= n.
        divides_by_std: False leaves A = r - mean, as ``algorithm.norm_adv_by_std_in_grpo=False`` does in verl's GRPO.
    """
    if num_correct == num_samples:
        return NOTHING_TO_LEARN
    mean = (num_correct + 1) / (num_samples + 1)
    std = sqrt((num_samples + 1) / num_samples * mean * (1 - mean))
    scale = 1 / (std + EPSILON) if divides_by_std else 1.0
    return OutcomeAdvantages(correct=(1 - mean) * scale, incorrect=-mean * scale)


def formula_under(options: AlgorithmOptions) -> GroupFormula:
    """The formula as ``algorithm.norm_adv_by_std_in_grpo`` says."""
    return partial(virtual_success_advantages, divides_by_std=options.norm_adv_by_std_in_grpo)
