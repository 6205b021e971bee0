r"""MATH and MATH-500, AIME 2024 and 2025, AMC 2023: competition problems with a boxed answer.

The paper's own sets (TianHongZXY/...) come in two shapes: as on the hub (``problem``, ``solution`` or ``answer``) and as
the paper's scripts wrote them for verl (``reward_model.ground_truth`` with ``question``, ``solution``, ``target``).

Of MATH the reference is the last box of the solution, not the ``target`` beside it. It is the same answer, but the
paper's normalization went over the target and took apart what a grader needs: ``\\`` between the rows of a matrix became
``\``, ``\text{A,B}`` became ``{A,B}``, units and their squares parted, and some targets are empty. Nothing is lost for a
comparison with the paper: the paper's normalization (``verl_ext.grading.paper.answer_text``) makes the target of every row
from the box again.
"""

import re
from collections.abc import Mapping
from typing import Any

from verl_ext.grading.answers.boxes import all_boxes
from verl_ext.tasks.task import SourceRow, Task, optional_text, text_of

BOX_WITHOUT_BRACES = re.compile(r"\\boxed\s+(\w)")


def last_box(solution: str) -> str:
    r"""What the last ``\boxed`` of a solution holds, also that of ``\boxed 2``; "" without one."""
    boxes = all_boxes(solution) or BOX_WITHOUT_BRACES.findall(solution)
    return boxes[-1].strip() if boxes else ""


def _paper_ground_truth(row: SourceRow) -> Mapping[str, Any] | None:
    if "problem" in row:
        return None
    reward_model = row["reward_model"]
    ground_truth = reward_model.get("ground_truth") if isinstance(reward_model, Mapping) else None
    if not isinstance(ground_truth, Mapping):
        raise KeyError("reward_model.ground_truth.question")
    return ground_truth


def _question(row: SourceRow) -> str:
    ground_truth = _paper_ground_truth(row)
    return text_of(row, "problem") if ground_truth is None else text_of(ground_truth, "question")


def _boxed_answer(row: SourceRow) -> str:
    ground_truth = _paper_ground_truth(row)
    return last_box(text_of(row if ground_truth is None else ground_truth, "solution"))


def _target(row: SourceRow) -> str | None:
    ground_truth = _paper_ground_truth(row)
    return None if ground_truth is None else optional_text(ground_truth, "target")


def _target_or_answer(row: SourceRow) -> str:
    ground_truth = _paper_ground_truth(row)
    return text_of(row, "answer") if ground_truth is None else text_of(ground_truth, "target")


def _numbered_level(row: SourceRow) -> str | None:
    """As MATH writes it, so that both can be tabulated together."""
    level = optional_text(row, "level")
    return None if level is None else f"Level {level}"


# TianHongZXY's sets: no commit is on record for the paper's runs. The row counts and the questions that the errata name
# tell whether main still holds the rows they were read from.
MATH = Task(
    data_source="math",
    other_data_sources=("TianHongZXY/MATH",),
    grader="math",
    repo_id="TianHongZXY/MATH",
    revision="main",
    num_rows={"train": 7500, "test": 5000},
    file_stem="math",
    question_of=_question,
    answer_of=_boxed_answer,
    printed_answer_of=_target,
    level_of=lambda row: optional_text(row, "level"),
    subject_of=lambda row: optional_text(row, "type"),
    aliases=("hendrycks math", "competition math"),
)
AIME2025 = Task(
    data_source="aime2025",
    other_data_sources=("TianHongZXY/AIME2025",),
    grader="math",
    repo_id="TianHongZXY/AIME2025",
    revision="main",
    num_rows={"test": 30},
    file_stem="aime2025",
    question_of=_question,
    answer_of=_target_or_answer,
    aliases=("aime25",),
)
AMC23 = Task(
    data_source="amc23",
    other_data_sources=("TianHongZXY/amc23",),
    grader="math",
    repo_id="TianHongZXY/amc23",
    revision="main",
    num_rows={"test": 40},
    file_stem="amc23",
    question_of=_question,
    answer_of=_target_or_answer,
    aliases=("amc2023",),
)
AIME2024 = Task(
    data_source="aime2024",
    grader="math",
    repo_id="HuggingFaceH4/aime_2024",
    revision="2fe88a2f1091d5048c0f36abc874fb997b3dd99a",
    num_rows={"test": 30},
    hub_splits={"test": "train"},
    file_stem="aime2024",
    question_of=lambda row: text_of(row, "problem"),
    answer_of=lambda row: text_of(row, "answer"),
    aliases=("aime24",),
)
MATH500 = Task(
    data_source="math500",
    grader="math",
    repo_id="HuggingFaceH4/MATH-500",
    revision="6e4ed1a2a79af7d8630a6b768ec859cb5af4d3be",
    num_rows={"test": 500},
    file_stem="math500",
    question_of=lambda row: text_of(row, "problem"),
    answer_of=lambda row: text_of(row, "answer"),
    level_of=_numbered_level,
    subject_of=lambda row: optional_text(row, "subject"),
)
