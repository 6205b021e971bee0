"""Names of advantage estimators, losses and trainers, for checks that must not load torch or verl."""

from collections.abc import Mapping

from verl_ext.objectives.catalog import OBJECTIVES

OUR_ESTIMATORS = tuple(OBJECTIVES)

VERL_ESTIMATORS: Mapping[str, str | None] = {
    "gae": "needs a critic's values",
    "gdpo": "normalizes over the batch",
    "gpg": "scales every advantage by the share of rewarded samples",
    "grpo": None,
    "grpo_passk": None,
    "grpo_vectorized": None,
    "opo": None,
    "optimal_token_baseline": "needs log-probs",
    "reinforce_plus_plus": "normalizes over the batch",
    "reinforce_plus_plus_baseline": "normalizes over the batch",
    "remax": "needs a greedy answer's reward",
    "rloo": None,
    "rloo_vectorized": None,
    "tir_optimal_token_baseline": "needs log-probs",
}
"""What verl 0.9.1 registers itself, and what each needs beyond the rewards of one prompt; None: nothing."""

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
OUR_ASYNC_TRAINER = "sign_filter_colocate_async"
OUR_TRAINERS = (OUR_TRAINER, OUR_ASYNC_TRAINER)

VERL_TRAINERS = ("sync", "colocate_async", "separate_async")
"""What verl 0.9.1 registers itself."""
