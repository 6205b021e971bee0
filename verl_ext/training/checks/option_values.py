"""Every option holds what it can hold, verl's own among them: ``no`` is a text, and a text is not False."""

from collections.abc import Mapping
from typing import Any

from omegaconf import OmegaConf

from verl_ext.training.configuration import default_options, kinds_of_options, leaves, resolved
from verl_ext.training.option_types import OPEN_ENDED, fault


def check_types(config: Any) -> None:
    """The kind, the range and the choices of every option that is not at its default."""
    device = "cpu" if config.trainer.device == "cpu" else "gpu"
    defaults = dict(leaves(default_options(device)))
    sections = set(_sections(default_options(device)))
    kinds = kinds_of_options(device)
    followers = []
    for option, value in leaves(resolved(config)):
        if option in sections and value is not None:
            raise ValueError(f"{option} is a section of options, got {value}. Name the option in it.")
        if option in defaults and value == defaults[option] and type(value) is type(defaults[option]):
            continue
        found = fault(option, value, kinds.get(option, OPEN_ENDED))
        if found is not None and not _follows(config, option):
            raise ValueError(found)
        if found is not None:
            followers.append(found)
    if followers:
        raise ValueError(followers[0])


def _follows(config: Any, option: str) -> bool:
    """Whether the option takes the value of another one, which is the one that was typed."""
    section, _, key = option.rpartition(".")
    return OmegaConf.is_interpolation(OmegaConf.select(config, section) if section else config, key)


def _sections(options: Mapping[str, Any], prefix: str = "") -> list[str]:
    names = []
    for key, value in options.items():
        if isinstance(value, dict) and value:
            names += [f"{prefix}{key}", *_sections(value, f"{prefix}{key}.")]
    return names
