"""eval.py as a person calls it, with a sampler that needs no model; what was got wrong is said in a line, and early."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.conftest import fill
from tests.evaluation.conftest import FakeSampler
from verl_ext.commands import evaluate as command
from verl_ext.cpu import precision
from verl_ext.evaluation import model_source
from verl_ext.evaluation.vllm_sampler import EngineError
from verl_ext.grading import Reason, Verdict
from verl_ext.metrics.label_file import read_labels

ROOT = Path(__file__).resolve().parents[2]


class FakeVllm(FakeSampler):
    """In the place of vLLM's engines; answers sample i with a box around i."""

    jobs: ClassVar = []
    fails_next = False

    def __init__(self, job, *_):
        super().__init__()
        self.job, self.seconds = job, [{"step": 1.0}]
        self.rendered_prompts = [f"<{prompt}>" for prompt in job.prompts]
        FakeVllm.jobs.append(job)

    async def draw(self, chunks):
        if FakeVllm.fails_next:
            raise EngineError("vLLM's process ended with exit code 1.")
        async for item in super().draw(chunks):
            yield item


@pytest.fixture(autouse=True)
def _fake_vllm(monkeypatch):
    FakeVllm.jobs, FakeVllm.fails_next = [], False
    monkeypatch.setattr(model_source, "VllmSampler", FakeVllm)
    monkeypatch.setattr(model_source, "num_accelerators", lambda: 0)


@pytest.fixture
def evaluate(model_folder, rows_file, tmp_path, capsys):
    """Run the command with defaults that later arguments replace: (code, out, err, the lines of the file)."""

    def run(*arguments, name="a.jsonl", model=model_folder, data=rows_file):
        path = tmp_path / name
        defaults = ["--model_path", str(model), "--data", str(data), "--output_path", str(path), "--num_samples", "3"]
        code = command.main([*defaults, *map(str, arguments)], "")
        shown = capsys.readouterr()
        lines = sorted(path.read_text().splitlines()) if path.exists() else []
        return code, shown.out, shown.err, lines

    return run


def test_a_file_its_side_files_and_a_table(evaluate, tmp_path):
    code, out, _, lines = evaluate()
    assert code == 0
    assert len(lines) == 4 * 3
    assert f"log       {tmp_path}/a.jsonl.log" in out
    assert re.search(r"^problems +4 +12 +\d+\.\d% +\d+\.\d% +\d+\.\d%$", out, re.MULTILINE)  # pass@1, 2 and 3
    run = json.loads((tmp_path / "a.run.json").read_text())
    assert run["sampling"] == {
        "temperature": 0.6,
        "top_p": 0.95,
        "top_k": -1,
        "max_tokens": 4096,
        "seed": 0,
        "chat_options": {},
        "grader": "default",
        "seeds": "31 bits",
        "dtype": run["sampling"]["dtype"],
        "max_model_len": None,
        "token_draw": "one number a token",
    }
    assert run["problems"]["0"]["text"].startswith("<[{'role': 'user'")
    assert run["runs"][0]["num_drawn"] == 12
    assert run["runs"][0]["engine_seconds"] == [{"step": 1.0}]
    labels = read_labels(tmp_path / "a.jsonl")
    assert labels.num_answers == 12
    assert labels.num_problems == 4


def test_again_draws_nothing_and_more_tops_up(evaluate):
    evaluate()
    code, out, _, lines = evaluate()
    assert (code, len(lines)) == (0, 12)
    assert "pass@1" in out
    code, _, _, more = evaluate("--num_samples", 5)
    assert code == 0
    assert len(more) == 20
    assert set(lines) < set(more)


def test_another_sampling_model_or_prompt_is_refused_with_the_difference(evaluate, model_folder, tmp_path):
    _, _, _, before = evaluate()
    code, _, err, after = evaluate("--temperature", 1, "--seed", 3)
    assert code == 2
    assert "a.jsonl was drawn differently: seed was 0 and is 3; temperature was 0.6 and is 1.0." in err
    other = tmp_path / "other"
    other.mkdir()
    for file in model_folder.iterdir():
        (other / file.name).write_bytes(file.read_bytes() + (b"1" if file.name == "model.safetensors" else b""))
    code, _, err, after = evaluate(model=other)
    assert code == 2
    assert f"model was {model_folder} and is {other}" in err
    code, _, err, after = evaluate("--template", "llama")
    assert code == 2
    assert "prompt of question 0 was [{'role': 'user', 'content': 'Question 0?'}] and is '<|begin_of_text|>" in err
    assert after == before


def test_answers_that_were_not_decided_are_named_with_the_way_out(evaluate, tmp_path, monkeypatch):
    async def undecided(response, reference, task, *, is_truncated=False):
        is_slow = "{1}" in response
        return Verdict(Reason.TIMED_OUT if is_slow else Reason.INCORRECT, "1", rule="box", tier="symbolic")

    monkeypatch.setattr("verl_ext.evaluation.drawing.grade_async", undecided)
    code, out, _, _ = evaluate()
    assert code == 0
    assert "problems: timed out 4" in out
    path = tmp_path / "a.jsonl"
    assert f"{path} (4 timed out or not graded: eval.py --regrade {path} tries again)" in out


def test_a_file_with_seeds_of_another_kind_is_not_added_to(evaluate, tmp_path):
    _, _, _, before = evaluate()
    path = tmp_path / "a.run.json"
    run = json.loads(path.read_text())
    del run["sampling"]["seeds"]  # as before they were kept to 31 bits
    path.write_text(json.dumps(run))
    code, _, err, after = evaluate("--num_samples", 5)
    assert (code, after) == (2, before)
    assert "a.jsonl was drawn differently: seeds was None and is '31 bits'." in err


def test_a_file_of_unknown_origin_is_refused(evaluate, tmp_path):
    evaluate()
    (tmp_path / "a.run.json").unlink()
    code, _, err, _ = evaluate()
    assert code == 2
    assert "a.jsonl has no a.run.json beside it, so how it was drawn is unknown" in err


@pytest.mark.parametrize("how", ["gz", "zst", "none"])
def test_a_packed_file_can_be_topped_up(evaluate, tmp_path, how):
    evaluate("--compress", how)
    packed = tmp_path / ("a.jsonl" if how == "none" else f"a.jsonl.{how}")
    assert packed.exists()
    assert read_labels(packed).num_answers == 12
    code, out, _, _ = evaluate("--compress", how, "--num_samples", 4)
    assert code == 0
    assert str(packed) in out.splitlines()
    assert read_labels(packed).num_answers == 16
    assert [
        path.name for path in tmp_path.glob("a.jsonl*") if "labels" not in path.name and "log" not in path.name
    ] == [packed.name]


def test_tasks_by_name_go_to_a_file_each(evaluate, tmp_path, model_folder, data_dir, capsys):
    arguments = ["--model_path", model_folder, "--task", "AIME2025", "amc23", "--output_dir", tmp_path / "out"]
    arguments += ["--data_dir", data_dir, "--num_problems", 2, "--num_samples", 1]
    assert command.main(list(map(str, arguments)), "") == 0
    assert sorted(path.name for path in (tmp_path / "out").glob("*.jsonl")) == ["aime2025.jsonl", "amc23.jsonl"]
    (job,) = FakeVllm.jobs
    # The small model is a Qwen2 that knows the tokens of a turn.
    assert all(prompt.startswith("<|im_start|>system\nYou are a helpful assistant.") for prompt in job.prompts)
    assert f"log       {tmp_path}/out/eval.log" in capsys.readouterr().out


def test_a_failure_shows_the_end_of_the_log(evaluate, tmp_path):
    FakeVllm.fails_next = True
    (tmp_path / "a.jsonl.log").write_text("out of memory\n")
    code, _, err, lines = evaluate()
    assert code == 1
    assert "error: vLLM's process ended with exit code 1." in err
    assert "out of memory" in err
    assert lines == []
    assert not (tmp_path / "a.jsonl").exists()


def test_regrade_by_the_side_file(evaluate, tmp_path, capsys):
    evaluate()
    path = tmp_path / "a.jsonl"
    path.write_text(
        path.read_text().replace('"label":false,"reason":"incorrect"', '"label":true,"reason":"correct"', 1)
    )
    assert command.main(["--regrade", str(path)], "") == 0
    out = capsys.readouterr().out
    assert "12 answers graded again" in out
    assert "1  correct -> incorrect" in out
    assert read_labels(path).num_answers == 12
    run = json.loads((tmp_path / "a.run.json").read_text())
    assert run["runs"][-1]["num_regraded"] == 12
    assert evaluate()[0] == 0, "it can still be continued"


def test_regrade_without_a_side_file_needs_the_task(tmp_path, capsys):
    path = tmp_path / "paper.jsonl"
    line = {"question_id": 0, "generation_id": 0, "response": r"\boxed{1}", "gold_answer": "1", "label": 0}
    path.write_text(json.dumps(line) + "\n")
    assert command.main(["--regrade", str(path)], "") == 2
    assert "paper.jsonl has no paper.run.json beside it, so its task is unknown: name it with --task." in (
        capsys.readouterr().err
    )
    assert command.main(["--regrade", str(path), "--task", "MATH"], "") == 0
    assert "1  not correct -> correct" in capsys.readouterr().out


BAD = {
    "n = 0": (["--num_samples", "0"], "--num_samples must be at least 1, got 0"),
    "no model": (["--model_path", "/not/there"], "There is no model at /not/there"),
    "not a model": (["--model_path", str(ROOT / "tests")], "has neither weights"),
    "no data": (["--data", "/not/there.parquet"], "There is no data file /not/there.parquet"),
    "two sources": (["--task", "MATH"], "Give the problems either by --task or by --data"),
    "two outputs": (["--output_dir", "/tmp"], "either --output_path FILE or --output_dir DIR"),
    "context too short": (
        ["--max_model_len", "8"],
        "The prompt of question 0 has 11 tokens and the model's context is 8",
    ),
    "context too long": (["--max_model_len", "3000"], "--max_model_len 3000 is more than the 2048 tokens"),
    "temperature": (["--temperature", "-1"], "--temperature must be 0 or more"),
    "engines": (["--data_parallel_size", "0"], "--data_parallel_size must be at least 1, got 0"),
    "template": (["--template", "qwne"], "There is no prompt template 'qwne'. Did you mean qwen?"),
    "not writable": (["--output_path", "/proc/nothing/a.jsonl"], "/proc/nothing"),
    "no server": (
        ["--model_path", "http://127.0.0.1:9"],
        "No OpenAI-compatible server answers at http://127.0.0.1:9/v1",
    ),
    "regrade": (["--regrade", "/not/there.jsonl"], "There is no file /not/there.jsonl"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_said_before_anything_starts(evaluate, what):
    arguments, message = BAD[what]
    code, _, err, lines = evaluate(*arguments)
    assert code == 2
    assert err.startswith("error: ")
    assert message in err
    assert err.count("\n") == 1
    assert FakeVllm.jobs == []
    assert lines == []


def test_bad_input_is_said_without_vllm(model_folder, rows_file, tmp_path):
    code = (
        "import sys; from verl_ext.commands.evaluate import main; code = main(sys.argv[1:], '');"
        "heavy = [m for m in ('vllm', 'torch', 'transformers', 'verl') if m in sys.modules]; sys.exit(heavy or code)"
    )
    done = subprocess.run(
        [
            *(sys.executable, "-c", code, "--model_path", model_folder, "--data", rows_file),
            *("--output_path", tmp_path / "a.jsonl", "--max_model_len", "8"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "there is no room for an answer" in done.stderr


@pytest.mark.parametrize(("accelerators", "has_bfloat16"), [(0, False), (0, True), (1, False)])
def test_the_precision_follows_the_weights_and_the_processor(
    evaluate, model_folder, tmp_path, monkeypatch, accelerators, has_bfloat16
):
    monkeypatch.setattr(model_source, "num_accelerators", lambda: accelerators)
    monkeypatch.setattr(model_source, "stored_dtype", lambda folder: "bfloat16")
    for module in (model_source, precision):
        monkeypatch.setattr(module, "has_fast_bfloat16", lambda: has_bfloat16)
    evaluate()
    assert FakeVllm.jobs[-1].engine_options["dtype"] == (
        "auto" if accelerators else "bfloat16" if has_bfloat16 else "float32"
    )
    _, out, _, _ = evaluate("--dtype", "bfloat16", name="b.jsonl")
    assert FakeVllm.jobs[-1].engine_options["dtype"] == "bfloat16"
    assert ("--dtype float32 is many times faster" in out) is (not accelerators and not has_bfloat16)


# ---------------------------------------------------------------------- disks


def test_a_full_disk_keeps_the_answers_and_the_same_command_goes_on(evaluate, small_disk):
    _, _, _, whole = evaluate("--num_samples", 40)
    path = small_disk / "a.jsonl"
    evaluate("--output_path", path)
    filler = fill(small_disk, 3 * 4096)
    code, _, err, _ = evaluate("--output_path", path, "--num_samples", 40)
    assert code == 1
    assert f"error: {path} cannot be written: No space left on device. The answers before are in it: make room" in err
    filler.unlink()
    assert 12 <= len(path.read_text().splitlines()) < 160
    code, _, err, _ = evaluate("--output_path", path, "--num_samples", 40)
    assert code == 0, err
    assert sorted(path.read_text().splitlines()) == whole


def test_no_room_for_the_log_is_a_line(evaluate, small_disk):
    fill(small_disk)
    code, _, err, _ = evaluate("--output_path", small_disk / "a.jsonl")
    assert code == 2
    (line,) = err.splitlines()
    assert line.startswith(
        f"error: {small_disk}/a.jsonl.log cannot be written: No space left on device. Make room, or "
    )


@pytest.mark.parametrize("option", ["--output_path", "--disagreements"])
def test_a_read_only_disk_is_refused_before_anything_is_read(evaluate, small_disk, option):
    (small_disk / "there.jsonl").touch()
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    for name in ("new/a.jsonl", "there.jsonl"):
        code, _, err, _ = evaluate(option, small_disk / name, model="/no/such/model")
        assert code == 2
        assert err.startswith(f"error: {option} {small_disk / name} cannot be written: {small_disk}")


def test_a_model_of_broken_numbers_is_not_sampled(evaluate, model_folder, tmp_path):
    """It would answer noise, and the table would say 0 %."""
    shutil.copytree(model_folder, tmp_path / "model")
    save_file({"w.weight": np.array([np.nan], np.float32)}, tmp_path / "model" / "model.safetensors")
    code, _, err, lines = evaluate(model=tmp_path / "model")
    assert code == 2
    assert "model.safetensors holds NaN or an infinity in w.weight" in err
    assert not lines
