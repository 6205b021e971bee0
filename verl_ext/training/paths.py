"""Paths as users give them: local, or somewhere that only verl and vLLM can read from."""

import os
import re
from pathlib import Path
from typing import Any

SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
PACKAGE = "pkg://"


def is_remote(path: Any) -> bool:
    """Whether ``path`` is an address (hdfs://, s3://, ...), whose content cannot be looked at before the launch."""
    return SCHEME.match(str(path)) is not None and not str(path).startswith(PACKAGE)


def local_files(value: Any) -> list[str]:
    """The paths of an option that takes one or a list of them."""
    return [value] if isinstance(value, str) else [str(path) for path in value]


def local_path(path: Any) -> Path:
    """``path`` with the home folder for ~; as it is where there is no such home (pathlib would raise)."""
    return Path(os.path.expanduser(str(path)))
