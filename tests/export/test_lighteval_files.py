"""Results for lighteval. What reads them is the reader of this package, and lighteval's own where it is installed."""

import json

import pyarrow.parquet
import pytest

from tests.export.generations import COUNTS, PROMPTS, needs, odd_records, run_file, write_lines
from verl_ext.export.formats import export
from verl_ext.metrics.foreign_files import read_answers
from verl_ext.metrics.generations import read_generations
from verl_ext.metrics.pass_at_k import pass_at_k

needs_lighteval = needs("lighteval")
TIME = "2026-11-27T09-08-11"


@pytest.fixture
def records():
    return odd_records("\u202eשלום\x00\x1b[2J", lambda number: {"pred_answer": None if number else "\ud83d"})


@pytest.fixture
def folder(tmp_path, records):
    """What lighteval calls its output folder."""
    run_file(tmp_path / "answers.run.json", PROMPTS)
    export(write_lines(tmp_path / "answers.jsonl", *records), "lighteval", tmp_path / "out")
    return tmp_path / "out"


@pytest.fixture
def details(folder):
    return folder / "details" / "models" / "small" / TIME / f"details_countdown|0_{TIME}.parquet"


def test_round_trip_keeps_every_answer_and_every_verdict(details, records):
    read = [record for _, record, _ in read_answers(details)]
    assert [{name: value for name, value in record.items() if name != "prompt"} for record in read] == sorted(
        records, key=lambda record: list(COUNTS).index(record["question_id"])
    )
    assert {record["prompt"] for record in read} == {json.dumps(PROMPTS["a\n"]), PROMPTS["7"]}
    again = read_generations(details, with_answers=True)
    assert (again.num_samples_P.tolist(), again.num_correct_P.tolist()) == ([4, 4], [1, 4])


def test_results(folder, details):
    results = json.loads((folder / "results" / "models" / "small" / f"results_{TIME}.json").read_text())
    numbers = results["results"]["countdown|0"]
    assert {k: numbers[f"pass@{k}"] for k in (1, 2, 4)} == {
        k: pytest.approx((pass_at_k(4, 1, k) + 1) / 2) for k in (1, 2, 4)
    }
    assert numbers["pass@1_stderr"] == pytest.approx(0.375)  # half the difference of 0.25 and 1
    rows = pyarrow.parquet.read_table(str(details)).to_pylist()
    assert [row["metric"]["pass@1"] for row in rows] == [pytest.approx(0.25), 1.0]
    assert [row["doc"]["num_samples"] for row in rows] == [4, 4]


@pytest.mark.parametrize(
    ("model", "place"), [("../../up", "up"), ("/data/m:x", "data/m_x"), ("..", "unnamed"), ("org/name", "org/name")]
)
def test_a_models_name_stays_within_the_folder(tmp_path, model, place):
    path = write_lines(tmp_path / "answers.jsonl", {"question_id": 1, "label": 1, "response": "x"})
    run = json.loads(run_file(tmp_path / "answers.run.json", {"1": "?"}).read_text())
    (tmp_path / "answers.run.json").write_text(json.dumps(run | {"model": {"name": model}}))
    export(path, "lighteval", tmp_path / "out")
    (found,) = (tmp_path / "out" / "results").rglob("*.json")
    assert found.parent == tmp_path / "out" / "results" / place


def test_labels_alone(tmp_path):
    path = write_lines(tmp_path / "labels.jsonl", {"question_id": 1, "label": 1}, {"question_id": 1, "label": 0})
    said = export(path, "lighteval", tmp_path / "out")
    assert "2 of 2 answers have no text" in said[1]
    (details,) = (tmp_path / "out").rglob("*.parquet")
    assert [record for _, record, _ in read_answers(details)] == [
        {"question_id": 1, "label": label, "prompt": None} for label in (1, 0)
    ]


@needs_lighteval
def test_lighteval_reads_them(folder, records):
    from lighteval.logging.evaluation_tracker import EvaluationTracker
    from lighteval.models.model_output import ModelResponse
    from lighteval.tasks.requests import Doc
    from lighteval.utils.utils import make_results_table

    tracker = EvaluationTracker(output_dir=str(folder))
    tracker.general_config_logger.model_name = "models/small"
    (details,) = tracker.load_details_datasets("last", ["countdown"]).values()
    responses = [ModelResponse(**row["model_response"]) for row in details]
    assert [len(response.text) for response in responses] == [4, 4]
    docs = [Doc(**row["doc"]) for row in details]
    assert [doc.get_golds() for doc in docs] == [['{"a":1}']] * 2
    (results,) = (folder / "results").rglob("*.json")
    assert "pass@4" in make_results_table(json.loads(results.read_text()))
