"""Logs for inspect. What reads them here is the reader of this package, and inspect's own where it is installed."""

import json
import re
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.export.generations import ODD_TEXTS, needs, run_file, write_lines
from verl_ext.export.__main__ import main
from verl_ext.export.exported_answers import ExportedAnswers
from verl_ext.export.formats import export
from verl_ext.export.inspect_file import as_json, sample_of
from verl_ext.metrics.foreign_files import read_answers
from verl_ext.metrics.generations import read_generations
from verl_ext.metrics.inspect_log import records_of
from verl_ext.metrics.pass_at_k import pass_at_k

needs_inspect = needs("inspect_ai")
json_values = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text() | st.lists(st.text(), max_size=2)


def back(path):
    return [record for _, record, _ in read_answers(path)]


def exported(tmp_path, *records):
    path = write_lines(tmp_path / "answers.jsonl", *records)
    export(path, "inspect", tmp_path / "log.eval")
    return tmp_path / "log.eval"


@settings(max_examples=50)
@given(
    record=st.fixed_dictionaries(
        {
            "question_id": st.text() | st.integers(),
            "label": st.booleans(),
            "response": st.text(st.characters(), max_size=30) | st.sampled_from(ODD_TEXTS),
        },
        optional={
            "generation_id": st.integers(0, 9) | st.text(),
            "pred_answer": st.none() | st.text(),
            "gold_answer": json_values,
            "finish_reason": st.sampled_from(["stop", "length", "withheld"]),
            "reason": st.text(),
            "reasoning": st.text(),
            "level": st.none() | st.integers(1, 5),
        },
    ),
    prompt=st.none() | st.text() | st.just([{"role": "user", "content": "1 + 1"}]),
)
def test_an_answer_comes_back_as_it_was(record, prompt):
    sample = json.loads(as_json(sample_of(ExportedAnswers(Path("answers.jsonl")), 1, record, prompt)))
    (read,) = records_of(Path("log.eval"), sample, None)
    assert {name: value for name, value in read.items() if name != "prompt"} == record


def test_round_trip_keeps_every_answer_and_every_verdict(tmp_path):
    """Odd texts, one of 1 MB, under ids that a file in an archive cannot have."""
    texts = [*ODD_TEXTS, "\u202eשלום\x00\x1b[2J" * (1 << 16)]
    ids = ["", "a/1", "../up", "\x00", "a\nb", "\ud800", "i" * 300, 7]
    records = [
        {"question_id": name, "generation_id": number, "label": number % 3 == 0, "response": text}
        for number in range(2)
        for name, text in zip(ids, texts, strict=True)
    ]
    read = back(exported(tmp_path, *records))
    assert [{name: value for name, value in record.items() if name != "prompt"} for record in read] == records


def test_what_is_known_of_the_run(tmp_path):
    run_file(tmp_path / "answers.run.json", {"a": "1 + 1 = ", "b": [{"role": "user", "content": "2 + 2"}]})
    answers = [("a", True), ("a", False), ("b", True), ("b", True)]
    log = exported(
        tmp_path,
        *({"question_id": name, "label": label, "response": "x", "gold_answer": "2"} for name, label in answers),
    )
    with zipfile.ZipFile(log) as archive:
        header = json.loads(archive.read("header.json"))
        sample = json.loads(archive.read("samples/b_epoch_2.json"))
        summaries = json.loads(archive.read("summaries.json"))
    assert (header["eval"]["task"], header["eval"]["model"]) == ("countdown", "models/small")
    assert header["eval"]["created"] == "2026-11-27T09:08:11+00:00"
    assert header["eval"]["dataset"]["sample_ids"] == ["a", "b"]
    values = {score["reducer"]: score["metrics"]["accuracy"]["value"] for score in header["results"]["scores"]}
    assert values == {"mean": 0.75, "pass_at_1": 0.75, "pass_at_2": 1.0}
    assert sample["input"] == [{"role": "user", "content": "2 + 2", "source": "input"}]
    assert (sample["target"], sample["scores"]["verl_ext"]["value"]) == ("2", "C")
    assert [(row["id"], row["epoch"]) for row in summaries] == [("a", 1), ("a", 2), ("b", 1), ("b", 2)]


def test_labels_alone(tmp_path, capsys):
    """A file without texts says so, and its verdicts are exported."""
    path = write_lines(tmp_path / "labels.jsonl", {"question_id": 1, "label": 1}, {"question_id": 1, "label": 0})
    assert main([str(path), "--to", "inspect", "--out", str(tmp_path / "log.eval")]) == 0
    said = capsys.readouterr().out
    assert "2 of 2 answers have no text (no response in" in said
    assert "2 of 2 answers have no prompt" in said
    assert [(record["label"], "response" in record) for record in back(tmp_path / "log.eval")] == [
        (True, False),
        (False, False),
    ]
    assert read_generations(tmp_path / "log.eval").num_correct_P.tolist() == [1]


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("log.zip", r"--out .*log\.zip: the name of a log of inspect must end in \.eval"),
        ("answers.jsonl", "is the file"),
    ],
)
def test_refused(out, message, tmp_path, capsys):
    path = write_lines(tmp_path / "answers.jsonl", {"question_id": 1, "label": 1})
    assert main([str(path), "--to", "inspect", "--out", str(tmp_path / out)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert re.search(message, said)
    assert path.read_text() == '{"question_id": 1, "label": 1}\n'


def test_an_error_leaves_nothing_behind(tmp_path):
    path = write_lines(tmp_path / "answers.jsonl", {"question_id": 1, "label": 1}, {"question_id": 1})
    with pytest.raises(ValueError, match="line 2, has no label"):
        export(path, "inspect", tmp_path / "log.eval")
    assert [file.name for file in tmp_path.iterdir()] == ["answers.jsonl"]


@needs_inspect
def test_inspect_reads_every_answer_and_computes_the_same_pass_at_k(tmp_path):
    from inspect_ai.log import read_eval_log, read_eval_log_sample_summaries, recompute_metrics

    prompts = {f"problem {number}\x07": f"{number} + 1 = " for number in range(3)}
    run_file(tmp_path / "answers.run.json", prompts)
    labels = {name: [number < count for number in range(5)] for name, count in zip(prompts, (0, 2, 5), strict=True)}
    texts = [*ODD_TEXTS, "plain"] * 3
    records = [
        {"question_id": name, "generation_id": len(texts), "label": label, "response": texts.pop(), "reason": "correct"}
        for name, of_problem in labels.items()
        for label in of_problem
    ]
    log = read_eval_log(str(exported(tmp_path, *records)))
    assert log.status == "success"
    theirs = {sample.metadata["generation_id"]: sample for sample in log.samples}
    for record in records:
        sample = theirs[record["generation_id"]]
        assert sample.output.completion == record["response"].encode(errors="replace").decode()
        assert (sample.scores["verl_ext"].value == "C") == record["label"]
    assert len(read_eval_log_sample_summaries(str(tmp_path / "log.eval"))) == len(records)
    ours = {score.reducer: score.metrics["accuracy"].value for score in log.results.scores}
    recompute_metrics(log)
    theirs = {score.reducer: score.metrics["accuracy"].value for score in log.results.scores}
    assert set(ours) == {"mean", "pass_at_1", "pass_at_2", "pass_at_4", "pass_at_5"}
    assert theirs == pytest.approx(ours, abs=1e-12)
    assert theirs["pass_at_2"] == pytest.approx(sum(pass_at_k(5, count, 2) for count in (0, 2, 5)) / 3)
