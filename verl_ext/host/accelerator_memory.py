"""What each accelerator is and how much memory it has, by the driver's own program: no import of torch."""

import subprocess
from typing import NamedTuple

SECONDS = 10.0
COMMAND = ("nvidia-smi", "--query-gpu=index,name,memory.total,memory.used", "--format=csv,noheader,nounits")
MIB = 2**20


class Accelerator(NamedTuple):
    number: int
    name: str
    total: int
    """Bytes."""
    used: int


def accelerators(command: tuple[str, ...] = COMMAND) -> list[Accelerator]:
    """Every accelerator of the machine that nvidia-smi lists.

    Raises:
        OSError: There is no such program, or it fails; says what it said.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        raise OSError(f"{command[0]} has not answered within {SECONDS:g} s") from None
    if done.returncode:
        raise OSError(f"{command[0]}: {(done.stderr or done.stdout).strip()}")
    found = []
    for line in done.stdout.splitlines():
        first, total, used = line.rsplit(",", 2)
        index, _, name = first.partition(",")
        found.append(Accelerator(int(index), name.strip(), int(total) * MIB, int(used) * MIB))
    return found
