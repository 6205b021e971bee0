"""A YAML file of a study: options of all runs, a grid of what they differ in, further runs, and seeds.

options:
  actor_rollout_ref.rollout.n: 16
grid:
  objective:                                      # an axis; a run for each of its values, with the value's options
    nsr: {algorithm.adv_estimator: nsr}
    psr: {algorithm.adv_estimator: psr}
  actor_rollout_ref.actor.optim.lr: [1e-5, 1e-4]  # an axis that is one option
runs:                                             # beside the grid
  - name: grpo
    options: {algorithm.adv_estimator: grpo}
seeds: [1, 2, 3]                                  # each of these runs with each seed
compare:                                          # what the study is about; without it, all pairs
  psr: [nsr]                                      # nsr against psr, two values of an axis
  grpo: [nsr-lr_1e-05, psr-lr_1e-05]              # two runs, each against grpo

These are the runs nsr-lr_1e-05-seed1 to psr-lr_0.0001-seed3 and grpo-seed1 to grpo-seed3.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from verl_ext.analysis.grid_pairs import PrimaryPair
from verl_ext.study.primary_pairs import COMPARE, primary_pairs
from verl_ext.training.option_file import RUN_NAME, as_hydra, as_overrides, check_keys, flat_options, read_yaml

FILE_KEYS = ("options", "grid", "runs", "seeds", COMPARE)
RUN_KEYS = ("name", "options")
SEED_AXIS = "seed"
SEED_OPTIONS = ("data.seed", "actor_rollout_ref.rollout.seed", "actor_rollout_ref.actor.data_loader_seed")
"""What is drawn in a run: the order of the data, the answers, the mini-batches where they are shuffled."""
DECIDED_HERE = {
    "trainer.output_dir": "every run gets a folder of its own in the study's",
    "trainer.default_local_dir": "every run gets a folder of its own in the study's",
    "trainer.resume_mode": "a run goes on from where it was",
    "trainer.resume_from_path": "a run goes on from where it was",
}


@dataclass(frozen=True)
class GridRun:
    """A run of a study."""

    name: str
    """Of its folder, too."""
    place: Mapping[str, str]
    """Axis -> the name of the run's value there; empty for one beside the grid, but for its seed."""
    common: Mapping[str, Any]
    """Options of all runs, by dotted name."""
    own: Mapping[str, Any]
    """Its own options, which win over those."""

    @property
    def cell(self) -> str:
        """The name without the seed, of all runs that differ in their seeds alone."""
        seed = self.place.get(SEED_AXIS, "")
        return self.name.removesuffix(seed).removesuffix("-") or "run"

    @property
    def overrides(self) -> list[str]:
        """The options in hydra's words."""
        return as_overrides({**self.common, **self.own})


@dataclass(frozen=True)
class StudyFile:
    """What a file of a study says."""

    runs: list[GridRun]
    """Of the grid, its last axis fastest, then those beside it; of each its seeds."""
    primary: list[PrimaryPair]
    """The comparisons that it is about; empty where the file names none: all of them."""


@dataclass(frozen=True)
class _Part:
    """A value of an axis, or a run beside the grid: what it puts into a run's name, and its options."""

    axis: str
    value: str
    options: Mapping[str, Any]


def read_study(path: Path) -> StudyFile:
    """The runs of a file, and what it compares.

    Raises:
        ValueError: It is no such file, or asks for something that a study cannot have; names the place.
    """
    content = read_yaml(path, FILE_KEYS)
    common = flat_options(content.get("options"), f"{path}: options", DECIDED_HERE)
    axes = _axes(content.get("grid"), f"{path}: grid")
    beside = _beside(content.get("runs"), f"{path}: run")
    seeds = _seeds(content.get("seeds"), f"{path}: seeds")
    if not (axes or beside or seeds):
        raise ValueError(f"{path} has no run: it needs a grid, runs or seeds.")
    rows: list[tuple[_Part, ...]] = [(one,) for one in beside]
    if axes or not beside:
        rows = [*product(*axes), *rows]
    of_a_run: list[tuple[_Part, ...]] = [(seed,) for seed in seeds] or [()]
    runs = [_run(common, (*row, *seed), str(path)) for row in rows for seed in of_a_run]
    names = [run.name for run in runs]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"{path} has two runs of the name {twice[0]}. Each needs one of its own.")
    values = {axis[0].axis: [part.value for part in axis] for axis in axes}
    cells = list(dict.fromkeys(run.cell for run in runs))
    return StudyFile(runs, primary_pairs(content.get(COMPARE), cells, values, f"{path}: {COMPARE}"))


def read_grid(path: Path) -> list[GridRun]:
    """The runs of a file; see ``read_study``."""
    return read_study(path).runs


def _run(common: Mapping[str, Any], parts: Sequence[_Part], where: str) -> GridRun:
    setters: dict[str, str] = {}
    own: dict[str, Any] = {}
    for part in parts:
        setter = part.axis or part.value
        for name, value in part.options.items():
            if name in setters:
                raise ValueError(f"{where}: {setters[name]} and {setter} both set {name}. Only one of them can.")
            setters[name], own[name] = setter, value
    name = "-".join(part.value for part in parts)
    return GridRun(name, {part.axis: part.value for part in parts if part.axis}, common, own)


def _axes(given: Any, where: str) -> list[list[_Part]]:
    if given is None:
        return []
    if not isinstance(given, dict):
        raise ValueError(f"{where} must have axes as name: values, got {given}.")
    return [_axis(str(name), values, f"{where}: {name}") for name, values in given.items()]


def _axis(axis: str, values: Any, where: str) -> list[_Part]:
    """An axis of named values with options, or of values of the option that it is."""
    if axis == SEED_AXIS:
        raise ValueError(f"{where} is no axis: name the seeds under the key seeds.")
    if isinstance(values, dict) and values:
        return [
            _Part(axis, _value_name(value, where), flat_options(options, f"{where}: {value}", DECIDED_HERE))
            for value, options in values.items()
        ]
    if isinstance(values, list) and values:
        short = axis.rpartition(".")[2]
        return [
            _Part(
                axis, _value_name(f"{short}_{as_hydra(value)}", where), flat_options({axis: value}, where, DECIDED_HERE)
            )
            for value in values
        ]
    raise ValueError(f"{where} needs named values with their options, or a list of values of the option, got {values}.")


def _value_name(value: Any, where: str) -> str:
    """What a value puts into the names of runs."""
    name = str(value)
    if isinstance(value, bool):
        raise ValueError(f"{where} has a value of the name {value}: YAML takes on, off, yes and no for it. Quote them.")
    if not RUN_NAME.fullmatch(name):
        raise ValueError(
            f"{where}: {name} cannot be a part of a folder's name, which has letters, digits, -, _ and points. Name the values, "
            "and give each its options."
        )
    return name


def _beside(given: Any, where: str) -> list[_Part]:
    if given is None:
        return []
    if not isinstance(given, list):
        raise ValueError(f"{where}s must be a list of runs with {' and '.join(RUN_KEYS)}, got {given}.")
    parts = []
    for number, entry in enumerate(given, start=1):
        here = f"{where} {number}"
        if not isinstance(entry, dict):
            raise ValueError(f"{here} must have the keys {' and '.join(RUN_KEYS)}, got {entry}.")
        check_keys(entry, RUN_KEYS, here)
        if not isinstance(entry.get("name"), str):
            raise ValueError(f"{here} needs a name, got {entry.get('name')}.")
        name = _value_name(entry["name"], here)
        parts.append(_Part("", name, flat_options(entry.get("options"), f"{here} ({name})", DECIDED_HERE)))
    return parts


def _seeds(given: Any, where: str) -> list[_Part]:
    if given is None:
        return []
    is_list = isinstance(given, list) and bool(given)
    if not is_list or not all(type(seed) is int and seed >= 0 for seed in given):
        raise ValueError(f"{where} must be a list of whole numbers >= 0, such as [1, 2, 3], got {given}.")
    return [_Part(SEED_AXIS, f"{SEED_AXIS}{seed}", dict.fromkeys(SEED_OPTIONS, seed)) for seed in given]
