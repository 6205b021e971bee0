"""The fork of vLLM's engine from the trainer's process."""

import subprocess
import sys

from verl_ext.cpu.engine_fork import EngineFork

TRAINER = """
import multiprocessing, os, signal
from verl_ext.cpu.engine_fork import EngineFork
fork = EngineFork()
multiprocessing.get_context("fork").Process(target=signal.pause).start()
fork.wait()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_engine_ends_with_a_trainer_that_is_killed():
    """It has the trainer's output: as long as it lives, that is not at its end, and this waits for ever."""
    done = subprocess.run([sys.executable, "-c", TRAINER], capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr


def test_a_server_that_fails_before_it_forks_is_not_waited_for():
    fork = EngineFork()
    fork.is_over()
    fork.wait()
