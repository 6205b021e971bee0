"""YAML files that set the launcher's options: read with an error that names the place, and written in hydra's words."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
"""It becomes a folder's."""


def read_yaml(path: Path, keys: Sequence[str]) -> dict[str, Any]:
    """The content of a file, under the keys that it may have.

    Raises:
        ValueError: It cannot be read, is no YAML, or has another key; the nearest is named.
    """
    try:
        content = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}.") from None
    except (YAMLError, OmegaConfBaseException, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} must have the keys {', '.join(keys[:-1])} and {keys[-1]}.")
    named = {str(key): value for key, value in content.items()}
    check_keys(named, keys, str(path))
    return named


def check_keys(content: Iterable[Any], known: Sequence[str], where: str) -> None:
    """Every key is one of ``known``; raises ValueError with the nearest."""
    for key in content:
        if key not in known:
            near = get_close_matches(str(key), known, n=1)
            hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(known)}."
            raise ValueError(f"{where} has no key {key}. {hint}")


def flat_options(given: Any, where: str, refused: Mapping[str, str]) -> dict[str, Any]:
    """Dotted options, from dotted keys and sections of them.

    Args:
        given: What a file has there; None: no options.
        where: The place, for errors.
        refused: Options that are not to be set, with the reason.

    Raises:
        ValueError: There is something else, or an option that is refused.
    """
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise ValueError(f"{where} must have options as name: value, got {given}.")
    options = dict(_flat(given))
    for name, why in refused.items():
        if name in options:
            raise ValueError(f"{where} cannot set {name}: {why}.")
    return options


def _flat(options: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in options.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def as_overrides(options: Mapping[str, Any]) -> list[str]:
    """Options in hydra's words."""
    return [f"{name}={as_hydra(value)}" for name, value in options.items()]


def as_hydra(value: Any) -> str:
    """A plain value as it is written behind an option's equals sign."""
    if value is None:
        return "null"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{as_hydra(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(as_hydra(inner) for inner in value) + "]"
    return str(value)
