"""The seed of the order of the problems, and of the part of them that ``data.train_max_samples`` and ``val_max_samples`` take."""

from typing import Any

from omegaconf import OmegaConf

DEFAULT_SEED = 1


def settle_seed(config: Any) -> None:
    """Give a run a seed, where nobody has.

    verl draws the part that is taken at each start, without a seed another one: a run that goes on would train on other
    problems, and compare its validations on those with its earlier ones.
    """
    if config.data.seed is None:
        OmegaConf.update(config, "data.seed", DEFAULT_SEED)
