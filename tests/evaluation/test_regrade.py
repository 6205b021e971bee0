"""Grading an existing file again."""

import asyncio
import json

import pytest

from verl_ext.evaluation.answer_file import line_of, pack
from verl_ext.evaluation.regrade import diff_table, regrade

PAPERS = {"question_id": 0, "generation_id": 0, "response": r"\boxed{12}", "pred_answer": "12", "gold_answer": "12"}


def ours(question_id, response, label, reason, **more):
    record = PAPERS | {"question_id": question_id, "response": response, "label": label, "reason": reason}
    return record | {"pred_answer": "old", "seed": 5} | more


def again(path, task="math"):
    return asyncio.run(regrade(path, task))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "a.jsonl"
    records = [
        {"kind": "header", "model": "m"},
        ours("0", r"\boxed{12}", False, "incorrect"),
        ours("1", r"\boxed{13}", True, "correct"),
        ours("2", r"\boxed{12}", True, "correct"),
        ours("3", "so it", False, "no_answer", finish_reason="length"),
    ]
    path.write_bytes(b"".join(map(line_of, records)))
    return path


def test_the_verdicts_change_and_the_rest_stays(file):
    result = again(file)
    records = [json.loads(line) for line in file.read_text().splitlines()]
    assert records[0] == {"kind": "header", "model": "m"}
    assert [r["label"] for r in records[1:]] == [True, False, True, False]
    assert [r["reason"] for r in records[1:]] == ["correct", "incorrect", "correct", "truncated"]
    assert records[1]["seed"] == 5
    assert records[1]["tier"] == "string"
    assert (result.num_answers, result.num_correct_before, result.num_correct_now) == (4, 2, 2)
    assert result.reasons[("correct", "correct")] == 1
    assert [change["question_id"] for change in result.changes] == ["0", "1", "3"]
    table = diff_table(result, shown=2)
    assert "4 answers graded again: 2 were correct, 2 are." in table
    assert "1  incorrect -> correct" in table
    assert "question 0, generation 0: incorrect -> correct | gold '12' | answer 'old' -> '12'" in table
    assert "... and 1 more" in table


def test_a_second_time_changes_nothing(file):
    again(file)
    before = file.read_bytes()
    result = again(file)
    assert file.read_bytes() == before
    assert result.changes == []
    assert "No verdict changed." in diff_table(result, shown=2)


def test_the_papers_files_have_no_reason(tmp_path):
    path = tmp_path / "paper.jsonl"
    path.write_bytes(line_of(PAPERS | {"label": 0}) + line_of(PAPERS | {"label": 1, "generation_id": 1}))
    result = again(path)
    assert [change["generation_id"] for change in result.changes] == [0]
    assert "1  not correct -> correct" in diff_table(result, shown=5)


@pytest.mark.parametrize("how", ["gz", "zst"])
def test_a_packed_file_stays_packed(file, how):
    packed = pack(file, how)
    assert len(again(packed).changes) == 3
    assert again(packed).changes == []


def test_a_failure_leaves_the_file_as_it_was(file, tmp_path):
    before = file.read_bytes() + line_of({"question_id": "9", "label": True})
    file.write_bytes(before)
    with pytest.raises(ValueError, match=r"a.jsonl, line 6, has no response, gold_answer"):
        again(file)
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


def test_a_question_without_a_task_is_named(file):
    with pytest.raises(ValueError, match="line 3: the side file has no question '1', so its task is unknown"):
        again(file, {"0": "math"})
