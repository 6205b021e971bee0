"""Runs in a process of their own, one after the other, of which those that may share a stack start it once.

    python -m verl_ext.training.main COMMON... --run OWN... --run OWN...
    python -m verl_ext.training.main --multirun algorithm.adv_estimator=psr,nsr 'trainer.output_dir=outputs/${...}' ...

All are checked before the first begins. A process of its own has the stack, so that whatever happens to it, the rest of
the runs goes on: after a run that failed, and where a run needs another stack (``sharing``), the next process starts. Each
run leaves what it leaves when it is started alone, and goes on from its checkpoints; one that has none left is passed by.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise, product
from multiprocessing.connection import Connection
from typing import NoReturn, TextIO, TypeVar, cast

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig

from verl_ext.cpu.preloaded import preload_for_this_process_only
from verl_ext.host.parent_death import end_with_parent
from verl_ext.training import one_run, run_lock
from verl_ext.training.checks.resume import NothingLeftError
from verl_ext.training.console import STANDARD_ERROR, LabelledLines, send_output_to, terminal_of_this_process
from verl_ext.training.device import chosen_device, default_device
from verl_ext.training.killed import Seen, killed_for_memory, kills_of_the_kernel
from verl_ext.training.launch import Stack, environment_at_start
from verl_ext.training.memory import agree
from verl_ext.training.phase import START
from verl_ext.training.sharing import apart_because, collisions

T = TypeVar("T")
SEPARATOR = "--run"
SWEEPS = ("--multirun", "-m")
SERVE = "from verl_ext.training.several_runs import serve; serve({descriptor})"
"""What the process of a stack runs."""


def is_asked_for(argv: Sequence[str]) -> bool:
    """Whether a command line describes several runs."""
    return SEPARATOR in argv or any(word in argv for word in SWEEPS)


def runs_of(argv: Sequence[str]) -> list[list[str]]:
    """The overrides of each run: those in front of the first ``--run`` belong to all of them."""
    groups: list[list[str]] = [[]]
    is_sweep = False
    for word in argv:
        if word == SEPARATOR:
            groups.append([])
        elif word in SWEEPS:
            is_sweep = True
        else:
            groups[-1].append(word)
    common, *own = groups
    runs = [[*common, *group] for group in own] or [common]
    return [swept for run in runs for swept in _swept(run)] if is_sweep else runs


def _swept(overrides: Sequence[str]) -> Iterator[list[str]]:
    """A run for each combination of the values that are listed with commas, the last option fastest."""
    for combination in product(*(_values(override) for override in overrides)):
        yield list(combination)


def _values(override: str) -> list[str]:
    try:
        parsed = OverridesParser.create().parse_override(override)
    except HydraException:
        return [override]  # a text that the launcher will quote, or a mistake that it will name
    if not parsed.is_sweep_override():
        return [override]
    return [f"{parsed.get_key_element()}={value}" for value in parsed.sweep_string_iterator()]


@dataclass
class Member:
    """A run among several, and what became of it."""

    number: int
    run: one_run.Prepared | None
    """None for one that had nothing left to train."""
    said: str = ""
    code: int | None = None


@dataclass
class _Request:
    """Of somebody who wants this process to end, who is told to those that it would take along."""

    is_made: bool = False
    processes: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def reaches(self, process: "subprocess.Popen[bytes]") -> None:
        """Tell ``process``, too, at once if somebody has asked meanwhile."""
        self.processes.append(process)
        if self.is_made:
            process.terminate()

    def make(self, *_: object) -> None:
        self.is_made = True
        for process in self.processes:
            process.terminate()  # it cleans up; it would be killed with this one


Told = Callable[[Member], None]


def main(argv: Sequence[str]) -> int:
    """Train the runs that ``argv`` describes; returns 0 when all have ended well, else the code of the first that has not."""
    try:
        members = prepare(runs_of(argv))
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    train(members)
    print()
    for member in members:
        print(f"run {member.number} of {len(members)}: {member.said}")
    return next((member.code for member in members if member.code), 0)


def train_alone(run: one_run.Prepared) -> int:
    """Train one run; returns its exit code."""
    member = Member(1, run)
    train([member])
    assert member.code is not None
    return member.code


def prepare(runs: Sequence[Sequence[str]], names: Sequence[str] = ()) -> list[Member]:
    """Compose and check all runs.

    Args:
        runs: The overrides of each.
        names: What errors call each; without them, its number.

    Raises:
        ValueError: The first thing found wrong, with the name of the run.
    """
    if any("--cfg" in overrides for overrides in runs):
        raise ValueError("--cfg prints the configuration of one run: leave the others out.")
    device = None
    members = []
    for number, overrides in enumerate(runs, start=1):
        if chosen_device(overrides) is None:
            if device is None:
                device, reason = default_device(overrides)
                print(f"device={device}: {reason}")
            overrides = [f"device={device}", *overrides]
        try:
            members.append(Member(number, one_run.prepare(overrides)))
        except NothingLeftError as done:
            members.append(Member(number, None, f"nothing to do: {done}", 0))
        except ValueError as error:
            name = names[number - 1] if names else f"run {number} of {len(runs)}"
            raise ValueError(f"{name}: {error}") from None
    prepared = [member.run for member in members if member.run is not None]
    agree([run.config for run in prepared], [run.overrides for run in prepared])
    for message in collisions([member.run.config for member in members if member.run is not None]):
        raise ValueError(message)
    return members


def train(
    members: Sequence[Member], *, told: Told = lambda _: None, kept_open: Sequence[int] = (), at_once: int = 1
) -> None:
    """Make the runs that have something left, and note what became of each.

    Args:
        members: All of them, in order.
        told: Called with each run as it ends, by one thread at a time.
        kept_open: Descriptors that the process of a stack has too, such as the lock of a folder.
        at_once: How many are made at the same time, each the first of its row (``rows_of``).
    """
    left = [member for member in members if member.run is not None]
    request, turn = _Request(), threading.Lock()

    def told_in_turn(member: Member) -> None:
        with turn:
            told(member)

    def make(lane: Sequence[Member]) -> None:
        _in_turn(lane, _Way(len(members), told_in_turn, kept_open, request, is_alone=at_once == 1))

    with _terminated_first(request):
        if at_once == 1:
            make(left)
            return
        lanes = [threading.Thread(target=make, args=(row,)) for row in rows_of(left, at_once)]
        for thread in lanes:
            thread.start()
        for thread in lanes:
            _wait_for(thread, request)


def rows_of(left: Sequence[T], at_once: int) -> list[Sequence[T]]:
    """Which of the runs that are left are made one after the other, when ``at_once`` are made at the same time."""
    return [left[first::at_once] for first in range(min(at_once, len(left)))]


def _wait_for(thread: threading.Thread, request: _Request) -> None:
    """An interruption by the keyboard has reached the runs as well, and each says how it ends."""
    while thread.is_alive():
        try:
            thread.join()
        except KeyboardInterrupt:
            request.is_made = True


@dataclass(frozen=True)
class _Way:
    """What a lane of runs has in common with the others."""

    total: int
    told: Told
    kept_open: Sequence[int]
    request: _Request
    is_alone: bool


def _in_turn(left: Sequence[Member], way: _Way) -> None:
    while left:
        together = _on_one_stack(left)
        finished = _in_a_process(together, way)
        last = together[finished - 1]
        goes_on = last.code == one_run.ROLLED_BACK and _can_go_on(last, way.told)
        left = left[finished - 1 if goes_on else finished :]
        if way.request.is_made or any(member.code == one_run.INTERRUPTED for member in together):
            for member in left:
                member.said, member.code = "not started", one_run.INTERRUPTED
            return


def _can_go_on(member: Member, told: Told) -> bool:
    """Let a run that has gone back to a checkpoint be one that is left; one that cannot start again has ended."""
    assert member.run is not None
    try:
        member.run, member.code = one_run.again(member.run), None
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        _note(member, one_run.CANNOT_BEGIN, told)
    return member.code is None


def _on_one_stack(members: Sequence[Member]) -> list[Member]:
    """The first of ``members`` and those after it that may use its stack; says why the next one may not."""
    together = [members[0]]
    for before, member in pairwise(members):
        assert before.run is not None
        assert member.run is not None
        reason = apart_because(member.run.config, before.run.config)
        if reason is not None:
            print(f"run {member.number} starts a stack of its own: {reason}")
            break
        together.append(member)
    return together


def _in_a_process(members: Sequence[Member], way: _Way) -> int:
    """Make runs in a process that keeps their stack, until one fails; returns how many have ended."""
    assert members[0].run is not None
    mine, others = multiprocessing.Pipe()
    number = others.fileno()
    for descriptor in (number, *way.kept_open):
        os.set_inheritable(descriptor, True)
    num_kills = kills_of_the_kernel()
    # Not a multiprocessing.Process: that would share a tracker of semaphores, which warns of Ray's.
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE.format(descriptor=number)],
        close_fds=False,  # what this process was given to hold, like the lock of stages, is held until that one ends
        env={**os.environ, **environment_at_start(members[0].run.config)},
    )
    others.close()
    way.request.reaches(process)
    ended = 0
    seen = Seen(START, {})
    try:
        mine.send((list(members), way.total, way.is_alone))
        while ended < len(members) and not (ended and members[ended - 1].code):
            heard = mine.recv()
            if isinstance(heard, Seen):
                seen = heard
            else:
                # However a run ends that was asked to, it has not failed.
                code = one_run.INTERRUPTED if heard and way.request.is_made else heard
                members[ended].code = code
                if code != one_run.ROLLED_BACK:
                    _note(members[ended], code, way.told)
                ended += 1
        process.wait()
    except (EOFError, ConnectionError):
        cause = _cause(process.wait())
        if way.request.is_made:  # it was at its start, and had nothing to clean up
            _note(members[ended], one_run.INTERRUPTED, way.told)
            return ended + 1
        run = members[ended].run
        assert run is not None
        reason = f"the process of the run ended with {cause}"
        if process.returncode == -signal.SIGKILL and kills_of_the_kernel() > num_kills:
            reason = killed_for_memory("the trainer", seen, run.config)
        print(f"error: {reason}", file=sys.stderr)
        _note(members[ended], 1, way.told, f" (its process ended with {cause})")
        ended += 1
    except KeyboardInterrupt:
        process.wait()
        for member in members[ended : ended + 1]:
            _note(member, one_run.INTERRUPTED, way.told)
        ended = min(ended + 1, len(members))
    return ended


@contextmanager
def _terminated_first(request: _Request) -> Iterator[None]:
    """Who asks this process to end makes ``request``, inside ``with``."""
    if threading.current_thread() is not threading.main_thread():  # which alone is told of signals
        yield
        return
    before = signal.signal(signal.SIGTERM, request.make)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _note(member: Member, code: int, told: Told, more: str = "") -> None:
    assert member.run is not None
    folder = member.run.config.trainer.output_dir
    member.code = code
    member.said = f"done: {folder}" if code == 0 else f"FAILED with code {code}{more}: {folder}"
    told(member)


def _cause(exit_code: int) -> str:
    if exit_code < 0:
        return f"signal {signal.Signals(-exit_code).name}"
    return f"exit code {exit_code}"


def serve(descriptor: int) -> NoReturn:
    """Make the runs that come through a pipe on one stack, and send the code of each back.

    Ends with the first that fails, and when the process at the other end does. Once the first run has begun, standard
    output is a log file: Ray says something between the runs, too, and that belongs to the one that it comes from.
    """
    end_with_parent(signal.SIGKILL)  # at once: whoever starts the run again may not find it still there
    preload_for_this_process_only()
    environment = dict(os.environ)
    pipe = Connection(descriptor)
    members, total, is_alone = pipe.recv()
    one_run.print_any_name()
    terminal = whole_terminal = terminal_of_this_process()
    # Of several runs, what is said of each stands together.
    errors = terminal_of_this_process(STANDARD_ERROR) if total == 1 else terminal
    stack = Stack()
    code = 0
    for member in members:
        run = member.run
        if not is_alone:
            label = f"{member.number:>{len(str(total))}}| "
            terminal = errors = cast("TextIO", LabelledLines(whole_terminal, label))
        if total > 1:
            print(f"\nrun {member.number} of {total}: {' '.join(run.overrides)}", file=terminal)
        code = one_run.CANNOT_BEGIN
        with ExitStack() as folders:
            if run_lock.take(run.config, folders, errors) and one_run.begin(run, terminal, errors, environment):
                send_output_to(one_run.log_of(run))
                training = _Training(stack, is_last=member is members[-1])
                code = one_run.ended(run, one_run.train_watched(run, training, terminal, pipe.send), terminal, errors)
        pipe.send(code)
        if code:
            break
    if code == one_run.CANNOT_BEGIN:
        stack.stop()  # after any other end the training has
    one_run.exit_now(code)


@dataclass(frozen=True)
class _Training:
    """A run on a stack, which ends with the last run and with one that fails, while the log file takes what Ray says."""

    stack: Stack
    is_last: bool

    def __call__(self, config: DictConfig) -> None:
        is_done = False
        try:
            self.stack.train(config)
            is_done = True
        finally:
            if self.is_last or not is_done:
                self.stack.stop()
