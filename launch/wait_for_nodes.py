#!/usr/bin/env python
"""Wait until the Ray at RAY_ADDRESS has NNODES nodes; ends with 1 where it has not after ten minutes."""

import os
import sys
import time

import ray

SECONDS = 600


def main() -> int:
    wanted = int(os.environ["NNODES"])
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        try:
            ray.init(address=os.environ["RAY_ADDRESS"], log_to_driver=False)
            break
        except ConnectionError:
            time.sleep(2)
    found = 0
    while ray.is_initialized() and time.monotonic() < until:
        found = sum(node["Alive"] for node in ray.nodes())
        if found >= wanted:
            return 0
        time.sleep(2)
    print(f"{os.environ['RAY_ADDRESS']} has {found} of {wanted} nodes after {SECONDS} s.", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
