"""Which files of answers were asked for, and of which run and step each is."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from verl_ext.host.command_line import shown, typed_path
from verl_ext.host.files import read_object
from verl_ext.metrics.generations import find_files, stem

ROLLOUTS, VALIDATIONS = "trainer.rollout_data_dir", "trainer.validation_data_dir"
_USUAL_FOLDERS = {ROLLOUTS: "rollouts", VALIDATIONS: "validation"}
_RUN_FILES = ("run.json", "metrics.jsonl")
_NAMED_STEP = re.compile(r"(?P<run>.+?)[-_. ]?(?:global[-_]?)?step[-_]?(?P<step>\d+)")


Place = tuple[str | None, str | Path]
"""What to call it, or None for the name that its path suggests; and a path or a pattern."""


@dataclass(frozen=True)
class AnswerFile:
    """A file of answers."""

    run: str
    step: int | None
    """None where its name says none."""
    path: Path


@dataclass(frozen=True)
class Found:
    """What there is of what was asked for."""

    files: Sequence[AnswerFile]
    missing: Sequence[str]
    """Sentences on what there is not."""


def find_answers(places: Sequence[Place]) -> Found:
    """The files that paths stand for, runs in the order given and their steps rising.

    A path is a generations file, a folder of them, a pattern, or the folder of a training run, whose rollout log and
    validation dumps are taken.

    Raises:
        ValueError: A path does not exist, or there is no file in all of them.
    """
    files: list[AnswerFile] = []
    missing: list[str] = []
    for name, place in places:
        path = typed_path(place)
        found = _of_run_folder(name, path) if _is_run_folder(path) else Found(_of_files(name, str(place)), ())
        files += found.files
        missing += found.missing
    if not files:
        raise ValueError(" ".join(missing) or "Name a file of answers or the folder of a run.")
    return Found(_in_order(_with_own_names(files)), missing)


def place_of(text: str) -> Place:
    """PATH or NAME=PATH as it was typed; a path that has a = in it is one where it exists."""
    name, mark, path = text.partition("=")
    if typed_path(text).exists() or not mark or not name.strip() or not path.strip():
        return None, text
    return name.strip(), path.strip()


def _is_run_folder(path: Path) -> bool:
    return path.is_dir() and any((path / name).is_file() for name in _RUN_FILES)


def _of_run_folder(name: str | None, folder: Path) -> Found:
    run = name or shown(folder.resolve().name)
    rollouts = _dumps(folder, ROLLOUTS)
    validations = _dumps(folder, VALIDATIONS)
    files = [AnswerFile(run, int(path.stem), path) for path in rollouts]
    files += [AnswerFile(f"{run}, validation" if rollouts else run, int(path.stem), path) for path in validations]
    if rollouts:
        return Found(files, ())
    rest = ", and no dumped validations either" if not validations else ""
    return Found(
        files,
        [
            f"{shown(folder)} has no rollout log{rest}: train with {ROLLOUTS}={shown(folder)}/{_USUAL_FOLDERS[ROLLOUTS]}."
        ],
    )


def _dumps(folder: Path, option: str) -> list[Path]:
    """The dumps of verl, one a step, in the folder that the run's option names; it may have been moved with the run."""
    config: Any = read_object(folder / "run.json").get("config", {}) if (folder / "run.json").is_file() else {}
    named = (config.get("trainer") or {}).get(option.removeprefix("trainer."))
    usual = folder / _USUAL_FOLDERS[option]
    places = [usual] if named is None else [folder / Path(named).name, typed_path(named)]
    place = next((place for place in places if place.is_dir()), usual)
    steps = [path for path in place.glob("*.jsonl") if path.stem.isdecimal() and path.stat().st_size]
    return sorted(steps, key=lambda path: int(path.stem))


def _of_files(name: str | None, place: str) -> list[AnswerFile]:
    found = [_from_name(path) for path in find_files(place)]
    if name is None:
        return found
    steps = [file.step for file in found]
    if len(set(steps)) == len(steps):
        return [replace(file, run=name) for file in found]
    return [replace(file, run=f"{name}, {shown(stem(file.path))}", step=None) for file in found]


def _from_name(path: Path) -> AnswerFile:
    """``nsr-step20.jsonl`` is step 20 of nsr, and ``nsr/validation/20.jsonl`` is verl's dump of it."""
    text = shown(stem(path))
    if text.isdecimal():
        folder = path.resolve().parent
        is_usual = folder.name in _USUAL_FOLDERS.values()
        return AnswerFile(shown((folder.parent if is_usual else folder).name), int(text), path)
    match = _NAMED_STEP.fullmatch(text)
    if match is None:
        return AnswerFile(text, None, path)
    return AnswerFile(match["run"], int(match["step"]), path)


def _with_own_names(files: Sequence[AnswerFile]) -> Iterator[AnswerFile]:
    """The same files; one whose run and step another has already is called by its path."""
    taken: set[tuple[str, int | None]] = set()
    for file in files:
        if (file.run, file.step) in taken:
            file = replace(file, run=f"{file.run} ({shown(file.path)})")
        taken.add((file.run, file.step))
        yield file


def _in_order(files: Iterator[AnswerFile]) -> list[AnswerFile]:
    """Runs as they were named, their steps rising."""
    by_run: dict[str, list[AnswerFile]] = {}
    for file in files:
        by_run.setdefault(file.run, []).append(file)
    return [
        file
        for of_run in by_run.values()
        for file in sorted(of_run, key=lambda file: (file.step is not None, file.step))
    ]
