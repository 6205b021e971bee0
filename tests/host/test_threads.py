"""Thread counts of a process and its children."""

import os

from verl_ext.host.threads import THREAD_VARIABLES, use_one_thread


def test_what_the_caller_set_stays(monkeypatch):
    monkeypatch.setattr(os, "environ", {"OMP_NUM_THREADS": "4"})
    use_one_thread()
    assert os.environ == dict.fromkeys(THREAD_VARIABLES, "1") | {"OMP_NUM_THREADS": "4"}
