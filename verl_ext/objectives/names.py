"""Names of advantage estimators, losses and trainers, for checks that must not load torch or verl."""

from verl_ext.objectives.group_objectives import GROUP_OBJECTIVES
from verl_ext.objectives.weights import WEIGHTS

OUR_ESTIMATORS = (*WEIGHTS, *GROUP_OBJECTIVES)

VERL_ESTIMATORS = (
    "gae",
    "gdpo",
    "gpg",
    "grpo",
    "grpo_passk",
    "grpo_vectorized",
    "opo",
    "optimal_token_baseline",
    "reinforce_plus_plus",
    "reinforce_plus_plus_baseline",
    "remax",
    "rloo",
    "rloo_vectorized",
    "tir_optimal_token_baseline",
)
"""What verl 0.9.1 registers itself."""

OUR_LOSSES = ("vanilla_by_sign", "paper")

VERL_LOSSES = (
    "bypass_mode",
    "cispo",
    "clip_cov",
    "dppo_kl",
    "dppo_tv",
    "dro",
    "geo_mean",
    "gpg",
    "gspo",
    "kl_cov",
    "sapo",
    "vanilla",
)
"""What verl 0.9.1 registers itself."""

OUR_TRAINER = "sign_filter_sync"

VERL_TRAINERS = ("sync", "colocate_async", "separate_async")
"""What verl 0.9.1 registers itself."""
