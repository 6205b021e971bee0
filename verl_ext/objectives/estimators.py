"""The objectives in the calling convention of verl's advantage estimators.

An estimator takes ``token_level_rewards`` (B, T), ``response_mask`` (B, T), ``config`` (verl's ``algorithm`` section, a
mapping) and ``index`` (B prompt ids), and returns ``(advantages, returns)``, both (B, T). For these objectives a return
is the advantage itself. B = responses in the batch, T = response tokens, right-padded.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from verl_ext.objectives.outcome import is_correct, outcome_scores
from verl_ext.objectives.signed import NSR, PSR, REINFORCE, SignWeights, signed_advantages

DEFAULT_POSITIVE_WEIGHT = 0.1
"""lambda of W-REINFORCE in the paper's experiments. The paper's released code has 1 in its configuration file."""

Config = Mapping[str, Any]
WeightsOf = Callable[[Config], SignWeights]
Estimator = Callable[..., tuple[torch.Tensor, torch.Tensor]]


def w_reinforce(config: Config) -> SignWeights:
    """(lambda, 1) with lambda from ``algorithm.positive_advantage_weight``."""
    weight = config.get("positive_advantage_weight")
    weight = DEFAULT_POSITIVE_WEIGHT if weight is None else float(weight)
    if not weight >= 0.0:
        raise ValueError(f"algorithm.positive_advantage_weight must be >= 0, got {weight:g}. The paper uses 0.1.")
    return SignWeights(positive=weight, negative=1.0)


PSR_NSR_CHOICES: dict[str, WeightsOf] = {
    "positive": lambda _config: PSR,
    "negative": lambda _config: NSR,
    "weighted": w_reinforce,
}


def psr_nsr(config: Config) -> SignWeights:
    """The paper's spelling: ``algorithm.advantage`` = positive (PSR), negative (NSR) or weighted (W-REINFORCE)."""
    choice = config.get("advantage")
    if choice not in PSR_NSR_CHOICES:
        raise ValueError(
            f"algorithm.adv_estimator=psr_nsr needs algorithm.advantage to be one of {', '.join(PSR_NSR_CHOICES)}, "
            f"got {choice}."
        )
    return PSR_NSR_CHOICES[choice](config)


WEIGHTS: dict[str, WeightsOf] = {
    "psr": lambda _config: PSR,
    "nsr": lambda _config: NSR,
    "w_reinforce": w_reinforce,
    "reinforce": lambda _config: REINFORCE,
    "psr_nsr": psr_nsr,
}
"""Estimator name -> its weights under a configuration."""


def make_estimator(name: str, weights_of: WeightsOf) -> Estimator:
    """Wrap ``weights_of`` as the verl advantage estimator ``name``.

    The estimator raises ValueError for a score other than -1, 0 and 1, and for ``algorithm.use_kl_in_reward``, which
    would change the summed reward that the outcome is read from.
    """

    def estimator(
        token_level_rewards: torch.Tensor,
        response_mask: torch.Tensor,
        config: Config | None = None,
        index: Sequence[Any] | None = None,
        **_unused: Any,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        config = {} if config is None else config
        if config.get("use_kl_in_reward"):
            raise ValueError(
                f"{name} reads right or wrong from the reward, which algorithm.use_kl_in_reward=True changes. Set it to "
                "False, or penalise KL in the loss: actor_rollout_ref.actor.use_kl_loss=True."
            )
        names = None if index is None else [f"prompt {uid}" for uid in index]
        is_correct_B = is_correct(outcome_scores(token_level_rewards), names=names, estimator=name)
        advantages_BT = signed_advantages(is_correct_B, response_mask, weights_of(config))
        return advantages_BT, advantages_BT

    estimator.__name__ = estimator.__qualname__ = name
    estimator.__doc__ = f"Advantages of {name}, see verl_ext.objectives.signed."
    return estimator


ESTIMATORS: dict[str, Estimator] = {name: make_estimator(name, weights_of) for name, weights_of in WEIGHTS.items()}
