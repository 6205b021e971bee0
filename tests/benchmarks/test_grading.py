import os
import subprocess
import sys
from pathlib import Path


def test_the_papers_forked_comparison_is_silent():
    """Its child may start no threads, and OpenBLAS ends a process that cannot start those it is to have."""
    program = """
import multiprocessing, grading
grading.load_libraries("paper")
context = multiprocessing.get_context("fork")
verdicts = context.SimpleQueue()
child = context.Process(target=grading.put_verdict, args=("(x+1)^2", "x^2+2x+1", verdicts))
child.start()
child.join()
print(child.exitcode, verdicts.get() if child.exitcode == 0 else None)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"OPENBLAS_NUM_THREADS": "64"},
        cwd=Path(__file__).parents[2] / "benchmarks",
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("0 True\n", "")
