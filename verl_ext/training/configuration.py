"""Compose the configuration: verl's, this package's keys, the device, then the caller's overrides.

Nothing here imports verl or torch, so that a wrong option is reported in a second and not after the stack has loaded.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from difflib import get_close_matches
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from verl_ext.host.vllm_on_cpu import register_variables
from verl_ext.training.attention import choose as choose_attention
from verl_ext.training.deterministic import choose_order
from verl_ext.training.device import chosen_device, default_device, device_defaults
from verl_ext.training.head import choose as choose_head
from verl_ext.training.moved_options import fully_async_option, moved_option
from verl_ext.training.option_limits import Kinds
from verl_ext.training.option_types import OPEN_ENDED, is_text, option_kinds
from verl_ext.training.processor_use import choose as choose_precision_and_threads
from verl_ext.training.rollout_log_probs import choose_log_probs

CONFIG_DIR = Path(__file__).parent / "config"
CONFIG_NAME = "trainer"
DEVICES = ("cpu", "gpu")
GROUPS = ("device", "preset", "recipe")
FILES = ("data.train_files", "data.val_files")
PATH_ENDINGS = ("path", "_dir", "_files")
MEMBER = r"""(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^,])+"""
"""One member of a list: quoted text, in which a comma is a comma, or anything else up to the next comma."""


register_variables()


def verl_config_dir() -> Path:
    """Where the installed verl keeps its configuration files; found without importing it."""
    spec = find_spec("verl")
    if spec is None or not spec.submodule_search_locations:
        raise ValueError("verl is not installed here. bash scripts/install.sh sets up an environment that has it.")
    return Path(spec.submodule_search_locations[0]) / "trainer" / "config"


def option_names(config: Any, prefix: str = "") -> Iterator[str]:
    """Yield the dotted name of every option in ``config``, sections included."""
    for name in config:
        yield f"{prefix}{name}"
        value = config._get_node(name)
        if isinstance(value, DictConfig) and not value._is_none():
            yield from option_names(value, f"{prefix}{name}.")


def _unknown_option(overrides: Sequence[str], device: str) -> str | None:
    """A message naming the first override whose option does not exist, with the nearest that does."""
    refused = moved_option(overrides) or fully_async_option(overrides)
    if refused is not None:
        return refused
    names = [*GROUPS, *option_names(_default(device))]
    for override in overrides:
        name = override.partition("=")[0].lstrip("~")
        if name in names or name[:1] == "+" or "@" in name or name.startswith("hydra."):
            continue
        section, _, key = name.rpartition(".")
        while section not in names and section:
            section, _, parent = section.rpartition(".")
            key = f"{parent}.{key}"
        if "=" not in override and override[:1] != "~":
            return f"{override} is not an option: options are written name=value, like data.seed=1."
        near = get_close_matches(name, names, n=1, cutoff=0.6)
        hint = f" Did you mean {near[0]}?" if near else ""
        return f"{section or 'The configuration'} has no option {key}.{hint} (A new key needs a + in front.)"
    return None


def _compose(overrides: Sequence[str]) -> DictConfig:
    """What hydra composes, most of whose time goes into reading files.

    Where ``overrides`` are choices of files (``GROUPS``) and values, the choices are composed once in a process, and the
    values are put into a copy of that, as hydra does last.
    """
    choices = tuple(override for override in overrides if override.partition("=")[0] in GROUPS)
    values = [override for override in overrides if _is_value(override)]
    if len(choices) + len(values) < len(overrides):
        return _composed_by_hydra(tuple(overrides))
    parsed = OverridesParser.create().parse_overrides(values)
    if any(override.is_sweep_override() for override in parsed):
        return _composed_by_hydra(tuple(overrides))  # which says what is wrong
    config = deepcopy(_composed_of_files(choices))
    ConfigLoaderImpl._apply_overrides_to_config(parsed, config)
    return config


def _is_value(override: str) -> bool:
    """Whether an override changes the value of an option, and nothing of which files are read."""
    name = override.partition("=")[0].lstrip("+~")
    if "@" in name or name.startswith("hydra"):
        return False
    return "." in name or not any(os.path.isdir(folder / name) for folder in (CONFIG_DIR, verl_config_dir()))


@cache
def _composed_of_files(choices: tuple[str, ...]) -> DictConfig:
    """Not to be changed by the caller."""
    return _composed_by_hydra(choices)


def _composed_by_hydra(overrides: tuple[str, ...]) -> DictConfig:
    with initialize_config_dir(config_dir=str(CONFIG_DIR), version_base=None):
        return compose(
            config_name=CONFIG_NAME,
            overrides=[*overrides, f"hydra.searchpath=[file://{verl_config_dir()}]"],
        )


def _default(device: str) -> DictConfig:
    """Not to be changed by the caller."""
    return _composed_of_files((f"device={device}",))


@cache
def default_options(device: str) -> dict[str, Any]:
    """The configuration that nobody has changed, as plain containers; not to be changed by the caller."""
    return resolved(_default(device))


@cache
def kinds_of_options(device: str) -> dict[str, Kinds]:
    """What each option may hold, by its dotted name."""
    return dict(option_kinds(default_options(device)))


def _quoted(text: str) -> str:
    """``text`` as hydra reads it back, whatever is in it; interpolations stay what they are."""
    if text[:1] in ("'", '"') and text[-1:] == text[:1] and len(text) > 1:
        return text
    text = re.sub(r"(\\*)'", r"\1\1\\'", text)
    return "'" + re.sub(r"(\\+)$", r"\1\1", text) + "'"


def _as_text(override: str, kinds: Mapping[str, Kinds]) -> str:
    """Quote the value of an option that holds a text.

    hydra would read 2025_11_26 as a number, and stumble over a name with an equals sign, a brace or an accent.
    """
    name, is_given, value = override.partition("=")
    option = name.lstrip("+")
    if not is_given or value in ("", "null"):
        return override
    if is_text(kinds.get(option, OPEN_ENDED)):
        return f"{name}={_quoted(value)}"
    if option in FILES:
        if not (value.startswith("[") and value.endswith("]")):
            return f"{name}={_quoted(value)}"
        members = [member.strip() for member in re.findall(MEMBER, value[1:-1])]
        return f"{name}=[{','.join(_quoted(member) for member in members if member)}]"
    return override


def _expand_home(config: DictConfig, overrides: Sequence[str]) -> None:
    """Put the home folder in the place of ~ where a path was given: no shell does that behind an equals sign."""
    for override in overrides:
        option = override.partition("=")[0].lstrip("+")
        value = OmegaConf.select(config, option) if option.endswith(PATH_ENDINGS) else None
        # Written only where something changes: a name with ${ in it, once read, would be read as an option's name again.
        if isinstance(value, str) and value.startswith("~"):
            OmegaConf.update(config, option, _expanded(value))
        elif isinstance(value, ListConfig) and any(str(path).startswith("~") for path in value):
            OmegaConf.update(config, option, [_expanded(str(path)) for path in value])


def _expanded(path: str) -> str:
    return os.path.expanduser(path).replace("${", r"\${")


def compose_config(overrides: Sequence[str], *, device: str) -> DictConfig:
    """Return the configuration for command line ``overrides`` in hydra's syntax.

    Args:
        overrides: ``name=value`` pairs; they win over everything else. ``device=`` among them wins over ``device``.
        device: ``gpu`` or ``cpu``, the configuration group applied before the overrides.

    Raises:
        ValueError: An option does not exist (the nearest is named), or a value does not fit its option.
    """
    if device not in DEVICES:
        raise ValueError(f"device must be one of {', '.join(DEVICES)}, got {device}.")
    given = [override for override in overrides if not override.startswith("device=")]
    kinds = kinds_of_options(device)
    try:
        config = _compose([f"device={device}", *(_as_text(override, kinds) for override in given)])
        _expand_home(config, given)
    except (HydraException, OmegaConfBaseException) as error:
        message = _unknown_option(overrides, device)
        if message is None:
            message = re.sub(r"\n.*(full_key|reference_type|object_type|See https).*", "", str(error)).strip()
        raise ValueError(message) from error
    choose_attention(config)
    choose_precision_and_threads(config)
    choose_head(config)
    choose_log_probs(config)
    choose_order(config)
    return config


def compose_on_device(overrides: Sequence[str]) -> DictConfig:
    """The configuration of a run on the device that ``overrides`` name, else on what is visible; raises ValueError."""
    device = chosen_device(overrides) or default_device(overrides).device
    return compose_config([*device_defaults(overrides, device), *overrides], device=device)


def resolved(config: DictConfig) -> dict[str, Any]:
    """The configuration as plain containers with every interpolation resolved."""
    container = OmegaConf.to_container(config, resolve=True)
    assert isinstance(container, dict)
    return container  # type: ignore[return-value]


def leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every option of a plain configuration that is no section, with its dotted name."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{name}.{key}" if name else str(key))
    else:
        yield name, value
