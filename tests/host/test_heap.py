"""Freed memory goes back to the system when it is much."""

import os
import subprocess
import sys

import pytest

from verl_ext.cpu.preloaded import ld_preload
from verl_ext.host.heap import WORTH_IT, give_back, kept_bytes

CODE = """
import psutil
from verl_ext.host.heap import give_back, kept_bytes
blocks = [bytearray(60_000) for _ in range({number})]  # too small to be a mapping of its own
keeper = bytearray(60_000)  # the heap's end stays in use
before = psutil.Process().memory_info().rss
del blocks
kept = kept_bytes()
give_back()
print(kept, before - psutil.Process().memory_info().rss)
"""


@pytest.mark.skipif(not kept_bytes(), reason="this C library does not tell")
@pytest.mark.parametrize("preloaded", ["", "libjemalloc"])
@pytest.mark.parametrize("number", [100, 20000])
def test_much_is_given_back_and_little_is_kept(number, preloaded):
    """By glibc, and by the malloc that a run's process is started with, told not to give anything back by itself."""
    files = [file for file in ld_preload().split(":") if preloaded and preloaded in file]
    if preloaded and not files:
        pytest.skip("no jemalloc is installed")
    env = os.environ | {"LD_PRELOAD": ":".join(files), "MALLOC_CONF": "dirty_decay_ms:-1,muzzy_decay_ms:-1"}
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(number=number)], capture_output=True, text=True, check=True, env=env
    )
    kept, less = map(int, done.stdout.split())
    assert kept > 0.8 * 60_000 * number
    if kept >= WORTH_IT:
        assert less > 0.8 * 60_000 * number
    else:
        assert less < 0.5 * 60_000 * number
    give_back()
