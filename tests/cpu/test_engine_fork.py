"""The fork of vLLM's engine from the trainer's process."""

import subprocess
import sys

import psutil
import pytest

from verl_ext.cpu.engine_fork import EngineFork

TRAINER = """
import multiprocessing, os, signal, sys, time
from verl_ext.cpu.engine_fork import EngineFork
fork = EngineFork()
engine = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,))
engine.start()
fork.wait()
print(engine.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_engine_ends_with_a_trainer_that_is_killed():
    done = subprocess.run([sys.executable, "-c", TRAINER], capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr
    engine = int(done.stdout)
    try:
        psutil.Process(engine).wait(timeout=60)
    except psutil.NoSuchProcess:
        return
    assert not psutil.pid_exists(engine)


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
def test_a_server_that_fails_before_it_forks_is_not_waited_for():
    fork = EngineFork()
    fork.is_over()
    fork.wait()
