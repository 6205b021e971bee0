"""A signed objective whose rewards are normalized in their group first: ``algorithm.group_normalize``.

    A = positive (1 - p) / s    correct        A = -negative p / s    incorrect        s = sqrt(p (1 - p)), p = c / n

That is GRPO's advantage, by the deviation of the n rewards, weighed by the objective's weight of its sign. The group is all n
responses: after a filter of one sign every reward is the mean, and nothing is left. A group of one outcome has no advantage.
"""

from verl_ext.objectives.groups import GroupFormula, OutcomeAdvantages
from verl_ext.objectives.objective import SignWeights
from verl_ext.objectives.pass_at_k_training import pass_at_k_training_advantages


def normalized(weights: SignWeights) -> GroupFormula:
    """The formula for an objective with these weights."""

    def formula(num_samples: int, num_correct: int) -> OutcomeAdvantages:
        grpo = pass_at_k_training_advantages(num_samples, num_correct, 1)
        return OutcomeAdvantages(weights.positive * grpo.correct, weights.negative * grpo.incorrect)

    return formula
