"""eval.py on the real vLLM: killed and resumed, from checkpoints of every kind, against vLLM's own server."""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from tests.end_to_end.conftest import ROOT, environment
from verl_ext.evaluation.shards import merge_shards
from verl_ext.host.threads import ONE_THREAD
from verl_ext.study.checkpoint_answers import Draw
from verl_ext.study.checkpoint_answers import evaluate as evaluate_draws

pytestmark = pytest.mark.slow

SHORT = ("--temperature", "1", "--top_p", "1", "--max_tokens", "8", "--max_model_len", "64")


def evaluate(model, data: Path, output: Path, *options: str) -> tuple[subprocess.CompletedProcess, dict]:
    """Run eval.py on four problems; what it said, and its lines by question and generation."""
    command = [
        *(sys.executable, "eval/eval.py", "--model_path", str(model), "--data", str(data / "test.parquet")),
        *("--output_path", str(output), "--num_problems", "4", "--num_samples", "8", *SHORT, *options),
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment() | ONE_THREAD, cwd=ROOT
    )
    lines = [json.loads(line) for line in output.read_text().splitlines()] if output.exists() else []
    return done, {(line["question_id"], line["generation_id"]): line for line in lines}


def kept_draw(folder: Path, name: str, model: Path, data: Path) -> Draw:
    """What ``evaluate`` draws, by an engine that stays."""
    places = ("--model_path", str(model), "--data", str(data / "test.parquet"))
    arguments = (*places, "--output_path", str(folder / f"{name}.jsonl"), "--num_problems", "4", *SHORT)
    return Draw(name=name, run_folders=(folder / name,), step=5, arguments=arguments, drawn={"by": "evaluate"})


@pytest.fixture(scope="module")
def whole(models, data, tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess, dict]:
    """An evaluation on one engine: its file, what it said, and its lines."""
    output = tmp_path_factory.mktemp("whole") / "a.jsonl"
    return output, *evaluate(models["tied"], data, output)


def test_killed_at_random_moments_it_ends_up_the_same(models, data):
    """12 problems x 16, few at a time so that kills find it at work."""
    command = [
        *(sys.executable, "benchmarks/kill_resume.py", "--model", str(models["tied"]), "--data"),
        *(str(data / "train.parquet"), "--num_problems", "12", "--num_samples", "16", "--kills", "3"),
        *("--", "--max_num_seqs", "4", "--chunk_size", "2"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment(), cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 kills, 192 answers: equal to the undisturbed file line for line (sorted); 0 processes were left" in (
        done.stdout
    )


def test_samples_depend_on_nothing_but_their_seed_and_the_console_stays_clean(whole, models, data, tmp_path):
    """Other chunks, another number in flight, two engines: the same answers."""
    output, first, lines = whole
    assert first.returncode == 0, first.stderr
    assert len(lines) == 32
    shown = first.stdout + first.stderr
    assert "WARNING" not in shown
    assert "Loading safetensors" not in shown
    assert f"log       {output}.log" in shown
    assert "Loading safetensors" in output.with_name("a.jsonl.log").read_text()
    assert "pass@8" in first.stdout

    options = ("--chunk_size", "3", "--max_num_seqs", "5", "--data_parallel_size", "2")
    second, again = evaluate(models["tied"], data, tmp_path / "b.jsonl", *options)
    assert second.returncode == 0, second.stderr
    assert again == lines

    run = json.loads((tmp_path / "b.run.json").read_text())
    assert len(run["runs"][0]["engine_seconds"]) == 2

    # An engine that has had another model, whose weights vLLM has packed and tied
    other = shutil.copytree(models["tied"], tmp_path / "other")
    weights = load_file(other / "model.safetensors")
    save_file({name: weight * 1.5 for name, weight in weights.items()}, other / "model.safetensors", {"format": "pt"})
    draws = [kept_draw(tmp_path, "other", other, data), kept_draw(tmp_path, "kept", models["tied"], data)]
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (environment() | ONE_THREAD).items():
            patch.setenv(name, value)
        asyncio.run(evaluate_draws(draws, num_samples=8, log_path=tmp_path / "kept.log"))
    spent = [json.loads((tmp_path / f"{name}.run.json").read_text())["runs"][0] for name in ("other", "kept")]
    assert [run["engine_seconds"][0]["import"] > 0 for run in spent] == [True, False]
    kept = [json.loads(line) for line in (tmp_path / "kept.jsonl").read_text().splitlines()]
    assert {(line["question_id"], line["generation_id"]): line for line in kept} == lines
    others = [json.loads(line) for line in (tmp_path / "other.jsonl").read_text().splitlines()]
    assert [line["response"] for line in others] != [line["response"] for line in kept]
    rows = [json.loads(line) for line in (tmp_path / "kept" / "validation.jsonl").read_text().splitlines()]
    assert [(row["step"], row["data_source"], row["num_samples"]) for row in rows] == [(5, "countdown", [8] * 4)]
    assert run["problems"]["0"]["text"].endswith("<|im_start|>assistant\n")


def test_what_vllm_says_when_it_fails_is_shown(models, data, tmp_path):
    options = ("--engine_options", '{"kv_cache_dtype": "no_such_type"}')
    done, lines = evaluate(models["tied"], data, tmp_path / "a.jsonl", *options)
    assert done.returncode != 0
    assert "no_such_type" in done.stderr
    assert lines == {}


def test_a_lora_checkpoint_is_evaluated_with_what_it_learned(run_of, data, models, tmp_path):
    result = run_of("adapter", "saved")
    assert result.code == 0, result.shown
    done, lines = evaluate(result.folder, data, tmp_path / "a.jsonl")
    assert done.returncode == 0, done.stderr
    assert len(lines) == 32
    actor = result.folder / "checkpoints" / "global_step_2" / "actor"
    assert_merged_as_verl_and_peft_do(actor, actor / "merged", models["tied"], tmp_path)


def test_a_lora_checkpoint_of_two_ranks_merges(run_of, models, tmp_path):
    result = run_of("adapter on two ranks", "saved")
    assert result.code == 0, result.shown
    actor = result.folder / "checkpoints" / "global_step_2" / "actor"
    merge_shards(actor, tmp_path / "merged")
    assert_merged_as_verl_and_peft_do(actor, tmp_path / "merged", models["tied"], tmp_path)


def assert_merged_as_verl_and_peft_do(actor: Path, merged: Path, base: Path, folder: Path) -> None:
    """verl's own merger and peft round the base to bfloat16."""
    from peft import PeftModel
    from verl.model_merger.base_model_merger import ModelMergerConfig
    from verl.model_merger.fsdp_model_merger import FSDPModelMerger

    target = str(folder / "verls")
    config = ModelMergerConfig(
        operation="merge",
        backend="fsdp",
        local_dir=str(actor),
        target_dir=target,
        hf_model_config_path=f"{actor}/huggingface",
    )
    FSDPModelMerger(config).merge_and_save()
    model = AutoModelForCausalLM.from_pretrained(target, dtype=torch.float32)
    theirs = PeftModel.from_pretrained(model, f"{target}/lora_adapter").merge_and_unload().state_dict()
    ours, before = load_file(merged / "model.safetensors"), load_file(base / "model.safetensors")
    assert set(ours) == set(before)

    def largest(others):
        return max((ours[name].float() - others[name].float()).abs().max().item() for name in ours)

    assert largest(before) > 1e-3, "training must have moved the weights"
    assert largest(theirs) < 0.01 * max(1.0, largest(before))


def test_vllms_own_server_gives_the_answers_of_the_engine(whole, models, data, tmp_path):
    """Same weights, same prompts, same seeds: from the server come the answers that eval.py draws by itself."""
    _output, done, lines = whole
    assert done.returncode == 0, done.stderr
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    serve = (
        "from verl_ext.cpu.environment import use_cpu_where_there_is_no_accelerator as use; use();"
        "import runpy; runpy.run_module('vllm.entrypoints.openai.api_server', run_name='__main__')"
    )
    with (tmp_path / "server.log").open("w") as log:
        server = subprocess.Popen(
            [
                *(sys.executable, "-c", serve, "--model", str(models["tied"]), "--served-model-name", "small"),
                *("--port", str(port), "--dtype", "float32", "--enforce-eager", "--max-model-len", "64"),
                *("--no-enable-chunked-prefill", "--distributed-executor-backend", "uni"),
                # As in training: the engine's own process draws tokens as ours does, once it has loaded this
                *("--worker-extension-cls", "verl_ext.cpu.rollout.CPUWorkerExtension"),
            ],
            env=environment() | ONE_THREAD,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        _wait_for(f"http://127.0.0.1:{port}/v1/models", server, tmp_path / "server.log")
        done, from_server = evaluate(f"http://127.0.0.1:{port}", data, tmp_path / "server.jsonl", "--max_num_seqs", "8")
    finally:
        # The whole group: the engine's process outlives a server that is killed alone.
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
    assert done.returncode == 0, done.stderr
    assert from_server.keys() == lines.keys()
    for key, line in lines.items():
        # The server leaves out a character whose last bytes were cut off.
        assert from_server[key]["response"].rstrip("\ufffd") == line["response"].rstrip("\ufffd"), key
    assert [from_server[key]["num_tokens"] for key in lines] == [line["num_tokens"] for line in lines.values()]


def _wait_for(url: str, server: subprocess.Popen, log: Path) -> None:
    while True:  # until the test's own time is up
        assert server.poll() is None, log.read_text()[-3000:]
        try:
            urllib.request.urlopen(url).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
