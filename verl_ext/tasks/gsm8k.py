"""GSM8K: grade-school word problems; the answer is the number behind ``####`` at the end of the solution."""

from verl_ext.tasks.task import SourceRow, Task, text_of


def _answer(row: SourceRow) -> str:
    _, mark, answer = text_of(row, "answer").rpartition("####")
    # A thousands separator could be read as a list of two numbers.
    return answer.strip().replace(",", "") if mark else ""


GSM8K = Task(
    data_source="gsm8k",
    other_data_sources=("openai/gsm8k",),
    grader="gsm8k",
    repo_id="openai/gsm8k",
    revision="cc7b047b6e5bb11b4f1af84efc572db110a51b3c",
    config="main",
    num_rows={"train": 7473, "test": 1319},
    file_stem="gsm8k",
    question_of=lambda row: text_of(row, "question"),
    answer_of=_answer,
    aliases=("grade school math",),
)
