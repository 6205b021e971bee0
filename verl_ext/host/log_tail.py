"""The end of a log file."""

from pathlib import Path

TAIL_LINES = 30


def tail(path: Path, num_lines: int = TAIL_LINES) -> str:
    """The last lines of a log file; empty when there is none."""
    if not path.exists():
        return ""
    with path.open(encoding="utf-8", errors="replace") as log:
        lines = log.readlines()[-num_lines:]
    return "".join(lines)
