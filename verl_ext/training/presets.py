"""What a run changes against the paper's settings that it names: read from the preset's files and the final options.

A preset (``preset=MODEL``) and a recipe (``recipe=ALGORITHM``) are configuration groups; whatever comes later, the device
or the command line, wins over them. This says where it did, so that nobody compares a run with the paper by its name.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from verl_ext.training.configuration import CONFIG_DIR, leaves

GROUPS = ("preset", "recipe")
NONE = "none"


class PresetDifference(NamedTuple):
    option: str
    preset: Any
    run: Any


def chosen(overrides: Sequence[str]) -> dict[str, str]:
    """The preset and the recipe that the command line names; ``none`` where it names none."""
    names = dict.fromkeys(GROUPS, NONE)
    for override in overrides:
        group, _, name = override.partition("=")
        if group in names:
            names[group] = name
    return names


def pinned(group: str, name: str) -> dict[str, Any]:
    """The options that a preset's file sets, and those of the files it builds on, by their dotted names."""
    path = CONFIG_DIR / group / f"{name}.yaml"
    content = OmegaConf.load(path)
    assert isinstance(content, DictConfig)
    options: dict[str, Any] = {}
    for base in content.pop("defaults", []):
        if base != "_self_":
            options |= pinned(group, base)
    return options | dict(leaves(OmegaConf.to_container(content, resolve=False)))


def differences(config: DictConfig, overrides: Sequence[str]) -> list[PresetDifference]:
    """Every option that the chosen preset and recipe pin and that the run sets differently, in the files' order."""
    names = chosen(overrides)
    options: dict[str, Any] = {}
    for group in GROUPS:
        options |= pinned(group, names[group])
    found = []
    for option, value in options.items():
        if isinstance(value, str) and "${" in value:
            continue  # follows another option
        actual = OmegaConf.select(config, option)
        actual = OmegaConf.to_container(actual) if OmegaConf.is_config(actual) else actual
        if actual != value:
            found.append(PresetDifference(option, value, actual))
    return found


def table(found: Sequence[PresetDifference], names: dict[str, str]) -> str:
    """The differences for a reader; empty when no preset is named."""
    title = " and ".join(f"{group}={name}" for group, name in names.items() if name != NONE)
    if not title:
        return ""
    if not found:
        return f"settings: those of {title}, nothing changed"
    width = max(len(difference.option) for difference in found)
    lines = [f"  {one.option:<{width}}  {one.preset!s} -> {one.run!s}" for one in found]
    return "\n".join([f"settings: {title}, but", *lines])
