"""The control groups of this process, in which a container or a scheduler limits memory and cores (versions 1 and 2)."""

from collections.abc import Iterator
from pathlib import Path

CGROUPS, OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def groups_of(controller: str, cgroups: Path = CGROUPS, own: Path = OWN) -> Iterator[Path]:
    """The folders of this process's groups, and those of the groups around them.

    In a container the path is often that outside of it, while the mounted folder is the container's own: then only the
    mounted folder is found.

    Args:
        controller: Whose limits are asked for: ``memory`` or ``cpu``.
        cgroups: Where control groups are mounted.
        own: The file that names this process's groups.
    """
    if not own.is_file():
        return
    for line in own.read_text(encoding="utf-8").splitlines():
        _, controllers, name = line.split(":", 2)
        if controllers == "":
            roots = [cgroups, cgroups / "unified"]
        elif controller in controllers.split(","):
            roots = [cgroups / controller, cgroups / controllers]
        else:
            continue
        inner = Path(name.lstrip("/"))
        for root in roots:
            yield from (root / part for part in (inner, *inner.parents))
