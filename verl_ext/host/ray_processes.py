"""What Ray has left on this machine, or has running: its processes and the folders of its sessions, of this user."""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import psutil

DAEMONS = ("raylet", "gcs_server")
SESSION = re.compile(r"session_\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d_\d+_(\d+)")
"""The folder of a Ray, and in the arguments of its processes; ends in the id of the process that has started it."""
CURRENT = "ray_current_cluster"
"""The file in which ``ray start`` notes its address."""
LONGEST_SOCKET_PATH = 107
"""Bytes that Linux takes."""
SOCKET_BELOW_SESSION = "sockets/plasma_store"


class RayInstance(NamedTuple):
    """The processes of one Ray on this machine."""

    session: str
    processes: tuple[int, ...]
    owner: int | None
    """The process that has started it and lives on; None: it has ended, as it does after ``ray start``."""


def temporary_folder(variables: Mapping[str, str] | None = None) -> Path:
    """Where Ray puts its sessions, sockets and logs, below a folder of its own."""
    values = os.environ if variables is None else variables
    return Path(values.get("RAY_TMPDIR") or values.get("TMPDIR") or "/tmp") / "ray"


def longest_socket_path(folder: Path) -> str:
    """The name of a socket that Ray would make in ``folder`` today, at its longest."""
    return str(folder / "session_2026-01-01_00-00-00_000000_4194304" / SOCKET_BELOW_SESSION)


def started_cluster(folder: Path) -> str | None:
    """The address that ``ray start`` has noted in ``temporary_folder()``; None where it has not, or ``ray stop`` was there."""
    try:
        return (folder / CURRENT).read_text(encoding="utf-8").strip() or None
    except OSError:
        return None


def instances(processes: Iterable[psutil.Process] | None = None) -> list[RayInstance]:
    """Every Ray of this user, by session.

    Args:
        processes: To look among; by default all.
    """
    of_session: dict[str, list[psutil.Process]] = {}
    own = os.getuid()
    for process in psutil.process_iter() if processes is None else processes:
        try:
            if process.name() in DAEMONS and process.uids().real == own:
                session = _session_of(process)
                of_session.setdefault(session, []).append(process)
        except psutil.Error:
            continue  # it has ended meanwhile
    return [
        RayInstance(session, tuple(sorted(process.pid for process in group)), _owner_of(session, group))
        for session, group in sorted(of_session.items())
    ]


def _session_of(process: psutil.Process) -> str:
    found = SESSION.search(" ".join(process.cmdline()))
    return found[0] if found else f"process {process.pid}"


def _owner_of(session: str, group: Iterable[psutil.Process]) -> int | None:
    """The process whose id the session bears, if it is older than the session's processes: ids are used again."""
    found = SESSION.fullmatch(session)
    if found is None:
        return None
    try:
        owner = psutil.Process(int(found[1]))
        is_older = all(owner.create_time() <= process.create_time() for process in group)
    except psutil.Error:
        return None
    return owner.pid if is_older else None


def ended_sessions(folder: Path, running: Iterable[str]) -> list[Path]:
    """Folders of sessions of this user that no process belongs to any more.

    Args:
        folder: ``temporary_folder()``.
        running: The sessions of ``instances``.
    """
    if not folder.is_dir():
        return []
    in_use = set(running)
    return sorted(
        entry
        for entry in folder.iterdir()
        if SESSION.fullmatch(entry.name)
        and not entry.is_symlink()
        and entry.name not in in_use
        and entry.stat().st_uid == os.getuid()
    )


def size_of(folders: Iterable[Path]) -> int:
    """Bytes of the files in ``folders``."""
    total = 0
    for folder in folders:
        for path in folder.rglob("*"):
            try:
                total += path.stat().st_size if path.is_file() and not path.is_symlink() else 0
            except OSError:
                continue  # it has gone meanwhile, or is not ours to look at
    return total
