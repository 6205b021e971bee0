"""The packages of this environment beside those of a lock file (``requirements/``); read from the names of folders.

``importlib.metadata`` opens a file for each package: half a second for an environment that trains.
"""

import re
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from packaging.version import InvalidVersion, Version

LOCKS = Path(__file__).parents[2] / "requirements"
"""There where the package runs from its checkout."""
INFO = ".dist-info"


class OtherVersion(NamedTuple):
    """A package that is not the locked one."""

    name: str
    locked: str
    installed: str | None
    """None: it is not there."""

    def __str__(self) -> str:
        return f"{self.name} {self.installed or 'missing'} (locked {self.locked})"


def canonical(name: str) -> str:
    """The one spelling of a package's name."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_lock(path: Path) -> dict[str, str]:
    """Name -> version of a file of lines ``name==version``."""
    lines = [line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines()]
    pairs = [line.partition("==") for line in lines if line]
    return {canonical(name): locked for name, _, locked in pairs}


def installed_versions(folders: Iterable[str] | None = None) -> dict[str, str]:
    """Name -> version of every package in ``folders``, by default those that Python looks for modules in."""
    found: dict[str, str] = {}
    for folder in map(Path, sys.path if folders is None else folders):
        if not folder.is_dir():
            continue
        for entry in folder.glob(f"*{INFO}"):
            name, _, number = entry.name.removesuffix(INFO).partition("-")
            found.setdefault(canonical(name), number)
    return found


def other_versions(locked: Mapping[str, str], installed: Mapping[str, str]) -> list[OtherVersion]:
    """What differs from the lock. A build's label (torch's ``+cpu``) is no difference."""
    return [
        OtherVersion(name, wanted, found)
        for name, wanted in locked.items()
        if not _is_same(wanted, found := installed.get(name) or _elsewhere(name))
    ]


def _elsewhere(name: str) -> str | None:
    """Of a package that is installed in another way than from a wheel."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _is_same(wanted: str, found: str | None) -> bool:
    if found is None:
        return False
    try:
        return Version(found).public == Version(wanted).public
    except InvalidVersion:
        return found == wanted
