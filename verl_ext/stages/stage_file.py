"""A YAML file of stages: options for all of them, and of each its name, how many steps it has at most and its own options.

options:
  actor_rollout_ref.model.lora_rank: 32
stages:
  - name: initial
    steps: 300
    options:
      actor_rollout_ref.rollout.top_p: 0.7
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verl_ext.training.option_file import RUN_NAME, as_overrides, check_keys, flat_options, read_yaml

FILE_KEYS = ("options", "stages")
STAGE_KEYS = ("name", "steps", "options")
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
        return as_overrides(self.options)


def read_stages(path: Path) -> list[Stage]:
    """The stages of a file, in their order.

    Raises:
        ValueError: It is no such file, or asks for something that stages cannot have; names the place.
    """
    content = read_yaml(path, FILE_KEYS)
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


def _stage(entry: Any, where: str, common: Mapping[str, Any]) -> Stage:
    if not isinstance(entry, dict):
        raise ValueError(f"{where} must have the keys {', '.join(STAGE_KEYS)}, got {entry}.")
    check_keys(entry, STAGE_KEYS, where)
    name, steps = entry.get("name"), entry.get("steps")
    if not isinstance(name, str) or not RUN_NAME.fullmatch(name):
        raise ValueError(f"{where} needs a name of letters, digits, - and _, got {name}.")
    where = f"{where} ({name})"
    if type(steps) is not int or steps < 1:
        raise ValueError(f"{where} needs steps, a whole number >= 1, got {steps}.")
    return Stage(name, steps, {**common, **_options(entry.get("options"), where, DECIDED_HERE | OF_THE_FIRST)})


def _options(given: Any, where: str, refused: Mapping[str, str]) -> dict[str, Any]:
    """Dotted options of a stage or of all."""
    options = flat_options(given, where, refused)
    if options.get(LORA_RANK) == 0:
        raise ValueError(
            f"{where} has {LORA_RANK}: 0, which is no adapter. Leave it out of all stages to train every weight."
        )
    return options
