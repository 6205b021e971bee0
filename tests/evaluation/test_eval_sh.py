"""eval.sh: what its knobs become on the command line of eval.py."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def run(tmp_path):
    """Run a copy of the script, without .venv, where ``python`` prints its arguments one a line."""
    for name in ("eval/eval.sh", "eval/eval.py", "scripts/env.sh"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    python.chmod(0o755)

    def run(*arguments, **knobs):
        environment = {"PATH": f"{python.parent}:{os.environ['PATH']}"} | knobs
        command = ["bash", str(tmp_path / "eval" / "eval.sh"), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        return done.returncode, done.stdout.splitlines()[1:], done.stderr

    return run


def pairs(arguments):
    """Each option with what follows it."""
    found = {}
    for argument in arguments:
        if argument.startswith("--"):
            name = argument
            found[name] = []
        else:
            found[name].append(argument)
    return found


def test_the_defaults_leave_the_papers_settings_to_eval_py(run):
    code, arguments, _ = run(MODEL_PATH="m", OUTPUT_DIR="out")
    assert code == 0
    assert pairs(arguments) == {
        "--model_path": ["m"],
        "--output_dir": ["out"],
        "--task": ["MATH", "AIME2025", "AMC23"],
        "--tensor_parallel_size": ["1"],
        "--compress": ["none"],
    }


def test_every_knob_and_the_callers_arguments_last(run):
    knobs = {
        "NUM_SAMPLES": "8",
        "TEMPERATURE": "0.7",
        "TOP_P": "0.8",
        "TOP_K": "20",
        "MAX_TOKENS": "100",
        "TEMPLATE": "chat",
        "SEED": "3",
        "NUM_PROBLEMS": "2",
        "DATA_DIR": "a folder",
        "MAX_MODEL_LEN": "128",
        "DTYPE": "bfloat16",
        "SERVED_MODEL": "s",
        "DISAGREEMENTS": "d.jsonl",
        "CHUNK_SIZE": "4",
        "REQUEST_TIMEOUT": "60",
        "TENSOR_PARALLEL_SIZE": "2",
        "DATA_PARALLEL_SIZE": "4",
        "MAX_NUM_SEQS": "64",
        "COMPRESS": "gz",
    }
    _, arguments, _ = run("--seed", "9", MODEL_PATH="m", OUTPUT_DIR="out", TASKS="GSM8K Countdown", **knobs)
    found = pairs(arguments)
    assert found["--task"] == ["GSM8K", "Countdown"]
    assert {name: found[f"--{name.lower()}"] for name in knobs if name != "SEED"} == {
        name: [value] for name, value in knobs.items() if name != "SEED"
    }
    assert arguments[-2:] == ["--seed", "9"]


@pytest.mark.parametrize("missing", ["MODEL_PATH", "OUTPUT_DIR"])
def test_what_must_be_given_is_asked_for(run, missing):
    knobs = {"MODEL_PATH": "m", "OUTPUT_DIR": "out"}
    del knobs[missing]
    code, _, err = run(**knobs)
    assert code == 1
    assert f"{missing} is not set" in err


def test_every_knob_is_an_option_of_eval_py(tmp_path):
    from verl_ext.evaluation.run_options import parse

    knobs = ["--num_samples", "8", "--data_dir", "d", "--chunk_size", "1", "--served_model", "s"]
    options = parse(["--model_path", "m", "--task", "MATH", "--output_dir", str(tmp_path), *knobs], "")
    assert (options.sampling, options.data_dir, options.chunk_size) == ({"num_samples": 8}, Path("d"), 1)
    assert (options.served_model, options.output_dir) == ("s", tmp_path)
