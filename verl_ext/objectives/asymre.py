"""Asymmetric REINFORCE, AsymRE: the reward less a constant (arXiv:2506.20520).

    A = r - V        correct 1 - V        incorrect -V

V = 0 is PSR, V = 1 NSR, and V = 1/2 half of REINFORCE. The paper's result is about samples of another policy than the one
that learns: with V below that policy's expected reward each update improves on it, above it the update may collapse. It has
no V for all tasks, so there is no default. Outside [0, 1] both outcomes would be pushed the same way, which is refused.
"""

from verl_ext.objectives.algorithm_options import AlgorithmOptions
from verl_ext.objectives.objective import SignWeights

NAME = "asymre"


def weights_under(options: AlgorithmOptions) -> SignWeights:
    """The weights for V = ``algorithm.asymre_baseline``; raises ValueError when it is null."""
    baseline = options.asymre_baseline
    if baseline is None:
        raise ValueError(
            f"algorithm.adv_estimator={options.adv_estimator} needs algorithm.asymre_baseline, the V that it takes off every "
            "reward: set it to a number from 0 (psr) to 1 (nsr)."
        )
    return SignWeights(positive=1.0 - baseline, negative=baseline)
