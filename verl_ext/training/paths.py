"""Paths as users give them: local, or somewhere that only verl and vLLM can read from."""

import re
from typing import Any

SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
PACKAGE = "pkg://"


def is_remote(path: Any) -> bool:
    """Whether ``path`` is an address (hdfs://, s3://, ...), whose content cannot be looked at before the launch."""
    return SCHEME.match(str(path)) is not None and not str(path).startswith(PACKAGE)


def local_files(value: Any) -> list[str]:
    """The paths of an option that takes one or a list of them."""
    return [value] if isinstance(value, str) else [str(path) for path in value]
