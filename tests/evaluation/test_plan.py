"""What will be drawn into which files, and which files are not added to."""

import json

import pytest

from verl_ext.evaluation import model_source
from verl_ext.evaluation import plan as plan_module
from verl_ext.evaluation.plan import make_plan, side_files
from verl_ext.evaluation.run_file import write_run
from verl_ext.evaluation.run_options import EvaluationOptions
from verl_ext.evaluation.sampling_settings import Sampling
from verl_ext.evaluation.vllm_sampler import VllmSampler
from verl_ext.metrics.side_file import run_path

MODEL = {"name": "m", "fingerprint": "f"}


@pytest.fixture
def plan_of(model_folder, rows_file, tmp_path):
    """A plan for the rows of the file, with options of a test's own."""

    def plan_of(**options):
        defaults = {"model_path": str(model_folder), "data": rows_file, "output_path": tmp_path / "a.jsonl"}
        return make_plan(EvaluationOptions(**defaults | options))

    return plan_of


def test_a_plan(plan_of, tmp_path):
    plan = plan_of(sampling={"num_samples": 3})
    assert plan.sampling == Sampling(num_samples=3)
    (output,) = plan.outputs
    assert (output.name, output.path) == ("problems", tmp_path / "a.jsonl")
    assert [problem.question_id for problem in plan.problems] == ["0", "1", "2", "3"]
    assert plan.log_path == tmp_path / "a.jsonl.log"
    assert (plan.source.chunk_size, plan.chat_options) == (16, {})


def test_nothing_is_written(plan_of, tmp_path):
    side_files(plan_of(), MODEL)
    assert list(tmp_path.iterdir()) == []


def test_a_packed_path_is_that_of_the_file_while_it_is_written(plan_of, tmp_path):
    assert plan_of(output_path=tmp_path / "a.jsonl.zst").outputs[0].path == tmp_path / "a.jsonl"


def test_tasks_have_a_file_each_and_one_log(plan_of, tmp_path, data_dir):
    tasks = {"data": None, "output_path": None, "output_dir": tmp_path, "data_dir": data_dir, "num_problems": 2}
    plan = plan_of(task=["AIME2025", "amc23"], **tasks)
    assert [output.path.name for output in plan.outputs] == ["aime2025.jsonl", "amc23.jsonl"]
    assert len(plan.problems) == 4
    assert plan.log_path == tmp_path / "eval.log"
    with pytest.raises(ValueError, match="--task AMC23 amc23 names a task twice"):
        plan_of(task=["AMC23", "amc23"], **tasks)


def test_a_file_without_rows_has_no_problems(plan_of, monkeypatch):
    monkeypatch.setattr(plan_module, "problems_of_file", lambda *_, **__: [])
    with pytest.raises(ValueError, match="problems has no problems"):
        plan_of()


def test_what_a_file_was_drawn_with(plan_of):
    (run,) = side_files(plan_of(chat_options={"enable_thinking": False}), MODEL)
    assert run["model"] == MODEL
    assert run["sampling"]["temperature"] == 0.6
    assert run["sampling"]["chat_options"] == {"enable_thinking": False}
    assert "num_samples" not in run["sampling"]
    assert list(run["problems"]) == ["0", "1", "2", "3"]


def test_answers_are_added_to_those_of_the_same_evaluation(plan_of, tmp_path):
    (run,) = side_files(plan_of(num_problems=2), MODEL)
    (tmp_path / "a.jsonl").write_text("{}\n")
    write_run(run_path(tmp_path / "a.jsonl"), run | {"runs": [{"num_drawn": 6}]})
    (more,) = side_files(plan_of(sampling={"num_samples": 9}), MODEL)
    assert more["runs"] == [{"num_drawn": 6}]
    assert list(more["problems"]) == ["0", "1", "2", "3"]


@pytest.mark.parametrize(
    ("options", "model", "difference"),
    [
        ({"sampling": {"top_p": 1.0}}, MODEL, "top_p was 0.95 and is 1.0"),
        ({"dtype": "float16"}, MODEL, "and is 'float16'"),
        ({}, {"name": "m", "fingerprint": "g"}, "model m has other weights or another tokenizer now"),
    ],
)
def test_answers_are_not_added_to_those_of_another_evaluation(plan_of, tmp_path, options, model, difference):
    (run,) = side_files(plan_of(), MODEL)
    (tmp_path / "a.jsonl").write_text("{}\n")
    write_run(run_path(tmp_path / "a.jsonl"), run)
    with pytest.raises(ValueError, match=rf"a\.jsonl was drawn differently: .*{difference}"):
        side_files(plan_of(**options), model)


def test_a_side_file_without_answers_says_nothing(plan_of, tmp_path):
    (run,) = side_files(plan_of(), MODEL)
    path = run_path(tmp_path / "a.jsonl")
    write_run(path, run)
    (other,) = side_files(plan_of(sampling={"top_p": 1.0}), MODEL)
    assert other["sampling"]["top_p"] == 1.0
    path.unlink()
    (tmp_path / "a.jsonl").touch()
    assert side_files(plan_of(), MODEL) == [run]
    (tmp_path / "a.jsonl").write_text("{}\n")
    with pytest.raises(ValueError, match=r"a\.jsonl has no a\.run\.json beside it, so how it was drawn is unknown"):
        side_files(plan_of(), MODEL)


def test_an_engine_for_each_core(plan_of, tmp_path, monkeypatch):
    """OMP_NUM_THREADS says how many; a side file of any number of engines is the same."""
    monkeypatch.setattr(model_source, "num_accelerators", lambda: 0)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    plan = plan_of()
    with (tmp_path / "log").open("w") as log:
        sampler = plan.source.sampler(plan.problems, plan.sampling, plan.chat_options, log)
    assert (sampler.num_engines, sampler.max_num_seqs) == (2, 512)
    assert sampler.environments == [{"OMP_NUM_THREADS": "1"}] * 2
    assert plan.source.describe() == ["engines   2 of 1 thread, 512 answers in flight each, precision float32"]
    one = plan_of(data_parallel_size=1, max_num_seqs=9)
    assert one.source.describe() == ["engines   1 of 2 threads, 9 answers in flight each, precision float32"]
    assert side_files(one, MODEL) == side_files(plan, MODEL)


def test_what_vllm_is_started_with(plan_of, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    plan = plan_of(max_model_len=64, engine_options={"enforce_eager": False}, chat_options={"a": 1}, max_num_seqs=7)
    with (tmp_path / "log").open("w") as log:
        sampler = plan.source.sampler(plan.problems, plan.sampling, plan.chat_options, log)
    assert isinstance(sampler, VllmSampler)
    assert (sampler.max_num_seqs, sampler.num_engines) == (7, 1)
    job = sampler.job
    assert (job.sampling, job.context, job.chat_options) == (plan.sampling, 64, {"a": 1})
    assert job.question_ids == ["0", "1", "2", "3"]
    assert job.engine_options["max_model_len"] == 64
    assert job.engine_options["enforce_eager"] is False
    assert type(job).from_json(json.loads(json.dumps(job.as_json()))) == job
