"""What a run tells the person watching, from whatever process it happens in.

Ray copies every line a worker prints to the launcher. A line that starts with ``MARK`` is an event; the launcher shows
it, and writes every other line to the log file. This needs no shared file system and no extra actor.
"""

import json
from typing import Any

MARK = "@verl_ext "


def emit(kind: str, **fields: Any) -> None:
    """Print one event; ``fields`` must be JSON."""
    print(f"{MARK}{json.dumps({'kind': kind} | fields)}", flush=True)


def parse(line: str) -> dict[str, Any] | None:
    """Return the event in a line that Ray may have prefixed, or None when there is none or it is cut."""
    _, mark, text = line.partition(MARK)
    if not mark:
        return None
    try:
        event = json.loads(text)
    except json.JSONDecodeError:
        return None
    return event if isinstance(event, dict) and "kind" in event else None
