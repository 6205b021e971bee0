"""Confidence-weighted NSR: a wrong response is pushed down in proportion to the confidence that it was given with
(arXiv:2605.07137).

    A = 0 correct        A = -max(c, floor) incorrect        c = exp(mean log p of its tokens)

c is the geometric mean of the tokens' probabilities under the policy that sampled the response: the likelihood normalized
for length, and no part of the gradient. With c = 1 everywhere it is NSR.

The definition is that of an author's code (github.com/Ankit-ydv24/Confidence-Weighted-NSR, ``compute_policy_loss`` in
``verl/trainer/ppo/core_algos.py``), which multiplies the loss of wrong responses by c between 0.05 and 1; of the paper we
have read the abstract. There it is taken from the actor's log-probs before the update, here from the rollout's. That code
can also add correct responses with a constant weight; here they have none.
"""

from collections.abc import Sequence
from functools import partial

from verl_ext.objectives.algorithm_options import AlgorithmOptions
from verl_ext.objectives.likelihoods import GradedResponse, LikelihoodFormula

NAME = "cw_nsr"


def cw_nsr_advantages(responses: Sequence[GradedResponse], floor: float) -> list[float]:
    """The advantage of each response, whatever the others are."""
    return [0.0 if response.is_correct else -max(response.confidence, floor) for response in responses]


def formula_under(options: AlgorithmOptions) -> LikelihoodFormula:
    """The formula for floor = ``algorithm.cw_nsr_floor``."""
    return partial(cw_nsr_advantages, floor=options.cw_nsr_floor)
