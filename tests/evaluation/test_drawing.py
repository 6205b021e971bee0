"""Drawing, grading and writing side by side, with a sampler that needs no model."""

import asyncio
import json
from dataclasses import replace

import pytest

from tests.evaluation.conftest import FakeSampler
from verl_ext.evaluation import drawing as module
from verl_ext.evaluation.drawing import Output, chunks_to_draw, draw_and_grade, opened, under_paper_references
from verl_ext.evaluation.progress import summary_table
from verl_ext.evaluation.sampler import problem_seed
from verl_ext.grading import Reason, Verdict
from verl_ext.metrics.generations import read_generations
from verl_ext.metrics.label_file import read_labels, write_labels
from verl_ext.metrics.summary import curve_of
from verl_ext.metrics.tables import curve_table, undecided_in


def outputs_of(problems, folder):
    return [Output(name=name, problems=part, path=folder / f"{name}.jsonl") for name, part in problems.items()]


def evaluate(outputs, num_samples, sampler=None, chunk_size=3, **options):
    sampler = sampler or FakeSampler()
    with opened(outputs):
        chunks = chunks_to_draw(outputs, num_samples=num_samples, seed=0, chunk_size=chunk_size)
        asyncio.run(draw_and_grade(sampler, outputs, chunks, **options))
    return sampler


def lines(path):
    return sorted(path.read_text().splitlines())


def test_every_answer_is_a_line(problems, tmp_path):
    seen = []
    outputs = outputs_of({"t": problems}, tmp_path)
    evaluate(outputs, 5, on_answers=lambda *counts: seen.append(counts))
    records = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    assert len(records) == 20
    record = next(r for r in records if (r["question_id"], r["generation_id"]) == ("3", 3))
    assert record == {
        "question_id": "3",
        "generation_id": 3,
        "response": "So it is \\boxed{3}.",
        "pred_answer": "3",
        "gold_answer": "3",
        "label": True,
        "reason": "correct",
        "tier": "string",
        "rule": record["rule"],
        "finish_reason": "stop",
        "num_tokens": 7,
        "seed": problem_seed(0, "3") + 3,
        "level": "Level 1",
        "subject": "Algebra",
    }
    assert all(r["label"] == (r["question_id"] == str(r["generation_id"])) for r in records)
    assert (sum(n for n, _ in seen), sum(c for _, c in seen)) == (20, 4)
    assert outputs[0].done.num_answers == 20


def test_a_resumed_file_equals_an_undisturbed_one(problems, tmp_path):
    evaluate(outputs_of({"whole": problems}, tmp_path), 7)
    parts = outputs_of({"parts": problems}, tmp_path)
    for fails_after in (1, 0, 3, None):
        sampler = FakeSampler(fails_after)
        if fails_after is None:
            evaluate(parts, 7, sampler, chunk_size=2)
        else:
            with pytest.raises(RuntimeError, match="the sampler broke"):
                evaluate(parts, 7, sampler)
        path = tmp_path / "parts.jsonl"
        if path.exists():
            path.write_bytes(path.read_bytes()[:-9])  # as a kill in the middle of a line
    evaluate(parts, 7)
    assert lines(tmp_path / "parts.jsonl") == lines(tmp_path / "whole.jsonl")


def test_what_was_drawn_before_a_failure_is_kept(problems, tmp_path):
    with pytest.raises(RuntimeError):
        evaluate(outputs_of({"t": problems}, tmp_path), 3, FakeSampler(fails_after=2))
    assert len(lines(tmp_path / "t.jsonl")) == 6


def test_another_n_tops_up(problems, tmp_path):
    outputs = outputs_of({"t": problems}, tmp_path)
    evaluate(outputs, 2)
    sampler = evaluate(outputs, 5)
    assert sum(chunk.count for chunk in sampler.drawn) == 4 * 3
    evaluate(outputs_of({"at_once": problems}, tmp_path), 5)
    assert lines(tmp_path / "t.jsonl") == lines(tmp_path / "at_once.jsonl")


def test_several_tasks_go_to_a_file_each(problems, tmp_path):
    evaluate(outputs_of({"a": problems[:1], "b": problems[1:]}, tmp_path), 2)
    assert {json.loads(line)["question_id"] for line in lines(tmp_path / "a.jsonl")} == {"0"}
    assert {json.loads(line)["question_id"] for line in lines(tmp_path / "b.jsonl")} == {"1", "2", "3"}


def test_an_answer_that_cannot_be_written_stops_the_sampling(problems, tmp_path, monkeypatch):
    from verl_ext.evaluation.answer_file import GenerationWriter

    def full(self, records):
        raise OSError("no space left on device")

    monkeypatch.setattr(GenerationWriter, "write", full)
    sampler = FakeSampler()
    with pytest.raises(OSError, match="no space left"):
        evaluate(outputs_of({"t": problems}, tmp_path), 100, sampler, chunk_size=1)
    assert len(sampler.drawn) < 400


def test_a_cut_response_counts_as_cut(problems, tmp_path):
    class Cut(FakeSampler):
        async def draw(self, chunks):
            async for chunk, answers in super().draw(chunks):
                yield chunk, [a._replace(text="and then", finish_reason="length") for a in answers]

    outputs = outputs_of({"t": problems}, tmp_path)
    evaluate(outputs, 1, Cut())
    assert outputs[0].done.reasons == {"truncated": 4}


def test_the_same_answers_under_the_papers_references(problems, tmp_path):
    """Sample i answers i. The paper had 2 for question 0, a broken reference for 1, and ours for the others."""
    problems[0] = replace(problems[0], paper_reference="2")
    problems[1] = replace(problems[1], paper_reference="\\frac{1}{")
    outputs = outputs_of({"t": problems, "u": problems[2:]}, tmp_path)
    evaluate(outputs[:1], 2)
    assert outputs[0].done.num_correct == {"0": 1, "1": 1, "2": 0, "3": 0}
    papers = asyncio.run(under_paper_references(outputs[0], tmp_path / "t.jsonl"))
    assert papers.num_correct == {"0": 0, "1": 0, "2": 0, "3": 0}
    evaluate(outputs[:1], 4)
    papers = asyncio.run(under_paper_references(outputs[0], tmp_path / "t.jsonl"))
    assert papers.num_correct == {"0": 1, "1": 0, "2": 1, "3": 1}
    assert papers.num_answers == 16
    assert asyncio.run(under_paper_references(outputs[1], tmp_path / "u.jsonl")) is None


@pytest.mark.parametrize("reason", [Reason.TIMED_OUT, Reason.GRADER_ERROR])
def test_what_the_grader_did_not_decide_is_counted_apart(problems, tmp_path, monkeypatch, reason):
    """In the file, in the table, in the metrics, and under the paper's references."""

    async def undecided(response, reference, task, *, is_truncated=False):
        decided = "{3}" not in response
        return Verdict(Reason.INCORRECT if decided else reason, "3", rule="box", tier="symbolic")

    monkeypatch.setattr(module, "grade_async", undecided)
    problems[0] = replace(problems[0], paper_reference="2")
    outputs = outputs_of({"t": problems}, tmp_path)
    evaluate(outputs, 4)
    assert outputs[0].done.reasons == {"incorrect": 12, reason.value: 4}
    label = {"timed_out": "timed out", "grader_error": "not graded"}[reason.value]
    assert f"t: {label} 4" in summary_table([("t", outputs[0].done)])
    papers = asyncio.run(under_paper_references(outputs[0], tmp_path / "t.jsonl"))
    assert papers.reasons == {reason.value: 1}
    for generations in (read_generations(tmp_path / "t.jsonl"), read_labels_of(tmp_path / "t.jsonl")):
        assert sum(undecided_in(generations.reasons).values()) == 4
        text = curve_table(generations, curve_of(generations))
        assert "4 answers of which nobody knows whether they are right are counted as not correct: 4" in text


def read_labels_of(path):
    write_labels(path)
    return read_labels(path)
