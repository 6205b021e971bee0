"""A folder has one worker at a time, and is free when the last process that holds it is gone."""

import subprocess
import sys

import pytest

from verl_ext.host.folder_lock import BusyError, locked


def test_a_second_process_is_refused_until_the_first_lets_go(tmp_path):
    with locked(tmp_path / "new", "The stages"):
        with (
            pytest.raises(BusyError, match=r"^The stages in .*new are being run by another process\.$"),
            locked(tmp_path / "new", "The stages"),
        ):
            pass
        with locked(tmp_path / "other", "The stages"):
            pass
    with locked(tmp_path / "new", "The stages"):
        pass


def test_a_child_that_has_the_descriptor_holds_it_too(tmp_path):
    with locked(tmp_path, "The stages") as lock:
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[lock])
    with pytest.raises(BusyError), locked(tmp_path, "The stages"):
        pass
    child.communicate(b"\n")
    with locked(tmp_path, "The stages"):
        pass
