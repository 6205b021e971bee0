"""A process that ends with its parent, also where the parent was faster."""

import subprocess
import sys

ORPHAN = """
import os, signal, time
from verl_ext.host.parent_death import end_with_parent
parent = os.getpid()
if os.fork() == 0:
    while os.getppid() == parent:
        time.sleep(0.01)
    end_with_parent(signal.SIGKILL, parent)
    print("alive", flush=True)
os._exit(0)
"""


def test_a_parent_that_has_died_already_ends_its_child_at_once():
    done = subprocess.run([sys.executable, "-c", ORPHAN], capture_output=True, text=True, check=True)
    assert done.stdout == ""
