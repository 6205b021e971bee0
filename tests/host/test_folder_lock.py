"""A folder has one worker at a time, and is free when the last process that holds it is gone."""

import subprocess
import sys
import threading

import pytest

from verl_ext.host import folder_lock
from verl_ext.host.folder_lock import BusyError, locked, making


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


def test_what_is_made_is_made_by_one_and_the_lock_is_gone_with_it(tmp_path):
    with making(tmp_path / "deep" / "new"):
        with (
            pytest.raises(BusyError, match=r"new is being made by another process\.$"),
            making(tmp_path / "deep" / "new"),
        ):
            pass
        with making(tmp_path / "deep" / "other"):
            pass
    assert not [*(tmp_path / "deep").iterdir()]


def test_who_waited_holds_it_although_the_file_is_another(tmp_path, monkeypatch):
    """The first to have it removes its file, which the second has open."""
    waits, has_it, ends = threading.Event(), threading.Event(), threading.Event()

    def look_again(seconds):
        waits.set()
        threading.Event().wait(seconds)

    def second():
        with making(tmp_path / "new", 60.0):
            has_it.set()
            ends.wait()

    monkeypatch.setattr(folder_lock.time, "sleep", look_again)
    thread = threading.Thread(target=second)
    with making(tmp_path / "new"):
        thread.start()
        waits.wait()
    has_it.wait()
    try:
        with pytest.raises(BusyError), making(tmp_path / "new"):
            pass
    finally:
        ends.set()
        thread.join()
    assert not [*tmp_path.iterdir()]
