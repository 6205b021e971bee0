"""Where the time to the first step goes: the launcher's phases, and what each process costs until then.

    python benchmarks/startup.py [--repeats 3]

The byte model on a CPU, NSR, 16 prompts x 4 samples x 16 tokens, two runs in one command. A process is listed with the
second it appeared in and the processor seconds it had used when the first step was done; their sum over the number of
cores is what a start cannot go below without doing less. The second run finds everything started.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import psutil
from runs import prepare, shared_options

from verl_ext.host.cores import usable_cores

PHASE = re.compile(r"^\[ *(\d+\.\d) s\] (.*)$")


@dataclass
class Process:
    """One process of a run until the end of the first step."""

    name: str
    appeared_seconds: float
    processor_seconds: float = 0.0


@dataclass
class Start:
    """A launch until the end of its first step, in seconds since the command was given."""

    phases: list[tuple[float, str]] = field(default_factory=list)
    processes: dict[int, Process] = field(default_factory=dict)
    first_step_seconds: float = 0.0
    second_run_seconds: float = 0.0
    """From the record of the second run, which is written when it begins, to the end of its first step."""


def _name(process: psutil.Process) -> str:
    """What a reader calls the process: Ray and vLLM put their own names into the title."""
    words = process.cmdline() or [process.name()]
    title = words[0] if len(words) == 1 or words[0].startswith(("ray::", "VLLM::")) else " ".join(words)
    for part in (
        "verl_ext.training.main",
        "several_runs",
        "gcs_server",
        "raylet/raylet",
        "log_monitor",
        "dashboard/dashboard.py",
        "autoscaler/_private/monitor.py",
    ):
        if part in title:
            return part
    return title[:60]


def _look(root: psutil.Process, launched: float, seen: dict[int, Process]) -> None:
    with suppress(psutil.NoSuchProcess):
        for process in [root, *root.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                times = process.cpu_times()
                entry = seen.setdefault(process.pid, Process("", process.create_time() - launched))
                entry.name, entry.processor_seconds = _name(process), times.user + times.system


def _has_a_step(output: Path) -> bool:
    metrics = output / "metrics.jsonl"
    return metrics.exists() and metrics.stat().st_size > 0


def start(folder: Path, name: str) -> Start:
    """Launch two runs of two steps and watch them until the first step of each is done."""
    outputs = [folder / name / "first", folder / name / "second"]
    options = shared_options(folder, prompts=16, samples=4, tokens=16, steps=2)
    command = [sys.executable, "-m", "verl_ext.training.main", "device=cpu", *options]
    for output in outputs:
        command += ["--run", f"trainer.output_dir={output}"]
    launched = time.time()
    found = Start()
    shown = folder / f"{name}.txt"
    with shown.open("w") as terminal:
        process = subprocess.Popen(command, stdout=terminal, stderr=subprocess.STDOUT)
        root = psutil.Process(process.pid)
        while process.poll() is None and not _has_a_step(outputs[0]):
            _look(root, launched, found.processes)
            time.sleep(0.2)
        found.first_step_seconds = time.time() - launched
        while process.poll() is None and not _has_a_step(outputs[1]):
            time.sleep(0.02)
        ended = time.time()
        if process.wait():
            sys.exit(f"error: the run failed:\n{shown.read_text()}")
    found.second_run_seconds = ended - (outputs[1] / "run.json").stat().st_mtime
    found.phases = [(float(line[1]), line[2]) for text in shown.read_text().splitlines() if (line := PHASE.match(text))]
    return found


def _report(starts: Sequence[Start]) -> None:
    last = starts[-1]
    print(f"first step done after {median(one.first_step_seconds for one in starts):.1f} s (median of {len(starts)})")
    print(f"that of the second run after {median(one.second_run_seconds for one in starts):.1f} s")
    print("\nphases of the last launch and of its second run, in seconds since each had composed its configuration")
    for seconds, text in last.phases:
        print(f"  {seconds:6.1f}  {text}")
    print("\nprocesses of the last launch       appeared  processor seconds")
    listed = sorted(last.processes.values(), key=lambda one: one.appeared_seconds)
    for one in listed:
        if one.processor_seconds >= 0.2:
            print(f"  {one.name:<34} {one.appeared_seconds:6.1f}  {one.processor_seconds:6.1f}")
    total = sum(one.processor_seconds for one in listed)
    cores = usable_cores()
    print(f"  {'together':<34} {'':6}  {total:6.1f}  over {cores} cores: {total / cores:.1f} s")


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args(arguments).repeats
    with tempfile.TemporaryDirectory(prefix="startup-") as temporary:
        folder = Path(temporary)
        prepare(folder)
        _report([start(folder, f"start{number}") for number in range(repeats)])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
