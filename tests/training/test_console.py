"""The line a person reads per step, and where everything else goes."""

import io
import subprocess
import sys

from verl_ext.training.console import Console, LabelledLines, step_line
from verl_ext.training.events import emit, listening

METRICS = {
    "train/correct_ratio": 0.3125,
    "train/fully_solved_ratio": 0.0,
    "train/fully_unsolved_ratio": 0.25,
    "train/kept_samples": 22.0,
    "train/samples": 32.0,
    "train/num_updates": 1.0,
    "train/entropy": 1.25,
    "train/clip_fraction/positive": 0.0,
    "train/clip_fraction/negative": 0.015,
    "train/response_length": 7.5,
    "actor/grad_norm": 0.731,
    "train/reason/correct": 0.3125,
    "train/reason/incorrect": 0.5,
    "train/reason/unparsable": 0.1875,
    "timing_s/step": 2.5,
    "timing_s/gen": 1.5,
    "timing_s/update_actor": 0.75,
}


def test_a_step_in_one_line():
    assert step_line(3, 40, METRICS) == (
        "step  3/40 | correct 31.2% | all right 0% wrong 25% | kept 22/32 | updates 1 | entropy 1.250 | "
        "clip +0.0% -1.5% | length 7.5 | grad 0.731 | unparsable 19% | 2.5 s (rollout 1.5, update 0.8)"
    )


def test_a_skipped_update_says_so():
    line = step_line(1, 1, METRICS | {"train/kept_samples": 0.0})
    assert "nothing to learn from: update skipped" in line


def test_an_absent_number_is_a_dash():
    assert "grad -" in step_line(1, 1, {"train/kept_samples": 1.0})


def test_lines_of_several_runs_are_told_apart():
    terminal = io.StringIO()
    first, second = (LabelledLines(terminal, label) for label in ("1| ", "2| "))
    print("step 1", file=first)
    first.write("step ")
    print("step 1", "of 2", file=second)
    first.write("2\n\nstep 3\nstep")
    assert terminal.getvalue() == "1| step 1\n2| step 1 of 2\n1| step 2\n1| step 3\n"
    assert not first.isatty()


def test_events_become_lines():
    terminal = io.StringIO()
    console = Console(terminal)
    console("phase", {"text": "starting Ray"})
    console("step", {"step": 1, "total": 2, "metrics": METRICS})
    console.close()
    phase, step = terminal.getvalue().splitlines()
    assert phase.endswith("starting Ray")
    assert step.startswith("step 1/2 |")


def test_one_run_after_another_hears_only_its_own_events():
    heard = {"first": [], "second": []}
    for name in heard:
        with listening(lambda kind, fields, name=name: heard[name].append((kind, fields["text"]))):
            emit("phase", text=name)
    emit("phase", text="nobody's")
    assert heard == {"first": [("phase", "first")], "second": [("phase", "second")]}


def test_what_is_said_between_two_runs_belongs_to_the_first(tmp_path):
    """Of several runs in one process; in a process of its own, since standard output is not given back."""
    code = f"""
import os, sys, subprocess
from pathlib import Path
from verl_ext.training.console import LabelledLines, STANDARD_ERROR, send_output_to, terminal_of_this_process
terminal, errors = terminal_of_this_process(), terminal_of_this_process(STANDARD_ERROR)
for name in ("first", "second"):
    print("run", name, file=terminal)
    send_output_to(Path({str(tmp_path)!r}) / name / "train.log")
    subprocess.run([sys.executable, "-c", f"print('child of {{name}}')"])
    os.write(2, b"from C\\n")
    print("after", name, flush=True)
print("an error", file=errors)
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split("\n") == ["run first", "run second", ""]
    assert done.stderr == "an error\n"
    for name in ("first", "second"):
        assert (tmp_path / name / "train.log").read_text() == f"child of {name}\nfrom C\nafter {name}\n"


def test_prompts_that_failed_in_the_rollout_are_said():
    counts = {"train/prompts": 4, "train/failed_prompts": 2, "train/missing_samples": 8}
    line = step_line(1, 1, METRICS | counts)
    assert "2 of 4 prompts FAILED in the rollout, 8 samples missing: see the log" in line
    assert "FAILED" not in step_line(1, 1, METRICS)
    assert "FAILED" not in step_line(1, 1, METRICS | dict.fromkeys(counts, 0) | {"train/prompts": 4})


def test_a_validation_in_one_line():
    metrics = {"val-core/math/acc/mean@1": 0.25, "val-aux/math/score/mean@1": 0.25, "val-core/aime2025/acc/mean@1": 0.5}
    event = {"step": 7, "metrics": metrics, "num_samples": 20, "num_ungraded": 0, "num_missing": 0}
    terminal = io.StringIO()
    Console(terminal)("validation", event)
    assert terminal.getvalue() == "validation at step 7: math/acc/mean@1 0.250, aime2025/acc/mean@1 0.500\n"
    Console(terminal)("validation", event | {"num_ungraded": 3, "num_missing": 2})
    assert (
        terminal.getvalue()
        .splitlines()[-1]
        .endswith(
            "0.500 | 3 of 20 answers could not be graded: neither right nor wrong"
            " | 2 of 20 answers FAILED in the rollout, counted as wrong: see the log"
        )
    )
