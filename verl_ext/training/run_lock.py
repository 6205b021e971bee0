"""A run has its folders for itself: a second one would write between its rows and remove its checkpoints."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TextIO

from verl_ext.host.folder_lock import BusyError, check_free, locked
from verl_ext.training.paths import is_remote, local_path

PATIENCE_SECONDS = 2.0
"""For a run that was killed just now, whose process is being cleared away."""


def _folders(config: Any) -> Iterator[tuple[str, Path]]:
    """The folders that a run writes into, each once, by their options."""
    options = ["output_dir", *(["default_local_dir"] if config.trainer.save_freq > 0 else [])]
    found: set[Path] = set()
    for option in options:
        folder = local_path(config.trainer[option]).absolute()
        if not is_remote(config.trainer[option]) and folder.resolve() not in found:
            found.add(folder.resolve())
            yield f"trainer.{option}", folder


def check_alone(config: Any) -> None:
    """No other run trains in the folders of this one."""
    for option, folder in _folders(config):
        try:
            check_free(folder, "Runs", PATIENCE_SECONDS)
        except BusyError as busy:
            raise _refusal(option, folder, busy) from None


@contextmanager
def held(config: Any) -> Iterator[None]:
    """Keep other runs out of the folders of this one.

    Raises:
        ValueError: Another is in them, or they cannot be written.
    """
    with ExitStack() as locks:
        for option, folder in _folders(config):
            try:
                locks.enter_context(locked(folder, "Runs", PATIENCE_SECONDS))
            except BusyError as busy:
                raise _refusal(option, folder, busy) from None
            except OSError as error:
                raise ValueError(f"{option}={folder} cannot be written: {error}") from None
        yield


def take(config: Any, until: ExitStack, errors: TextIO) -> bool:
    """Hold the folders of a run until ``until`` is left; False, and a line, where another has them since they were looked at."""
    try:
        until.enter_context(held(config))
    except ValueError as error:
        print(f"error: {error}", file=errors)
        return False
    return True


def _refusal(option: str, folder: Path, busy: BusyError) -> ValueError:
    who = "" if busy.process is None else f", process {busy.process} of its machine"
    return ValueError(
        f"{option}={folder}: another run trains there{who}. Wait until it has ended, stop it, or choose another folder."
    )
