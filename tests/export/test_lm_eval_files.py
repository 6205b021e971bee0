"""Results for lm-evaluation-harness. What reads them is the reader of this package, and lm-eval's own where it is installed."""

import json

import pytest

from tests.export.generations import COUNTS, PROMPTS, needs, odd_records, run_file, write_lines
from verl_ext.export.formats import export
from verl_ext.metrics.foreign_files import read_answers
from verl_ext.metrics.pass_at_k import pass_at_k

needs_lm_eval = needs("lm_eval")


@pytest.fixture
def records():
    return odd_records("\u202eשלום\x00\x1b[2J")


@pytest.fixture
def files(tmp_path, records):
    """The results and the samples."""
    run_file(tmp_path / "answers.run.json", PROMPTS)
    export(write_lines(tmp_path / "answers.jsonl", *records), "lm-eval", tmp_path / "out")
    folder = tmp_path / "out" / "models__small"
    return folder / "results_2026-11-27T09-08-11.json", folder / "samples_countdown_2026-11-27T09-08-11.jsonl"


def test_round_trip_keeps_every_answer_and_every_verdict(files, records):
    read = [record for _, record, _ in read_answers(files[1])]
    assert [{name: value for name, value in record.items() if name != "prompt"} for record in read] == sorted(
        records, key=lambda record: list(COUNTS).index(record["question_id"])
    )
    assert {record["prompt"] for record in read} == {json.dumps(PROMPTS["a\n"]), PROMPTS["7"]}


def test_results(files):
    results, samples = files
    numbers = json.loads(results.read_text())["results"]["countdown"]
    assert numbers["sample_len"] == 2
    assert {k: numbers[f"pass@{k},none"] for k in (1, 2, 4)} == {
        k: pytest.approx((pass_at_k(4, 1, k) + 1) / 2) for k in (1, 2, 4)
    }
    assert numbers["pass@1_stderr,none"] == pytest.approx(0.375)  # half the difference of 0.25 and 1
    lines = [json.loads(line) for line in samples.read_text().splitlines()]
    assert [(line["doc_id"], line["pass@1"], line["metrics"]) for line in lines] == [
        (0, pytest.approx(0.25), ["pass@1", "pass@2", "pass@4"]),
        (1, 1.0, ["pass@1", "pass@2", "pass@4"]),
    ]


def test_labels_alone(tmp_path):
    path = write_lines(tmp_path / "labels.jsonl", {"question_id": 1, "label": 1})
    said = export(path, "lm-eval", tmp_path / "out")
    assert "1 of 1 answers have no text" in said[1]
    (samples,) = (tmp_path / "out").glob("*/samples_*.jsonl")
    ((_, record, _),) = read_answers(samples)
    assert record["label"] == 1
    assert "response" not in record


def test_a_folder_that_is_there_is_refused(tmp_path):
    path = write_lines(tmp_path / "answers.jsonl", {"question_id": 1, "label": 1})
    with pytest.raises(ValueError, match=r"--out .* is there already. Name a new folder"):
        export(path, "lm-eval", tmp_path)


@needs_lm_eval
def test_lm_eval_reads_them(files):
    from lm_eval.result_schema import SampleResult
    from lm_eval.utils import get_results_filenames, get_sample_results_filenames, make_table

    results, samples = files
    names = [str(file) for file in files]
    assert (get_results_filenames(names), get_sample_results_filenames(names)) == ([names[0]], [names[1]])
    assert "countdown" in make_table(json.loads(results.read_text()))
    for line in samples.read_text().splitlines():
        assert SampleResult.__required_keys__ <= json.loads(line).keys()
