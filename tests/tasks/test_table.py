import pytest

from verl_ext.grading.graders import TABLES
from verl_ext.tasks import TASKS, task_named
from verl_ext.tasks.competition_math import last_box
from verl_ext.tasks.gym_tasks import GYM_TASKS
from verl_ext.tasks.table import DATA_SOURCES

ROWS = {
    "math": {"train": 7500, "test": 5000},
    "math500": {"test": 500},
    "aime2025": {"test": 30},
    "aime2024": {"test": 30},
    "amc23": {"test": 40},
    "minerva": {"test": 272},
    "olympiadbench": {"test": 675},
    "gsm8k": {"train": 7473, "test": 1319},
    "countdown": {"train": None, "test": None},
}


def test_the_tasks_and_their_row_counts():
    assert ROWS.items() <= {name: dict(task.num_rows) for name, task in TASKS.items()}.items()


def test_every_task_has_a_grader():
    for graders in TABLES.values():
        assert {task.grader for task in DATA_SOURCES.values()} == set(graders)


def test_the_names_that_a_row_may_have():
    others = {"TianHongZXY/MATH": "math", "TianHongZXY/AIME2025": "aime2025", "TianHongZXY/amc23": "amc23"}
    others |= {"openai/gsm8k": "gsm8k"}
    assert {name: task.data_source for name, task in DATA_SOURCES.items()} == {
        name: name for name in (*TASKS, *GYM_TASKS)
    } | others


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        *((name, name) for name in ROWS),
        ("MATH", "math"),
        ("MATH-500", "math500"),
        ("math_500", "math500"),
        ("AIME2025", "aime2025"),
        ("AIME 2024", "aime2024"),
        ("aime25", "aime2025"),
        ("AMC23", "amc23"),
        ("GSM8K", "gsm8k"),
        ("Countdown", "countdown"),
        ("OlympiadBench", "olympiadbench"),
        ("Minerva_Math", "minerva"),
        ("TianHongZXY/MATH", "math"),
        ("HuggingFaceH4/MATH-500", "math500"),
        ("openai/gsm8k", "gsm8k"),
    ],
)
def test_spellings(spelling, name):
    assert task_named(spelling) is TASKS[name]


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [("gsm8", "Did you mean gsm8k"), ("aime2052", "Did you mean aime2025"), ("sudoku-9x9", "There are math, math500")],
)
def test_unknown_names_get_a_hint(wrong, hint):
    with pytest.raises(ValueError, match=f"no task '{wrong}'. {hint}"):
        task_named(wrong)


@pytest.mark.parametrize(
    ("solution", "answer"),
    [
        (r"so $\boxed{1}$ or $\boxed{\frac{1}{2}}$", r"\frac{1}{2}"),
        (r"our answer is $\boxed 2$.", "2"),
        (r"$\boxed{ 3 }$", "3"),
        ("no box", ""),
    ],
)
def test_last_box(solution, answer):
    assert last_box(solution) == answer


PAPER_ROW = {
    "reward_model": {"ground_truth": {"question": "Q?", "solution": r"\boxed{\text{A,B}}", "target": "{A,B}"}},
    "level": "Level 3",
    "type": "Algebra",
}
HUB_ROW = {"problem": "Q?", "solution": r"\boxed{\text{A,B}}", "level": "Level 3", "type": "Algebra"}


def test_both_shapes_of_the_papers_math_rows_give_the_same_problem():
    def problem(row):
        task = TASKS["math"]
        return task.question_of(row), task.answer_of(row), task.level_of(row), task.subject_of(row)

    assert problem(PAPER_ROW) == problem(HUB_ROW) == ("Q?", r"\text{A,B}", "Level 3", "Algebra")
    assert TASKS["math"].printed_answer_of(PAPER_ROW) == "{A,B}"
    assert TASKS["math"].printed_answer_of(HUB_ROW) is None


@pytest.mark.parametrize("name", ["aime2025", "amc23"])
def test_both_shapes_of_the_papers_competition_rows_give_the_same_problem(name):
    task = TASKS[name]
    paper_row = {"reward_model": {"ground_truth": {"question": "Q?", "target": "70"}}}
    hub_row = {"problem": "Q?", "answer": 70}
    for row in (paper_row, hub_row):
        assert (task.question_of(row), task.answer_of(row)) == ("Q?", "70")


@pytest.mark.parametrize(
    ("name", "row", "answer"),
    [
        ("gsm8k", {"answer": "2 + 2 = <<2+2=4>>4\n#### 1,234"}, "1234"),
        ("gsm8k", {"answer": "no mark"}, ""),
        ("minerva", {"solution": r"so \boxed{1.6}"}, "1.6"),
        ("minerva", {"solution": r"so \boxed{1.6}", "answer": "1.6"}, "1.6"),
        ("olympiadbench", {"final_answer": ["$1$,$2$"]}, "$1$,$2$"),
        ("olympiadbench", {"final_answer": ["1", "2"]}, "1, 2"),
        ("countdown", {"nums": [3, 5, 7], "target": 22}, '{"numbers": [3, 5, 7], "target": 22}'),
        ("math500", {"answer": "7"}, "7"),
    ],
)
def test_answers(name, row, answer):
    assert TASKS[name].answer_of(row) == answer
