"""What a run tells the person watching: the trainer emits, the launcher's console listens."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Listener = Callable[[str, dict[str, Any]], None]
STOPPING = "stopping"
"""The event after which the run only ends what it has started."""
TRAINING = "training"
"""The text of the phase before which everything of the run has been started."""
_listeners: list[Listener] = []


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Call ``listener(kind, fields)`` for every event inside ``with``, in this process."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def emit(kind: str, **fields: Any) -> None:
    """Tell the listeners; without any (a stock launch) nothing happens."""
    for listener in _listeners:
        listener(kind, fields)
