"""One readable line per step for the person watching, a progress bar below, everything else in a log file."""

import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from tqdm import tqdm

from verl_ext.training.validation_score import ERROR_PREFIX, SCORE_PREFIX

PHASES = {"gen": "rollout", "old_log_prob": "old", "ref": "ref", "values": "val", "update_critic": "critic"}
PHASES |= {"update_actor": "update", "update_weights": "sync", "save_checkpoint": "save", "testing": "test"}


STANDARD_OUTPUT, STANDARD_ERROR = 1, 2


def terminal_of_this_process(descriptor: int = STANDARD_OUTPUT) -> TextIO:
    """What standard output, or error, is now, for whatever it becomes later."""
    return os.fdopen(os.dup(descriptor), "w", buffering=1, encoding=sys.stdout.encoding, errors="backslashreplace")


class LabelledLines:
    """A terminal that several processes write to: each line whole, behind what tells whose it is.

    Args:
        terminal: Takes the lines.
        label: What stands in front of each.
    """

    def __init__(self, terminal: TextIO, label: str) -> None:
        self._terminal, self._label = terminal, label
        self._begun = ""

    def write(self, text: str) -> int:
        *lines, self._begun = (self._begun + text).split("\n")
        if lines:
            # One write: lines of other processes come between two of them, never into one.
            self._terminal.write("".join(f"{self._label}{line}\n" for line in lines if line))
        return len(text)

    def flush(self) -> None:
        self._terminal.flush()

    def isatty(self) -> bool:
        """False: a bar at the end of the screen would have to be everybody's."""
        return False


def send_output_to(log_path: Path) -> None:
    """Send everything this process and its children print to the end of ``log_path`` from now on.

    Works on the file descriptors, because Ray's and vLLM's processes inherit those and not ``sys.stdout``.
    """
    log_path.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for descriptor in (STANDARD_OUTPUT, STANDARD_ERROR):
        os.dup2(log, descriptor)
    os.close(log)


def step_line(step: int, total: int, metrics: Mapping[str, float]) -> str:
    """Say in one line what a step's samples were like, what was learned from them and where the time went."""

    def number(name: str, form: str) -> str:
        return format(metrics[name], form) if name in metrics else "-"

    reasons = {name.rpartition("/")[2]: share for name, share in metrics.items() if name.startswith("train/reason/")}
    faults = [
        f"{name} {share:.0%}" for name, share in reasons.items() if name not in ("correct", "incorrect") and share
    ]
    seconds = [
        f"{label} {metrics[f'timing_s/{name}']:.1f}" for name, label in PHASES.items() if f"timing_s/{name}" in metrics
    ]
    parts = [
        f"step {step:>{len(str(total))}}/{total}",
        f"correct {number('train/correct_ratio', '.1%')}",
        f"all right {number('train/fully_solved_ratio', '.0%')} wrong {number('train/fully_unsolved_ratio', '.0%')}",
        f"kept {number('train/kept_samples', '.0f')}/{number('train/samples', '.0f')}",
        f"updates {number('train/num_updates', '.0f')}",
        f"entropy {number('train/entropy', '.3f')}",
        f"clip +{number('train/clip_fraction/positive', '.1%')} -{number('train/clip_fraction/negative', '.1%')}",
        f"length {number('train/response_length', '.1f')}",
        f"grad {number('actor/grad_norm', '.3g')}",
        *([", ".join(faults)] if faults else []),
        f"{number('timing_s/step', '.1f')} s ({', '.join(seconds)})",
    ]
    missing = metrics.get("train/missing_samples", 0.0)
    if metrics.get("train/failed_prompts") or missing:
        failed = (
            f"{number('train/failed_prompts', '.0f')} of {number('train/prompts', '.0f')} prompts FAILED in the rollout"
        )
        parts.insert(2, f"{failed}, {missing:.0f} samples missing: see the log")
    if not metrics.get("train/kept_samples", 1.0):
        parts.insert(4, "nothing to learn from: update skipped")
    return " | ".join(parts)


def _interval(metrics: Mapping[str, float], name: str) -> str:
    low, high = (metrics.get(f"{ERROR_PREFIX}{name}/{end}") for end in ("low", "high"))
    return "" if low is None or high is None else f" [{low:.3f}, {high:.3f}]"


def breakdown_lines(metrics: Mapping[str, float]) -> Iterator[str]:
    """What a validation came to by level and subject, and how many problems it solves reliably; nothing without pass@k."""
    rows: dict[str, list[str]] = {}
    for name, value in metrics.items():
        stem, _, last = name.removeprefix(ERROR_PREFIX).rpartition("/")
        if name.startswith(ERROR_PREFIX) and last.startswith(("pass@", "cover@")):
            rows.setdefault(stem, []).append(f"{last} {value:.3f}{_interval(metrics, f'{stem}/{last}')}")
    for stem, values in rows.items():
        yield f"  {stem}: {', '.join(values)}"


def validation_line(
    step: int, metrics: Mapping[str, float], num_samples: int, num_ungraded: int, num_missing: int
) -> str:
    """Say in one line what a validation came to, and of how many answers that is not known."""
    shown = {name.removeprefix(SCORE_PREFIX): value for name, value in metrics.items() if name.startswith(SCORE_PREFIX)}
    scores = [f"{name} {value:.3f}{_interval(metrics, name)}" for name, value in shown.items()]
    parts = [", ".join(scores) or "no answer has a score"]
    if num_ungraded:
        parts.append(f"{num_ungraded} of {num_samples} answers could not be graded: neither right nor wrong")
    if num_missing:
        parts.append(f"{num_missing} of {num_samples} answers FAILED in the rollout, counted as wrong: see the log")
    return f"validation at step {step}: " + " | ".join(parts)


class Console:
    """Listens to the trainer's events (``verl_ext.training.events``) and writes them to ``terminal``."""

    def __init__(self, terminal: TextIO) -> None:
        self.terminal = terminal
        self._bar: tqdm[Any] | None = None
        self._started = time.monotonic()

    def say(self, line: str) -> None:
        """Write a line above the progress bar."""
        if self._bar is None:
            print(line, file=self.terminal, flush=True)
        else:
            tqdm.write(line, file=self.terminal)

    def __call__(self, kind: str, fields: Mapping[str, Any]) -> None:
        if kind == "phase":
            self.say(f"[{time.monotonic() - self._started:5.1f} s] {fields['text']}")
        elif kind == "guardrail":
            self.say(f"WARNING: {fields['text']}")
        elif kind == "validation":
            self.say(validation_line(**fields))
            for line in breakdown_lines(fields["metrics"]):
                self.say(line)
        elif kind == "step":
            if self._bar is None and self.terminal.isatty():
                total, initial = fields["total"], fields["step"] - 1
                self._bar = tqdm(total=total, initial=initial, file=self.terminal, unit="step", dynamic_ncols=True)
            self.say(step_line(fields["step"], fields["total"], fields["metrics"]))
            if self._bar is not None:
                self._bar.update()

    def close(self) -> None:
        """Take the progress bar down."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
