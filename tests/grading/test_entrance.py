import asyncio
import subprocess
import sys
from dataclasses import replace

import pytest

from verl_ext.grading import Reason, check_reference, grade, grade_async
from verl_ext.grading.answers.conventions import Conventions
from verl_ext.grading.graders import GRADERS, Grader
from verl_ext.tasks.table import DATA_SOURCES


def test_unknown_task_names_the_nearest():
    with pytest.raises(ValueError, match=r"no grader for the task .*'countdwn'. Did you mean countdown\?"):
        grade("3", {"numbers": [3], "target": 3}, "countdwn")
    with pytest.raises(ValueError, match="There is a grader for math, TianHongZXY/MATH, "):
        check_reference("x", "sudoku")


def test_a_fault_of_the_grader_is_not_a_wrong_answer(monkeypatch, caplog):
    def broken(response, reference, *, is_truncated):
        raise RuntimeError("out of paper")

    monkeypatch.setitem(GRADERS, "countdown", Grader(broken, parse_reference=str))
    verdict = grade("3", "3", "countdown")
    assert verdict.reason is Reason.GRADER_ERROR
    assert verdict.detail == "RuntimeError: out of paper"
    assert "out of paper" in caplog.text


def test_a_task_names_its_conventions_and_a_run_may_change_them(monkeypatch):
    """Training awaits ``grade_async`` and evaluation calls ``grade``: they take the conventions from the same place."""

    def is_correct(answer, reference):
        waited = grade(rf"\boxed{{{answer}}}", reference, "math500", grader="default").is_correct
        awaited = asyncio.run(grade_async(rf"\boxed{{{answer}}}", reference, "math500", grader="default"))
        assert awaited.is_correct == waited
        return waited

    assert is_correct("2, 1", "1, 2")
    ordered = replace(DATA_SOURCES["math500"], conventions=Conventions(list_order="as_given"))
    monkeypatch.setitem(DATA_SOURCES, "math500", ordered)
    assert not is_correct("2, 1", "1, 2")
    assert not is_correct("x+2, 1+x", "x+1, x+2")
    assert is_correct("28", r"28\%")
    monkeypatch.setenv("VERL_EXT_GRADER_CONVENTIONS", "percent=hundredth")
    assert not is_correct("28", r"28\%")
    assert not is_correct("2, 1", "1, 2")
    monkeypatch.setenv("VERL_EXT_GRADER_CONVENTIONS", "list_order=any")
    assert is_correct("2, 1", "1, 2")


def test_conventions_of_a_task_whose_grader_has_none_are_refused(monkeypatch):
    task = replace(DATA_SOURCES["countdown"], conventions=Conventions(units="required"))
    monkeypatch.setitem(DATA_SOURCES, "countdown", task)
    with pytest.raises(
        ValueError, match="countdown has the conventions units=required, and its grader countdown takes none"
    ):
        check_reference({"numbers": [3], "target": 3}, "countdown")


@pytest.mark.parametrize("first", ["verl_ext.tasks", "verl_ext.grading.entrance", "verl_ext.grading.answers.extract"])
def test_grade_is_a_name_of_the_package_whatever_was_imported_before(first):
    program = f"import {first}; from verl_ext.grading import check_reference, grade, grade_async; assert grade('4', '4', 'math')"
    subprocess.run([sys.executable, "-c", program], check=True)
    with pytest.raises(ImportError, match="cannot import name 'nothing'"):
        from verl_ext.grading import nothing  # noqa: F401


def test_grading_loads_neither_torch_nor_verl():
    heavy = "{'torch', 'verl', 'ray', 'numpy', 'pyarrow', 'datasets', 'transformers'}"
    program = f"import sys; from verl_ext.grading import grade; sys.exit(str({heavy} & set(sys.modules) or '') or None)"
    subprocess.run([sys.executable, "-c", program], check=True)
