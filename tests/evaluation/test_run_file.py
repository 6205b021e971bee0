"""The side file, and what keeps answers of two kinds out of one file."""

from dataclasses import replace

import pytest

from verl_ext.evaluation.run_file import differences, merged_run, new_run, write_run
from verl_ext.metrics.side_file import read_run

MODEL = {"name": "m", "fingerprint": "abc"}
SAMPLING = {"temperature": 0.6, "seed": 0}


def test_what_is_written_comes_back(problems, tmp_path):
    run = new_run(MODEL, SAMPLING, problems)
    write_run(tmp_path / "a.run.json", run)
    assert read_run(tmp_path / "a.run.json") == run
    assert run["problems"]["1"] == {"task": "math", "prompt": "Question 1?", "gold_answer": "1"}
    assert read_run(tmp_path / "b.run.json") is None


@pytest.mark.parametrize(("text", "message"), [("{", "is damaged"), ('{"format": 0}', "not of this version")])
def test_a_file_that_is_none_is_refused(tmp_path, text, message):
    (tmp_path / "a.run.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_run(tmp_path / "a.run.json")


def test_the_same_is_no_difference(problems):
    run = new_run(MODEL, SAMPLING, problems)
    assert differences(run, run) == []
    assert differences(run, new_run({"name": "moved", "fingerprint": "abc"}, SAMPLING, problems)) == []
    assert differences(run, new_run(MODEL, SAMPLING, problems[:2])) == []
    assert differences(new_run(MODEL, SAMPLING, problems[:2]), run) == []


def test_each_difference_is_shown(problems):
    run = new_run(MODEL, SAMPLING, problems)

    def found(model=MODEL, sampling=SAMPLING, problems=problems):
        return differences(run, new_run(model, sampling, problems))

    assert found({"name": "other", "fingerprint": "def"}) == ["model was m and is other"]
    assert found({"name": "m", "fingerprint": "def"}) == ["model m has other weights or another tokenizer now"]
    assert found({"name": "other", "fingerprint": None}) == ["model was m and is other"]
    assert found({"name": "m", "fingerprint": None}) == []
    assert found(sampling={"temperature": 1.0, "seed": 0, "top_k": 3}) == [
        "temperature was 0.6 and is 1.0",
        "top_k was None and is 3",
    ]
    changed = [*problems[:2], replace(problems[2], prompt="Another?"), problems[3]]
    assert found(problems=changed) == ["prompt of question 2 was 'Question 2?' and is 'Another?'"]
    changed = [replace(problems[0], reference="7"), *problems[1:]]
    assert found(problems=changed) == ["gold_answer of question 0 was '0' and is '7'"]


def test_added_problems_are_merged(problems):
    old, new = new_run(MODEL, SAMPLING, problems[:2]), new_run(MODEL, SAMPLING, problems[1:])
    old["runs"].append({"num_drawn": 1})
    merged = merged_run(old, new)
    assert list(merged["problems"]) == ["0", "1", "2", "3"]
    assert merged["runs"] == [{"num_drawn": 1}]
