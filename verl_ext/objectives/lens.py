"""Likelihood estimation with negative samples, LENS: GRPO in which a wrong response costs more, the more likely it was
(arXiv:2510.08696, sections 4.2 and 5.1).

    r = 1 correct        r = -(1 / n) q / (D - q) incorrect        q = exp(mean log p of its tokens)

    D = max(D_imp, 2 max q)        1 / D_imp = (1 / n) sum over correct responses of 1 / p

q is the length-normalized probability under the policy that sampled, p the probability of the whole response, and the maximum
and the sum go over the n responses to a prompt. In a mixed group the advantage is (r - mean) / (std + 1e-6), as in GRPO: correct
responses have one above 0 and wrong ones below, and with all q equal it is GRPO's. A group of wrong responses, in which GRPO
has nothing to learn, gets alpha (r - mean): those that were likely go down and those that were not go up. A group of correct
ones gets 0.

There is no code of the authors. The paper says that D_imp is importance sampling, so p in it is not normalized for length; for
responses of more than a few tokens 2 max q is larger.
"""

from collections.abc import Sequence
from functools import partial
from math import exp, fsum, log

from verl_ext.objectives.algorithm_options import AlgorithmOptions
from verl_ext.objectives.likelihoods import GradedResponse, LikelihoodFormula, centered, is_mixed

NAME = "lens"


def calibrated_rewards(responses: Sequence[GradedResponse]) -> list[float]:
    """r of each response to a prompt, from -1/n to 1."""
    most = max(response.mean_log_prob for response in responses)
    # All in units of the largest q, so that no probability underflows
    difficulty = max(2.0, exp(_log_importance_estimate(responses) - most))
    shares = [exp(response.mean_log_prob - most) for response in responses]
    return [
        1.0 if response.is_correct else -share / (difficulty - share) / len(responses)
        for response, share in zip(responses, shares, strict=True)
    ]


def _log_importance_estimate(responses: Sequence[GradedResponse]) -> float:
    """log D_imp; minus infinity where no response is correct."""
    surprises = [-response.log_prob for response in responses if response.is_correct]
    if not surprises:
        return float("-inf")
    most = max(surprises)
    return log(len(responses)) - most - log(fsum(exp(surprise - most) for surprise in surprises))


def lens_advantages(responses: Sequence[GradedResponse], alpha: float, *, by_deviation: bool = True) -> list[float]:
    """Advantages of the n >= 1 responses to a prompt."""
    if all(response.is_correct for response in responses):
        return [0.0] * len(responses)
    rewards = calibrated_rewards(responses)
    if is_mixed(responses):
        return centered(rewards, by_deviation=by_deviation)
    return [alpha * advantage for advantage in centered(rewards, by_deviation=False)]


def formula_under(options: AlgorithmOptions) -> LikelihoodFormula:
    """The formula for alpha = ``algorithm.lens_alpha``, and without the deviation if ``norm_adv_by_std_in_grpo`` is off."""
    return partial(lens_advantages, alpha=options.lens_alpha, by_deviation=options.norm_adv_by_std_in_grpo)
