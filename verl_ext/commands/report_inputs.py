"""What ``python -m verl_ext.report PATH...`` is about: studies, runs and files of answers, found in what was named."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from verl_ext.host.command_line import shown, typed_path
from verl_ext.host.files import read_object
from verl_ext.metrics.generations import ENDINGS, find_files, stem
from verl_ext.report.run_logs import is_run
from verl_ext.study.study_record import NAME as STUDY_RECORD

_DEPTH = 2
"""Folders below a named one that are looked into."""
_EXAMPLE = "Name a run's folder, a study's folder, a file of answers, or a folder with some of them."


@dataclass
class NamedInputs:
    """Each by the name that it has on the page."""

    studies: dict[str, Path] = field(default_factory=dict)
    runs: dict[str, Path] = field(default_factory=dict)
    answers: dict[str, Path] = field(default_factory=dict)

    def add(self, kind: str, name: str, path: Path) -> None:
        """Raises ValueError where another of the kind has the name."""
        places: dict[str, Path] = getattr(self, kind)
        if name in places and not places[name].samefile(path):
            raise ValueError(
                f"{shown(places[name])} and {shown(path)} are both called {name}. Give one another name: NAME={shown(path)}."
            )
        places[name] = path


def find_inputs(texts: Sequence[str]) -> NamedInputs:
    """Look at each path.

    Args:
        texts: As they were typed: PATH, NAME=PATH, or a pattern of files.

    Raises:
        ValueError: There is no such path, nothing in it can be shown, or two things have one name.
    """
    found = NamedInputs()
    for text in texts:
        name, path = _named(text)
        if not path.is_dir():
            files = find_files(str(path))
            for file in files:
                found.add("answers", name if name and len(files) == 1 else _joined(name, stem(file)), file)
            continue
        things = list(_things_in(path, _DEPTH))
        if not things:
            raise ValueError(f"{shown(path)} has no run, no study and no file of answers in it. {_EXAMPLE}")
        for kind, thing in things:
            own = stem(thing) if kind == "answers" else thing.resolve().name
            found.add(kind, name if name and len(things) == 1 else _joined(name, own), thing)
    return found


def _named(text: str) -> tuple[str, Path]:
    """A path may have = in it, as folders of a grid have."""
    name, mark, rest = text.partition("=")
    if mark and name and "/" not in name and rest and not typed_path(text).exists():
        return name, typed_path(rest)
    return "", typed_path(text)


def _joined(name: str, own: str) -> str:
    return f"{name}-{own}" if name else own


def _things_in(folder: Path, depth: int) -> Iterator[tuple[str, Path]]:
    """(Kind, place) of what is in a folder; a run and a study are not looked into."""
    if _is_study(folder):
        yield "studies", folder
    elif is_run(folder):
        yield "runs", folder
    else:
        if any(path.name.endswith(ENDINGS) and path.is_file() for path in folder.iterdir()):
            yield from (("answers", file) for file in find_files(str(folder)))
        for below in sorted(folder.iterdir()) if depth else ():
            if below.is_dir() and not below.name.startswith("."):
                yield from _things_in(below, depth - 1)


def _is_study(folder: Path) -> bool:
    """Whether a folder is one that ``verl_ext.study`` runs in; ``report study`` writes a file of the same name."""
    path = folder / STUDY_RECORD
    return path.is_file() and {"file", "runs"} <= read_object(path).keys()
