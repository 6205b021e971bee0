"""OlympiadBench: the 675 open-ended English math problems that need no picture.

Several answers to one question stand in one reference, separated by commas. One problem (4.2 %) has a tolerance of 0.1,
which is not applied: all answers are compared exactly.
"""

from verl_ext.tasks.task import SourceRow, Task, text_of, texts_of


def _answer(row: SourceRow) -> str:
    return ", ".join(texts_of(row, "final_answer"))


OLYMPIADBENCH = Task(
    data_source="olympiadbench",
    grader="math",
    repo_id="zwhe99/simplerl-OlympiadBench",
    revision="main",  # no commit of this copy is on record; the row count is checked
    num_rows={"test": 675},
    file_stem="olympiadbench",
    question_of=lambda row: text_of(row, "question"),
    answer_of=_answer,
    subject_of=lambda row: row.get("subfield"),
    aliases=("olympiad bench", "olympiad"),
)
