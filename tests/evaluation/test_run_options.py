"""The command line as options: what is read, and what is refused without a model."""

from dataclasses import fields
from pathlib import Path

import pytest

from verl_ext.evaluation.run_options import EvaluationOptions, RegradeOptions, check_writable, parse
from verl_ext.evaluation.sampling_settings import Sampling


def options_of(tmp_path, *arguments):
    return parse(["--model_path", "m", "--task", "MATH", "--output_dir", str(tmp_path), *map(str, arguments)], "")


def test_what_is_not_given_has_the_default_of_the_options(tmp_path):
    parsed = options_of(tmp_path)
    given = EvaluationOptions(model_path="m", task=["MATH"], output_dir=tmp_path, arguments=parsed.arguments)
    for option in fields(EvaluationOptions):
        assert getattr(parsed, option.name) == getattr(given, option.name), option.name


def test_sampling_that_was_given_replaces_the_familys(tmp_path):
    options = options_of(tmp_path, "--temperature", 1, "--num_samples", 8)
    assert options.sampling == {"temperature": 1.0, "num_samples": 8}
    assert options.sampling_of(Sampling(top_k=20)) == Sampling(temperature=1.0, num_samples=8, top_k=20)


def test_a_temperature_of_0_is_judged_with_the_familys_number_of_samples(tmp_path):
    options = options_of(tmp_path, "--temperature", 0)
    assert options.sampling_of(Sampling(num_samples=1)).temperature == 0
    with pytest.raises(ValueError, match="the same answer 256 times"):
        options.sampling_of(Sampling())


def test_the_file_of_a_task(tmp_path):
    assert options_of(tmp_path).path_of("math") == tmp_path / "math.jsonl"
    file = tmp_path / "a.jsonl"
    assert EvaluationOptions(model_path="m", task=["MATH"], output_path=file).path_of("math") == file


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "d.parquet"], "either by --task or by --data"),
        (["--output_path", "a.jsonl"], "either --output_path FILE or --output_dir DIR"),
        (["--chunk_size", "0"], "--chunk_size must be at least 1, got 0"),
        (["--max_model_len", "-1"], "--max_model_len must be at least 1, got -1"),
        (["--request_timeout", "nan"], "--request_timeout must be above 0 seconds, got nan"),
        (["--top_p", "2"], "--top_p must be above 0"),
        (["--template", "lama"], "Did you mean llama?"),
    ],
)
def test_refused(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message.replace("?", r"\?")):
        options_of(tmp_path, *arguments)


def test_several_tasks_need_a_file_each(tmp_path):
    with pytest.raises(ValueError, match="give --output_dir instead of --output_path"):
        EvaluationOptions(model_path="m", task=["MATH", "AMC23"], output_path=tmp_path / "a.jsonl")


def test_a_model_is_asked_for():
    with pytest.raises(ValueError, match="Say which model to evaluate: --model_path"):
        parse(["--task", "MATH"], "")


def test_regrade_needs_no_model(tmp_path):
    file = tmp_path / "a.jsonl"
    file.touch()
    assert parse(["--regrade", str(file), "--task", "MATH"], "") == RegradeOptions(path=file, task="MATH")
    assert parse(["--regrade", str(file)], "").task is None
    with pytest.raises(ValueError, match="takes one --task: a file holds the answers of one"):
        parse(["--regrade", str(file), "--task", "MATH", "AMC23"], "")
    with pytest.raises(ValueError, match=r"There is no file .*b\.jsonl to grade again"):
        parse(["--regrade", str(tmp_path / "b.jsonl")], "")


def test_what_can_be_written(tmp_path):
    check_writable("--output_path", None)
    check_writable("--output_path", tmp_path / "new" / "folder" / "a.jsonl")
    file = tmp_path / "file"
    file.touch()
    check_writable("--output_path", file)
    with pytest.raises(ValueError, match=f"^--output_path {file}/a.jsonl cannot be written: {file} is a file"):
        check_writable("--output_path", Path(file / "a.jsonl"))
