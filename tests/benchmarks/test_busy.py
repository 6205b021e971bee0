"""Busy processes start and end, and a verdict that changes is counted."""

import multiprocessing
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import busy

CASES = [(r"\boxed{2\sqrt{2}}", r"\sqrt{8}", "math"), (r"\boxed{3}", "2", "math"), (r"\boxed{3}", "{", "math")]


def test_busy_processes_end_with_the_block():
    with busy.busy_processes(2):
        assert len(multiprocessing.active_children()) == 2
    assert not multiprocessing.active_children()


def test_verdicts_beside_a_busy_process_are_the_same():
    alone = busy.reasons_in_fresh_process(CASES)
    assert alone == ["correct", "incorrect", "reference refused"]
    with busy.busy_processes(1):
        assert busy.reasons_in_fresh_process(CASES) == alone


def test_changes_are_counted(capsys):
    busy.print_changes(CASES[:2], ["correct", "incorrect"], ["timed_out", "incorrect"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "2 verdicts, 1 differ"
    assert "correct, then timed_out" in lines[1]
