"""Whether a run has a critic."""

from typing import Any


def uses_critic(config: Any) -> bool:
    """As verl decides it: ``critic.enable``, and when it is null whether the estimator is gae."""
    enable = config.critic.enable
    return bool(config.algorithm.adv_estimator == "gae" if enable is None else enable)
