"""A YAML file of stages: options for all of them, and of each its name, how many steps it has at most and its own options.

options:
  actor_rollout_ref.model.lora_rank: 32
stages:
  - name: initial
    steps: 300
    options:
      actor_rollout_ref.rollout.top_p: 0.7
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

FILE_KEYS = ("options", "stages")
STAGE_KEYS = ("name", "steps", "options")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
"""It becomes a folder's."""
MODEL_PATH = "actor_rollout_ref.model.path"
LORA_RANK = "actor_rollout_ref.model.lora_rank"
DECIDED_HERE = {
    "trainer.output_dir": "every stage gets a folder of its own",
    "trainer.default_local_dir": "every stage gets a folder of its own",
    "trainer.total_training_steps": "it is the stage's steps",
    "trainer.ends_early.request_file": "--reset-now writes it",
    "trainer.resume_mode": "stages go on from where they were",
    "trainer.resume_from_path": "stages go on from where they were",
}
OF_THE_FIRST = {
    MODEL_PATH: "a stage starts from what the one before it has learned; name the first model in the options of all"
}


@dataclass(frozen=True)
class Stage:
    """One of the runs that a file asks for."""

    name: str
    steps: int
    """At most."""
    options: Mapping[str, Any]
    """Those of all stages with its own over them, by dotted name."""

    @property
    def overrides(self) -> list[str]:
        """The options in hydra's words."""
        return [f"{name}={as_hydra(value)}" for name, value in self.options.items()]


def as_hydra(value: Any) -> str:
    """A plain value as it is written behind an option's equals sign."""
    if value is None:
        return "null"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{as_hydra(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(as_hydra(inner) for inner in value) + "]"
    return str(value)


def read_stages(path: Path) -> list[Stage]:
    """The stages of a file, in their order.

    Raises:
        ValueError: It is no such file, or asks for something that stages cannot have; names the place.
    """
    content = _content(path)
    _check_keys(content, FILE_KEYS, str(path))
    common = _options(content.get("options"), f"{path}: options", DECIDED_HERE)
    stages = content.get("stages")
    if not isinstance(stages, list) or not stages:
        raise ValueError(f"{path} needs a list of stages under the key stages.")
    read = [_stage(entry, f"{path}: stage {number}", common) for number, entry in enumerate(stages, start=1)]
    names = [stage.name for stage in read]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"{path} has two stages of the name {twice[0]}. Each needs one of its own.")
    return read


def _content(path: Path) -> dict[str, Any]:
    try:
        content = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}.") from None
    except (YAMLError, OmegaConfBaseException, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} must have the keys {' and '.join(FILE_KEYS)}.")
    return {str(key): value for key, value in content.items()}


def _check_keys(content: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    for key in content:
        if key not in known:
            near = get_close_matches(str(key), known, n=1)
            hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(known)}."
            raise ValueError(f"{where} has no key {key}. {hint}")


def _stage(entry: Any, where: str, common: Mapping[str, Any]) -> Stage:
    if not isinstance(entry, dict):
        raise ValueError(f"{where} must have the keys {', '.join(STAGE_KEYS)}, got {entry}.")
    _check_keys(entry, STAGE_KEYS, where)
    name, steps = entry.get("name"), entry.get("steps")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ValueError(f"{where} needs a name of letters, digits, - and _, got {name}.")
    where = f"{where} ({name})"
    if type(steps) is not int or steps < 1:
        raise ValueError(f"{where} needs steps, a whole number >= 1, got {steps}.")
    return Stage(name, steps, {**common, **_options(entry.get("options"), where, DECIDED_HERE | OF_THE_FIRST)})


def _options(given: Any, where: str, refused: Mapping[str, str]) -> dict[str, Any]:
    """Dotted options, from dotted keys and sections of them."""
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise ValueError(f"{where} must have options as name: value, got {given}.")
    options = dict(_flat(given))
    for name, why in refused.items():
        if name in options:
            raise ValueError(f"{where} cannot set {name}: {why}.")
    if options.get(LORA_RANK) == 0:
        raise ValueError(
            f"{where} has {LORA_RANK}: 0, which is no adapter. Leave it out of all stages to train every weight."
        )
    return options


def _flat(options: Mapping[Any, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in options.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
