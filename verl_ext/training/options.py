"""This package's configuration keys, read in one place. ``config`` is the whole resolved configuration."""

from typing import Any

from verl_ext.objectives.weights import WEIGHTS

LOSS_NORMALIZERS = ("kept", "all")
MINI_BATCHES = ("equal", "paper")


def drops_zero_advantage(algorithm: Any) -> bool:
    """``algorithm.drop_zero_advantage``; when it is null, whether the estimator ignores one sign altogether."""
    choice = algorithm.get("drop_zero_advantage")
    if choice is not None:
        return bool(choice)
    name = algorithm.adv_estimator
    if name not in WEIGHTS or (name == "psr_nsr" and algorithm.get("advantage") == "weighted") or name == "w_reinforce":
        return False
    return 0.0 in WEIGHTS[name](algorithm)


def uses_critic(config: Any) -> bool:
    """As verl decides it: ``critic.enable``, and when it is null whether the estimator is gae."""
    enable = config.critic.enable
    return bool(config.algorithm.adv_estimator == "gae" if enable is None else enable)


def loss_normalizer(algorithm: Any) -> str:
    """``algorithm.loss_normalizer``: kept (default) or all; ValueError for anything else."""
    return _one_of(algorithm, "loss_normalizer", LOSS_NORMALIZERS)


def mini_batches(algorithm: Any) -> str:
    """``algorithm.mini_batches``: equal (default) or paper; ValueError for anything else."""
    return _one_of(algorithm, "mini_batches", MINI_BATCHES)


def _one_of(algorithm: Any, option: str, choices: tuple[str, ...]) -> str:
    """The value of an option whose default is the first of its choices."""
    choice = algorithm.get(option, choices[0])
    if choice not in choices:
        raise ValueError(f"algorithm.{option} must be one of {', '.join(choices)}, got {choice}.")
    return str(choice)
