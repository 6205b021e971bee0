"""Which of TRL's options are tried and taken, the limit of a step, and how runs are watched. TRL itself is not needed."""

import json
import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from model_flops import Sizes, StepShape, rollout_flops, update_flops
from runs import Run, RunFailed, measured
from trl_comparison import PLANS, Comparison, Row
from trl_environment import environment
from trl_report import Report, said_of_figures
from trl_runs import Search, Trial, TRLWork, Variant, micro_batches

SHAPE = StepShape(prompts=4, samples=4, prompt_tokens=10, answer_tokens=8)
START = Variant(precision="float32", threads=2, micro_batch=4)


def steps(*seconds):
    return Run(0.0, [{"timing_s/step": each} for each in seconds], 0, list(seconds))


class Machine:
    """TRL as it would be on a machine where bfloat16 halves the time, a second thread hurts and 16 samples do not fit."""

    shape = SHAPE

    def __init__(self):
        self.asked = []

    def run(self, name, variant, num_steps):
        self.asked.append(variant)
        if variant.micro_batch == 16:
            raise RunFailed("error: TRL failed (-9); the end of its log:\nKilled")
        seconds = 8 / variant.micro_batch * variant.threads
        return steps(99.0, *[seconds if variant.precision == "float32" else seconds / 2] * (num_steps - 1))


@pytest.mark.parametrize("every", [False, True])
def test_the_fastest_that_works_is_taken(every, capsys):
    machine = Machine()
    search = Search(machine, steps=3, sizes=micro_batches(16), threads=[1, 2])
    assert search.best(START, every=every) == Variant(precision="bfloat16", threads=1, micro_batch=4)
    assert len(machine.asked) == len(set(machine.asked)) == (12 if every else 5)
    assert not any(variant.precision == "bfloat16 weights" for variant in machine.asked)
    assert "failed: Killed" in capsys.readouterr().out


def test_micro_batches_divide_the_samples():
    assert micro_batches(64) == [4, 16, 64]
    assert micro_batches(12) == [3, 12]


@pytest.mark.parametrize("micro_batch", [4, 16])
def test_a_step_of_trl_is_one_update_of_all_samples(tmp_path, micro_batch):
    work = TRLWork(python=tmp_path, model=tmp_path, prompts=[], shape=SHAPE, folder=tmp_path)
    options = work.options(Variant(precision="float32", threads=1, micro_batch=micro_batch), 3)
    assert options["per_device_train_batch_size"] * options["gradient_accumulation_steps"] == 16
    assert options["generation_kwargs"] == {"min_new_tokens": options["max_completion_length"]}


def test_limit_of_a_step():
    """Each part at the speed of its own precision; what the filter drops is not learned from."""
    sizes = Sizes(hidden=8, layers=1, heads=2, key_value_heads=1, head_dim=4, intermediate=16, vocabulary=32)
    speeds = {"float32": {1: 1e3, 2: 2e3}, "bfloat16": {1: 5e3, 2: 4e3}}
    row = Row(name="ours", settings={}, rollout_precision="bfloat16", learner_precision="float32", threads=2)
    # A second thread that makes it slower need not be used.
    expected = rollout_flops(sizes, SHAPE) / 5e3 + update_flops(sizes, SHAPE) / 4 / 2e3
    assert row.limit_seconds(sizes, SHAPE, speeds, kept=0.25) == pytest.approx(expected)
    row.threads = 1
    assert row.limit_seconds(sizes, SHAPE, speeds, kept=0.25) > expected


def test_the_kept_share_is_that_of_the_counted_steps():
    row = Row(name="ours", settings={}, runs=[steps(1.0, 1.0, 1.0), steps(1.0, 1.0, 1.0)])
    assert row.kept(1) == 1
    for run, share in zip(row.runs, (0.25, 0.75), strict=True):
        run.steps[:] = [step | {"train/kept_token_ratio": share} for step in run.steps]
        run.steps[0]["train/kept_token_ratio"] = 9.0
    assert row.kept(1) == 0.5


def test_seconds_of_a_row_leave_out_the_first_steps():
    row = Row(name="ours", settings={}, runs=[steps(50.0, 2.0, 3.0, 4.0), steps(60.0, 5.0, 6.0, 7.0)])
    row.runs[0].arrivals[:] = [50.0, 52.0, 55.0, 59.0]
    row.runs[1].arrivals[:] = [60.0, 65.0, 71.0, 78.0]
    assert row.step_seconds(1) == 4.5
    assert row.wall_seconds(1) == 4.5


@pytest.fixture
def comparison(tmp_path):
    """Of the byte model at the quick size, after runs of two steps: TRL's of 2 s, ours of 0.5 s with half of the tokens."""
    made = Comparison(
        kind="byte", is_quick=True, tries_all=False, environment=tmp_path, model_path=tmp_path, folder=tmp_path
    )
    theirs, ours = Row(name="TRL", settings={}, runs=[steps(9.0, 2.0)]), Row(name="ours, nsr", settings={})
    for number, step in enumerate(theirs.runs[0].steps, start=1):
        step |= {
            "num_tokens": 384.0 * number,
            "num_samples": 16,
            "completions/min_length": 8.0,
            "completions/max_length": 8.0,
        }
    ours.runs = [steps(9.0, 0.5)]
    for step in ours.runs[0].steps:
        step |= {
            "train/samples": 16,
            "train/kept_samples": 8,
            "train/kept_token_ratio": 0.5,
            "train/num_updates": 1,
            "prompt_length/mean": 16.0,
            "response_length/mean": 8.0,
            "response_length/min": 8,
            "response_length/max": 8,
        }
    made.rows, made.trials = [theirs, ours], [Trial(START, float("inf"), "failed: Killed")]
    return made


def test_the_report(comparison, capsys):
    report = Report(comparison)
    assert report.shape == StepShape(prompts=4, samples=4, prompt_tokens=16, answer_tokens=8)
    report.print()
    shown = capsys.readouterr().out
    assert "384 tokens a step on both sides" in shown
    assert said_of_figures(comparison.plan) in shown
    assert re.search(r"^ours, nsr, 0\.50 of the tokens kept .* 0\.50 s .* 32\.00 .* 4\.00$", shown, flags=re.M)
    numbers = json.loads(json.dumps(report.as_dict(), allow_nan=False))
    assert numbers["trials"][0]["seconds"] is None
    assert [row["times_trl"] for row in numbers["rows"]] == [1.0, 4.0]
    assert numbers["rows"][1]["samples_per_second"] == 32
    assert numbers["hardware"]["flags"]


def test_runs_of_different_work_end_the_comparison(comparison):
    theirs, ours = comparison.rows
    comparison.require_same_work([theirs], [ours])
    theirs.runs[0].steps[1]["num_samples"] = 8
    with pytest.raises(SystemExit, match="error: ours, nsr against TRL: Step 2 is not the same work"):
        comparison.require_same_work([theirs], [ours])


WRITES = """
import json, sys
for number in range(3):
    with open(sys.argv[1], "a") as file:
        file.write(json.dumps({"step": number, "data": {"number": number}}) + "\\n")
sys.exit(int(sys.argv[2]))
"""


def test_a_run_is_measured_from_outside(tmp_path):
    run = measured([sys.executable, "-c", WRITES, str(tmp_path / "run.jsonl"), "0"], tmp_path / "run.jsonl", {})
    assert [step["number"] for step in run.steps] == [0, 1, 2]
    assert len(run.arrivals) == 3
    assert run.arrivals == sorted(run.arrivals)
    assert run.first_step_seconds == run.arrivals[0] > 0


def test_a_failed_run_shows_the_end_of_its_log(tmp_path):
    command = [sys.executable, "-c", "print('out of memory'); raise SystemExit(3)"]
    with pytest.raises(RunFailed, match=r"failed \(3\).*\nout of memory"):
        measured(command, tmp_path / "run.jsonl", {})


def test_an_environment_that_cannot_be_made_is_one_line(tmp_path, monkeypatch):
    """From an index without packages."""
    monkeypatch.setenv("TORCH_INDEX_URL", (tmp_path / "empty").as_uri())
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(SystemExit, match="error: TRL's environment: .*torch==.* failed: ERROR: No matching") as ended:
        environment(tmp_path / "trl")
    assert "\n" not in str(ended.value)
    assert not (tmp_path / "trl" / "ready.txt").exists()


def test_the_table_says_of_how_many_runs_a_figure_is():
    assert said_of_figures(PLANS["smollm2", False]) == (
        "each figure is of one run, not a median of several; of a run's 4 steps, 3 after the warm-up count"
    )
    assert said_of_figures(PLANS["byte", False]) == (
        "each figure is of 3 runs: the median, and the largest peak; of a run's 20 steps, 18 after the warm-up count"
    )
