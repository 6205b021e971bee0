"""Documents of Every Eval Ever. What reads them is the reader of this package, and its validator where it is installed."""

import hashlib
import json

import pytest

from tests.export.generations import COUNTS, PROMPTS, needs, odd_records, run_file, write_lines
from verl_ext.export.formats import export
from verl_ext.metrics.foreign_files import read_answers
from verl_ext.metrics.generations import read_generations
from verl_ext.metrics.pass_at_k import pass_at_k

needs_validator = needs("every_eval_ever", "every-eval-ever (Python 3.12)")


@pytest.fixture
def records():
    return odd_records(
        "\u202eשלום\x00\x1b[2J\u2028", lambda number: {"pred_answer": None if number else "\ud83d", "level": 3}
    )


@pytest.fixture
def files(tmp_path, records):
    """The document and the samples."""
    run_file(tmp_path / "answers.run.json", PROMPTS)
    export(write_lines(tmp_path / "answers.jsonl", *records), "every-eval-ever", tmp_path / "out")
    place = tmp_path / "out" / "data" / "countdown" / "models" / "small"
    return sorted(place.iterdir(), key=lambda file: file.suffix)


def test_round_trip_keeps_every_answer_and_every_verdict(files, records):
    read = [record for _, record, _ in read_answers(files[1])]
    assert [{name: value for name, value in record.items() if name != "prompt"} for record in read] == sorted(
        records, key=lambda record: list(COUNTS).index(record["question_id"])
    )
    assert {record["prompt"] for record in read} == {json.dumps(PROMPTS["a\n"]), PROMPTS["7"]}
    again = read_generations(files[1], by=["level"])
    assert (again.num_samples_P.tolist(), again.num_correct_P.tolist()) == ([4, 4], [1, 4])
    with pytest.raises(ValueError, match=r"holds results, and no answers. Name the .*_samples.jsonl beside it"):
        read_generations(files[0])


def test_the_document(files):
    log = json.loads(files[0].read_text())
    results = {result["evaluation_result_id"]: result for result in log["evaluation_results"]}
    assert list(results) == ["pass_at_1", "pass_at_2", "pass_at_4"]
    scores = {name: result["score_details"]["score"] for name, result in results.items()}
    assert scores == {f"pass_at_{k}": pytest.approx((pass_at_k(4, 1, k) + 1) / 2) for k in (1, 2, 4)}
    one = results["pass_at_1"]
    assert one["score_details"]["uncertainty"]["standard_error"]["value"] == pytest.approx(0.375)
    assert one["generation_config"]["generation_args"] == {"temperature": 1.0, "max_tokens": 16}
    detail = log["detailed_evaluation_results"]
    assert detail["total_rows"] == 8
    assert detail["checksum"] == hashlib.sha256(files[1].read_bytes()).hexdigest()
    assert files[1].as_posix().endswith(detail["file_path"])


def test_one_problem_has_no_interval_and_no_nan(tmp_path):
    records = [{"question_id": "a", "label": label} for label in (0, 1)]
    export(write_lines(tmp_path / "answers.jsonl", *records), "every-eval-ever", tmp_path / "out")
    (document,) = (tmp_path / "out").rglob("*.json")
    log = json.loads(document.read_text(), parse_constant=pytest.fail)
    assert log["evaluation_results"][0]["score_details"] == {"score": 0.5, "uncertainty": {"num_samples": 1}}


def test_the_same_answers_have_the_same_name_and_others_another(tmp_path, files):
    run_file(tmp_path / "again.run.json", PROMPTS)
    answers = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    for name, changed in (("same", answers), ("other", [answer | {"label": True} for answer in answers])):
        export(write_lines(tmp_path / "again.jsonl", *changed), "every-eval-ever", tmp_path / name)
        assert ((tmp_path / name / "data/countdown/models/small" / files[0].name).exists()) == (name == "same")


@needs_validator
@pytest.mark.parametrize("model", ["models/small", "gpt2", "unknown", "/data/x/my model", "../a", "con/y:z"])
def test_its_validator_finds_nothing(tmp_path, records, model):
    from every_eval_ever.validator.validation_core import validate_file

    run = json.loads(run_file(tmp_path / "answers.run.json", PROMPTS).read_text())
    (tmp_path / "answers.run.json").write_text(json.dumps(run | {"model": {"name": model}}))
    export(write_lines(tmp_path / "answers.jsonl", *records), "every-eval-ever", tmp_path / "out")
    files = {file.relative_to(tmp_path / "out").as_posix(): file for file in (tmp_path / "out").rglob("*.json*")}
    assert len(files) == 2
    for name, file in files.items():
        report = validate_file(
            file,
            repo_path=name,
            available_files=files,
            read_repo_file=lambda path: files[path].read_text(encoding="utf-8"),
            run_semantic_checks=True,
        )
        assert report.valid, report.errors
        assert not report.warnings
