"""Maximum likelihood reinforcement learning, MaxRL: the gradient of log p, with p a prompt's accuracy (arXiv:2602.02710).

    A = (r - p) / p        correct w / c        incorrect -1        p = c / n, w = n - c

So a prompt counts 1 / p times what it does under r - p, and the rarer a correct response is, the more it weighs: n - 1 for
the only one of n. A prompt without a correct response teaches nothing, and neither does one without a wrong one.

The authors' code (github.com/tajwarfahim/maxrl, ``p_normalization``) adds 1e-6 to p and gives the response of a group of one
r / 1e-6; here p is exact and a group of one gets 0.
"""

from verl_ext.objectives.algorithm_options import AlgorithmOptions
from verl_ext.objectives.groups import NOTHING_TO_LEARN, GroupFormula, OutcomeAdvantages

NAME = "maxrl"


def maxrl_advantages(num_samples: int, num_correct: int) -> OutcomeAdvantages:
    """Advantages in a group of n >= 1 responses, c of them correct."""
    if num_correct in (0, num_samples):
        return NOTHING_TO_LEARN
    return OutcomeAdvantages(correct=(num_samples - num_correct) / num_correct, incorrect=-1.0)


def formula_under(_options: AlgorithmOptions) -> GroupFormula:
    """The formula, which has no options."""
    return maxrl_advantages
