"""What a run tells the person watching: the trainer emits, the launcher's console listens."""

from collections.abc import Callable
from typing import Any

Listener = Callable[[str, dict[str, Any]], None]
_listeners: list[Listener] = []


def listen(listener: Listener) -> None:
    """Call ``listener(kind, fields)`` for every event from now on, in this process."""
    _listeners.append(listener)


def emit(kind: str, **fields: Any) -> None:
    """Tell the listeners; without any (a stock launch) nothing happens."""
    for listener in _listeners:
        listener(kind, fields)
