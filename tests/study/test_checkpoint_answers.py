"""Which models of a study are drawn from, and where their counts go; tests/end_to_end/test_evaluation.py draws."""

import asyncio
import json
from pathlib import Path

import pytest

from verl_ext.evaluation.kept_engines import KeptEngines
from verl_ext.evaluation.sampling_settings import Sampling
from verl_ext.evaluation.vllm_process import Job
from verl_ext.study.__main__ import main
from verl_ext.study.checkpoint_answers import draws_of
from verl_ext.study.grid import Grid
from verl_ext.study.grid_file import GridRun
from verl_ext.training import validation_counts

TEMPERATURE = "actor_rollout_ref.rollout.temperature"
COMMON = {
    "device": "cpu",
    "actor_rollout_ref.model.path": "models/base",
    "data.val_files": "data/test.parquet",
    "data.max_response_length": 16,
    "actor_rollout_ref.rollout.max_model_len": 48,
    TEMPERATURE: 0.7,
}


def drawn(
    output: Path, names: dict[str, dict], steps: dict[str, list[int]], *, only: str = ""
) -> list[tuple[str, str, int, str]]:
    runs = [GridRun(name, {}, COMMON, own) for name, own in names.items()]
    for name, saved in steps.items():
        for step in saved:
            (output / name / f"checkpoints/global_step_{step}").mkdir(parents=True)
    found = []
    for draw in draws_of(Grid(runs, output, []), [run for run in runs if only in run.name], output):
        words = dict(zip(draw.arguments[::2], draw.arguments[1::2], strict=True))
        assert words["--temperature"] == str(draw.drawn["temperature"])
        temperatures = {names[folder.name].get(TEMPERATURE, 0.7) for folder in draw.run_folders}
        assert draw.drawn == {"by": "evaluate", "temperature": temperatures.pop(), "top_p": 1.0, "max_tokens": 16}
        assert not temperatures
        assert (words["--top_p"], words["--max_tokens"], words["--max_model_len"]) == ("1.0", "16", "48")
        assert Path(words["--output_path"]) == output / f"answers/{draw.name}.jsonl"
        folders = " ".join(folder.name for folder in draw.run_folders)
        found.append((draw.name, folders, draw.step, words["--model_path"]))
    return found


def test_every_checkpoint_and_each_base_once(tmp_path):
    names = {"a": {}, "b": {}, "c": {"actor_rollout_ref.model.path": "models/other"}, "waiting": {}}
    found = drawn(tmp_path, names, {"a": [20, 40], "b": [40], "c": [40]})
    folder = f"{tmp_path}/{{}}/checkpoints/global_step_{{}}"
    assert found == [
        ("base", "a b", 0, "models/base"),
        ("a-step20", "a", 20, folder.format("a", 20)),
        ("a-step40", "a", 40, folder.format("a", 40)),
        ("b-step40", "b", 40, folder.format("b", 40)),
        ("base2", "c", 0, "models/other"),
        ("c-step40", "c", 40, folder.format("c", 40)),
    ]


def test_runs_that_sample_at_other_temperatures_have_bases_of_their_own(tmp_path):
    names = {"a": {}, "b": {TEMPERATURE: 1.2}, "c": {TEMPERATURE: 1.2}}
    found = drawn(tmp_path, names, {name: [40] for name in names})
    assert [(name, folders) for name, folders, step, _ in found if step == 0] == [("base", "a"), ("base2", "b c")]


def test_a_base_has_one_name_whichever_runs_are_asked_for_and_finished(tmp_path):
    names = {"a": {}, "b": {TEMPERATURE: 1.2}}
    for steps, only in (({"b": [40]}, ""), ({}, "b"), ({"a": [40]}, "b"), ({}, "")):
        bases = {folders: name for name, folders, step, _ in drawn(tmp_path, names, steps, only=only) if step == 0}
        assert bases["b"] == "base2"
    assert bases == {"a": "base", "b": "base2"}


def test_a_study_without_checkpoints_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("s.yaml").write_text("options: {device: cpu}\nseeds: [1, 2]\n")
    assert main(["evaluate", "s.yaml"]) == 2
    assert f"None of the 2 runs in {tmp_path}/outputs/s has a checkpoint" in capsys.readouterr().err


@pytest.mark.parametrize("number", ["0", "many", "-1", "2.5"])
def test_a_number_of_answers_is_one(number, capsys):
    assert main(["evaluate", "studies/lambda.yaml", f"--num_samples={number}"]) == 2
    assert f"--num_samples {number} is no number of answers" in capsys.readouterr().err


def test_counts_replace_those_of_their_step(tmp_path):
    path = tmp_path / "run" / "validation.jsonl"
    at = {"by": "evaluate", "temperature": 1.0}
    validation_counts.put(path, 5, {"math": ([1], [2]), "aime": ([0], [2])}, at, told=print)
    validation_counts.append(path, 5, {"math": ([2], [2])})
    validation_counts.append(path, 10, {"math": ([2], [2])})
    validation_counts.put(path, 5, {"math": ([3], [8])}, at | {"temperature": 0.5}, told=print)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(row["step"], row["data_source"], row["num_correct"], row.get("drawn", {})) for row in rows] == [
        (5, "aime", [0], at),
        (5, "math", [2], {}),
        (10, "math", [2], {}),
        (5, "math", [3], {"by": "evaluate", "temperature": 0.5}),
    ]


def test_a_last_line_that_is_cut_is_left_out_and_said(tmp_path):
    path, at, told = tmp_path / "validation.jsonl", {"by": "evaluate"}, []
    validation_counts.append(path, 5, {"math": ([2], [2])})
    whole = path.read_text()
    path.write_text(whole + '{"step": 10, "data_so')
    validation_counts.put(path, 10, {"math": ([1], [2])}, at, told=told.append)
    assert told == [f"{path}, line 2, is cut and left out."]
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(row["step"], row.get("drawn", {})) for row in rows] == [(5, {}), (10, at)]
    path.write_text(whole.rstrip())
    validation_counts.put(path, 10, {"math": ([1], [2])}, at, told=told.append)
    assert len(path.read_text().splitlines()) == 2, "a line that lacks its end alone is whole"
    path.write_text('{"step": 10, "data_so\n' + whole)
    with pytest.raises(ValueError, match="validation.jsonl, line 1, is no validation like"):
        validation_counts.put(path, 10, {"math": ([1], [2])}, at, told=told.append)
    assert path.read_text().endswith(whole), "nothing is lost"


def test_an_engine_is_kept_for_the_same_shape_alone(tmp_path):
    """Of another model, with other options or in another environment it would not be what was asked for."""

    def job(name: str, config: str, **options: int) -> Job:
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "config.json").write_text(config)
        sampling = Sampling(num_samples=1, temperature=1.0, top_p=1.0, top_k=-1, max_tokens=4, seed=0)
        return Job(
            model=str(tmp_path / name),
            prompts=[],
            question_ids=[],
            sampling=sampling,
            context=8,
            engine_options=options,
        )

    async def look() -> None:
        engines = KeptEngines()
        process = await asyncio.create_subprocess_exec("sleep", "60", start_new_session=True)
        async with engines:
            engines.keep(job("a", "{}", max_num_seqs=4), {"X": "1"}, process)
            assert engines.take(job("b", '{"layers": 2}', max_num_seqs=4), {"X": "1"}) is None
            assert engines.take(job("b", "{}", max_num_seqs=8), {"X": "1"}) is None
            assert engines.take(job("b", "{}", max_num_seqs=4), {"X": "2"}) is None
            assert engines.take(job("b", "{}", max_num_seqs=4), {"X": "1"}) is process
            assert engines.take(job("b", "{}", max_num_seqs=4), {"X": "1"}) is None
            engines.keep(job("b", "{}", max_num_seqs=4), {"X": "1"}, process)
        assert process.returncode == -9

    asyncio.run(look())
