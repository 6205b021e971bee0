"""Which device a run is for, found without importing torch (which takes seconds)."""

import os
from collections.abc import Sequence
from glob import glob

DEVICE_FILES = ("/dev/nvidia[0-9]*", "/dev/kfd", "/dev/davinci[0-9]*")
"""What the drivers of CUDA, ROCm and Ascend devices create."""

HIDING_VARIABLES = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ASCEND_RT_VISIBLE_DEVICES")


def num_accelerators() -> int:
    """How many accelerators this process may use; 0 when one of the usual variables hides them all."""
    for variable in HIDING_VARIABLES:
        if os.environ.get(variable, "x").strip() in ("", "-1"):
            return 0
    return sum(len(glob(pattern)) for pattern in DEVICE_FILES)


def chosen_device(overrides: Sequence[str]) -> str | None:
    """The value of a ``device=`` override, or None when the caller left the choice to us."""
    for override in reversed(overrides):
        name, _, value = override.partition("=")
        if name == "device":
            return value
    return None
