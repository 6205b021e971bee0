"""Unlikeliness reward: GRPO in which the rarer of two correct responses has the larger reward (arXiv:2506.02355).

    r = 1 - beta k / n correct        r = 0 incorrect        A = (r - mean) / (std + 1e-6)

k = 0 to n - 1 counts the responses to the prompt that were less likely, wrong ones too, by their mean log-prob per token under the
policy that sampled them. A group of one outcome gets 0. beta = 0 is GRPO.

The definition is that of the authors' code (github.com/AndreHe02/rewarding-unlikely-release, ``_compute_advantages`` in
``verl/trainer/ppo/ray_lean_trainer.py``; beta = 0.25 and groups of one outcome left out in ``examples/lean/grpo.sh``). There
equally likely responses are ranked by chance; here they share the mean of their places, so that with all likelihoods equal the
result is GRPO's. There the likelihood is the actor's before the update, here the rollout's.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from functools import partial

from verl_ext.objectives.algorithm_options import AlgorithmOptions
from verl_ext.objectives.likelihoods import GradedResponse, LikelihoodFormula, centered, is_mixed

NAME = "unlikeliness"


def ranks_by_likelihood(responses: Sequence[GradedResponse]) -> list[float]:
    """k of each: how many were less likely, and half of those that were as likely."""
    likelihoods = [response.mean_log_prob for response in responses]
    ordered = sorted(likelihoods)
    return [(bisect_left(ordered, each) + bisect_right(ordered, each) - 1) / 2 for each in likelihoods]


def unlikeliness_advantages(
    responses: Sequence[GradedResponse], beta: float, *, by_deviation: bool = True
) -> list[float]:
    """Advantages of the n >= 1 responses to a prompt, for beta from 0 to 1."""
    if not is_mixed(responses):
        return [0.0] * len(responses)
    rewards = [
        1.0 - beta * rank / len(responses) if response.is_correct else 0.0
        for response, rank in zip(responses, ranks_by_likelihood(responses), strict=True)
    ]
    return centered(rewards, by_deviation=by_deviation)


def formula_under(options: AlgorithmOptions) -> LikelihoodFormula:
    """The formula for beta = ``algorithm.unlikeliness_beta``, without the deviation if ``norm_adv_by_std_in_grpo`` is off."""
    return partial(
        unlikeliness_advantages, beta=options.unlikeliness_beta, by_deviation=options.norm_adv_by_std_in_grpo
    )
