"""How many threads the libraries of a process start. They read these variables when they are first loaded."""

import os

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
ONE_THREAD = dict.fromkeys(THREAD_VARIABLES, "1")
"""For a process whose arrays are small, or beside which others use the cores: more threads would wait for each other."""


def use_one_thread() -> None:
    """Ask for ``ONE_THREAD`` in this process and its children; what the caller has set stays."""
    for name, value in ONE_THREAD.items():
        os.environ.setdefault(name, value)
