"""One run from its options to its exit code: composed, checked, recorded, trained, with a line per step on the terminal."""

import os
import shlex
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from typing import NamedTuple, NoReturn, TextIO

from omegaconf import DictConfig

from verl_ext.host.log_tail import tail
from verl_ext.objectives.noisy_grader import read_noisy_grader
from verl_ext.training import deterministic, events, full_disk, head, memory, presets, processor_use, run_folder
from verl_ext.training.attention import described
from verl_ext.training.checkpoints import Checkpoint, resumed_checkpoint
from verl_ext.training.checks import asynchronous, old_log_probs
from verl_ext.training.checks.algorithm import limits_that_do_not_apply
from verl_ext.training.checks.surroundings import doubtful, surroundings
from verl_ext.training.configuration import compose_on_device, resolved
from verl_ext.training.console import Console
from verl_ext.training.device import chosen_device, default_device
from verl_ext.training.guards import roll_back
from verl_ext.training.killed import MemoryWatch, Seen, explanation
from verl_ext.training.launch import environment_of
from verl_ext.training.node_watch import NodeWatch
from verl_ext.training.preflight import check
from verl_ext.training.run_record import write_run_record
from verl_ext.training.stall import StallWatch

LOG_NAME = "train.log"
INTERRUPTED = 130
CANNOT_BEGIN = 2
ROLLED_BACK = 3
"""The run is to be started again, see ``again``."""


@dataclass(frozen=True)
class Prepared:
    """A run that nothing is known to be wrong with."""

    overrides: Sequence[str]
    config: DictConfig
    changed: Sequence[presets.PresetDifference]
    """What differs from the presets that it names."""
    checkpoint: Checkpoint | None
    """Where it goes on."""


def composed(overrides: Sequence[str]) -> DictConfig:
    """The configuration of a run, on the device that the overrides name or that is visible; raises ValueError."""
    if chosen_device(overrides) is None:
        device, reason = default_device(overrides)
        print(f"device={device}: {reason}")
        overrides = [f"device={device}", *overrides]
    return compose_on_device(overrides)


def prepare(overrides: Sequence[str]) -> Prepared:
    """Compose and check a run; raises ValueError with the first thing found wrong."""
    config = composed(overrides)
    checkpoint = check(config)
    return Prepared(overrides, config, presets.differences(config, overrides), checkpoint)


def log_of(prepared: Prepared) -> Path:
    return Path(prepared.config.trainer.output_dir) / LOG_NAME


def begin(prepared: Prepared, shown: TextIO, errors: TextIO, environment: Mapping[str, str] | None = None) -> bool:
    """Write the record of a run and say what a reader should know before it trains; False where that cannot be written.

    ``environment`` is what this process was started with, by default what it has: a learner in it has set variables of its own.
    """
    config = prepared.config
    chosen = presets.chosen(prepared.overrides)
    settings = presets.table(prepared.changed, chosen)
    if settings:
        print(settings, file=shown)
    try:
        write_run_record(
            Path(config.trainer.output_dir) / "run.json",
            argv=["python", "-m", "verl_ext.training.main", *prepared.overrides],
            config=resolved(config),
            presets=chosen,
            preset_differences=[difference._asdict() for difference in prepared.changed],
        )
        for line in run_folder.begin(config, prepared.checkpoint):
            print(line, file=shown)
    except OSError as error:
        print(f"error: trainer.output_dir={config.trainer.output_dir} cannot be written: {error}", file=errors)
        return False
    for line in (
        processor_use.described(config),
        described(config),
        head.described(config),
        memory.described(config),
        deterministic.described(config),
        old_log_probs.described(config),
        limits_that_do_not_apply(config),
        asynchronous.described(config),
        str(read_noisy_grader(config.algorithm)),
        *doubtful(surroundings(config, environment)),
    ):
        if line:
            print(line, file=shown)
    print(f"everything else goes to {log_of(prepared)}", file=shown)
    return True


class Outcome(NamedTuple):
    """How a training ended."""

    seconds: float
    failure: BaseException | None
    cause: str | None
    """Of a failure, where it says less than is known."""


def train_watched(
    prepared: Prepared, train: Callable[[DictConfig], None], terminal: TextIO, report: Callable[[Seen], None]
) -> Outcome:
    """Train with a line per step on ``terminal``; a failure's traceback goes where standard error does.

    ``report`` is told every other second what the run is doing, in another thread.
    """
    started = time.monotonic()
    failure: BaseException | None = None
    cause = None
    console = Console(terminal)
    nodes = NodeWatch(prepared.config.trainer.nnodes, console.say, partial(_how_it_goes_on, prepared))
    with MemoryWatch(report=report) as watch, StallWatch(console.say) as stall, nodes:
        try:
            with (
                events.listening(console),
                events.listening(stall.hear),
                events.listening(nodes.hear),
                environment_of(prepared.config),
            ):
                train(prepared.config)
        except BaseException as error:  # noqa: BLE001  the caller reports it, with the exit code it deserves
            failure = error
            cause = (
                nodes.cause_of(error)
                or explanation(error, prepared.config, watch)
                or full_disk.explanation(error, prepared.config)
            )
            with suppress(OSError):  # the log's disk may be the full one
                traceback.print_exc()
        finally:
            console.close()
    return Outcome(time.monotonic() - started, failure, cause)


def _how_it_goes_on(prepared: Prepared) -> str:
    """After an end that the run has no part in: the command, and what it would do."""
    command = shlex.join(["python", "-m", "verl_ext.training.main", *prepared.overrides])
    try:
        checkpoint = resumed_checkpoint(prepared.config)
    except ValueError as error:
        return f"{error} Then: {command}"
    does = "begins anew, there is no checkpoint" if checkpoint is None else f"goes on from step {checkpoint.step}"
    return f"Once Ray has {prepared.config.trainer.nnodes} nodes again, this {does}: {command}"


def again(prepared: Prepared) -> Prepared:
    """The same run from the checkpoint that it has gone back to; raises ValueError where it cannot be started any more."""
    return prepare([*prepared.overrides, *roll_back.restart_options(prepared.config)])


def ended(prepared: Prepared, outcome: Outcome, shown: TextIO, errors: TextIO) -> int:
    """Say how a run ended; returns its exit code."""
    if outcome.failure is None:
        print(f"done in {outcome.seconds:.0f} s: {prepared.config.trainer.output_dir}", file=shown)
        return 0
    if isinstance(outcome.failure, roll_back.RolledBackError):
        print(f"\n{outcome.failure}", file=shown)
        return ROLLED_BACK
    log_path = log_of(prepared)
    print(f"\nthe end of {log_path}:\n{tail(log_path)}", file=errors)
    if isinstance(outcome.failure, KeyboardInterrupt) and outcome.cause is None:
        print("interrupted", file=errors)
        return INTERRUPTED
    print(f"error after {outcome.seconds:.0f} s: {outcome.cause or outcome.failure}", file=errors)
    return 1


def print_any_name() -> None:
    """Let this process print a name that the terminal's encoding does not have."""
    for stream in (sys.stdout, sys.stderr):
        assert isinstance(stream, TextIOWrapper)
        stream.reconfigure(errors="backslashreplace")


def exit_now(code: int) -> NoReturn:
    """End the process: everything is written, and the threads of Ray and vLLM would keep it for seconds."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # of a full disk, of which was told
            stream.flush()
    os._exit(code)
