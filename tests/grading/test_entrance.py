import subprocess
import sys

import pytest

from verl_ext.grading import Reason, check_reference, grade
from verl_ext.grading.graders import GRADERS, Grader


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
