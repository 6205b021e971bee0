"""Risk-sensitive GRPO: the gradient of log E[exp(beta r)] / beta (arXiv:2509.24261).

    A = (exp(beta r) / mean of exp(beta r) - 1) / beta        the mean over a prompt's responses, p of them correct

    correct (1 - p) g / d     incorrect -p g / d     g = (1 - exp(-beta)) / beta     d = p + (1 - p) exp(-beta)

The objective lies between the mean of the rewards (beta -> 0, A = r - p) and their maximum (beta -> infinity, where beta A is
the advantage of MaxRL). beta = 2 is what the authors recommend and their code's default (github.com/Jackory/RS-GRPO, which
has this formula without a division by the standard deviation). A group of equal rewards gets 0.
"""

from functools import partial
from math import exp, expm1

from verl_ext.objectives.algorithm_options import AlgorithmOptions
from verl_ext.objectives.groups import NOTHING_TO_LEARN, GroupFormula, OutcomeAdvantages

NAME = "rs_grpo"


def rs_grpo_advantages(num_samples: int, num_correct: int, beta: float) -> OutcomeAdvantages:
    """Advantages in a group of n >= 1 responses, c of them correct, for beta > 0; exact for any beta, however large."""
    if num_correct in (0, num_samples):
        return NOTHING_TO_LEARN
    accuracy = num_correct / num_samples
    scale = -expm1(-beta) / beta / (accuracy + (1 - accuracy) * exp(-beta))
    return OutcomeAdvantages(correct=(1 - accuracy) * scale, incorrect=-accuracy * scale)


def formula_under(options: AlgorithmOptions) -> GroupFormula:
    """The formula for beta = ``algorithm.rs_grpo_beta``."""
    return partial(rs_grpo_advantages, beta=options.rs_grpo_beta)
