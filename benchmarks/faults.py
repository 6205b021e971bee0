"""Kill a training run again and again, of everything it consists of, and compare what it leaves with undisturbed runs.

    python benchmarks/faults.py [--steps 300] [--kills 20] [--seconds 30 60] [--runs 3] [--ranks 1] [--seed 0] [-- OPTIONS]

First the same command --runs times, undisturbed: samples, metrics and weights have to be equal to the bit. Then once more
with a SIGKILL after a random time, started again by the same command, until it has ended. What is killed takes turns: the
command itself, the process that trains, vLLM's engine, Ray's daemons, and all at once, as when a machine goes. Prints a line
per kill, a table in Markdown and the result; exits 1 where a run differs, a process or a segment of shared memory is left,
or an ended run did not say so within a minute. OPTIONS go to the launcher.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from uuid import uuid4

import psutil
from runs import REWARD, prepare

from verl_ext.training.checkpoints import TRACKER
from verl_ext.training.metrics_file import recorded_steps
from verl_ext.training.run_digest import ROLLOUTS, RunDigest, digest

SECONDS_TO_END = 60.0
"""A run of which a part is dead says so within."""
SECONDS_GONE = 90.0
"""And nothing of it is left within, as Ray's agents see after most of a minute that their raylet has gone."""
SHARED_MEMORY = Path("/dev/shm")
WORKER = "a rank's worker"
"""Which there is where there are several: one learns in the trainer's process."""
FAULTS = {
    WORKER: ("ray::WorkerDict",),
    "the command": ("verl_ext.training.main",),
    "the trainer": ("several_runs import serve",),
    "vLLM's engine": ("VLLM::EngineCore",),
    "Ray's raylet": ("raylet/raylet",),
    "Ray's GCS": ("gcs/gcs_server",),
    "everything": ("",),
}
"""What is killed, and words of its command line."""


@dataclass
class Kill:
    """What came of one."""

    fault: str
    seconds: float
    """After the start of the command."""
    step: int
    """The last one that had its row of metrics."""
    saved: int
    """The step of the last checkpoint."""
    ended_after: float
    """Seconds until the command had ended; more than ``SECONDS_TO_END`` is a fault of its own."""
    nothing_there: bool
    """Of what should have been killed."""
    remains: "Remains"
    resumed_after: float | None = None
    """Seconds from the next start to the first new row; None where that was killed before."""


@dataclass
class Remains:
    """Processes and segments of shared memory of a run that was killed, which the next one does not wait for."""

    processes: set[psutil.Process]
    segments: set[str]
    since: float = field(default_factory=time.monotonic)
    gone_after: float | None = None
    """Seconds until nothing was left; None where something still is."""

    def look(self) -> None:
        if self.gone_after is None and not self.left():
            self.gone_after = time.monotonic() - self.since

    def left(self) -> list[str]:
        running = [one for one in self.processes if one.is_running() and command_line(one)]
        return [command_line(one).strip()[:80] for one in running] + sorted(self.segments & segments())

    def wait(self) -> None:
        while self.gone_after is None and time.monotonic() - self.since < SECONDS_GONE:
            self.look()
            time.sleep(0.5)


@dataclass
class Command:
    """The run, and what it is told apart from others by."""

    folder: Path
    words: Sequence[str]
    mark: dict[str, str] = field(default_factory=lambda: {"VERL_EXT_FAULTS": uuid4().hex})

    @property
    def metrics(self) -> Path:
        return self.folder / "metrics.jsonl"

    def start(self) -> subprocess.Popen[bytes]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "shown.log").open("ab") as shown:
            return subprocess.Popen(
                [*self.words, f"trainer.output_dir={self.folder}"],
                stdout=shown,
                stderr=subprocess.STDOUT,
                env=os.environ | self.mark,
                start_new_session=True,
            )

    def processes(self) -> set[psutil.Process]:
        """All that it has started: with its mark, and their children, as one that has given itself a title shows no mark."""
        found = set[psutil.Process]()
        for process in psutil.process_iter(["environ"]):
            if self.mark.items() <= (process.info["environ"] or {}).items():
                found.add(process)
                with suppress(psutil.NoSuchProcess):
                    found.update(process.children(recursive=True))
        return found


def command_line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--kills", type=int, default=20, help="at least; as many more as it takes to end")
    parser.add_argument(
        "--seconds", type=float, nargs=2, default=(30.0, 60.0), help="after a start, at least and at most"
    )
    parser.add_argument("--ranks", type=int, default=1)
    parser.add_argument("--runs", type=int, default=3, help="undisturbed ones")
    parser.add_argument("--save_freq", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--output", type=Path, help="a folder that keeps the runs (a temporary one)")
    parser.add_argument("options", nargs="*", help="for the launcher, after --")
    arguments = parser.parse_args()
    if arguments.output is not None:
        return compare(arguments.output.absolute(), arguments)
    with tempfile.TemporaryDirectory() as name:
        return compare(Path(name), arguments)


def words_of(folder: Path, arguments: argparse.Namespace) -> list[str]:
    """The launcher on 8 prompts x 4 samples a step of a random model, with checkpoints, validations and samples on file."""
    return [
        *(sys.executable, "-m", "verl_ext.training.main", "device=cpu", "trainer.deterministic=True"),
        *(f"actor_rollout_ref.model.path={folder}/model", f"data.train_files={folder}/train.parquet"),
        *(f"data.val_files={folder}/train.parquet", "data.val_max_samples=16", "data.train_batch_size=8"),
        *("data.max_prompt_length=32", "data.max_response_length=16", "actor_rollout_ref.rollout.n=4"),
        *("actor_rollout_ref.rollout.max_model_len=64", "actor_rollout_ref.actor.ppo_mini_batch_size=8"),
        *("algorithm.adv_estimator=w_reinforce", f"reward.custom_reward_function.path={REWARD}"),
        *("actor_rollout_ref.actor.optim.lr=1e-4", f"trainer.save_freq={arguments.save_freq}"),
        *("trainer.max_actor_ckpt_to_keep=3", f"trainer.test_freq={2 * arguments.save_freq}"),
        *(
            "trainer.val_before_train=False",
            f"trainer.total_training_steps={arguments.steps}",
            "trainer.total_epochs=1000",
        ),
        f"trainer.n_gpus_per_node={arguments.ranks}",
        f"trainer.rollout_data_dir=${{trainer.output_dir}}/{ROLLOUTS}",
        *arguments.options,
    ]


def compare(folder: Path, arguments: argparse.Namespace) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    prepare(folder)
    words = words_of(folder, arguments)
    undisturbed = [
        undisturbed_run(Command(folder / f"undisturbed_{number}", words), arguments.steps)
        for number in range(1, arguments.runs + 1)
    ]
    first = undisturbed[0]
    faults = [
        f"undisturbed run {n} differs: {line}"
        for n, one in enumerate(undisturbed, 1)
        for line in one.differences(first)
    ]
    print(
        f"{len(undisturbed)} undisturbed runs of {arguments.steps} steps: {'NOT ' if faults else ''}equal to the bit",
        flush=True,
    )

    disturbed = Command(folder / "disturbed", words)
    kills = kill_until_it_ends(disturbed, arguments)
    for kill in kills:
        kill.remains.wait()
    end_undisturbed(disturbed)
    faults += [
        f"the killed run differs: {line}" for line in digest(disturbed.folder, arguments.steps).differences(first)
    ]
    faults += [f"nothing of {kill.fault} was there to kill" for kill in kills if kill.nothing_there]
    faults += [
        f"after {kill.fault}: {thing} was left"
        for kill in kills
        if kill.remains.gone_after is None
        for thing in kill.remains.left()
    ]
    faults += [
        f"after {kill.fault}: {kill.ended_after:.0f} s until the run had ended"
        for kill in kills
        if kill.ended_after > SECONDS_TO_END
    ]
    print(f"\n{table(kills)}\n")
    for fault in faults:
        print(fault)
    rows = len(recorded_steps(disturbed.metrics))
    print(
        f"{len(kills)} kills, {rows} of {arguments.steps} steps on record, once each: samples, metrics and weights "
        f"{'are NOT as' if faults else 'equal to the bit'} undisturbed"
    )
    return 1 if faults else 0


def undisturbed_run(command: Command, steps: int) -> RunDigest:
    began = time.monotonic()
    end_undisturbed(command)
    print(f"{command.folder.name}: {time.monotonic() - began:.0f} s", flush=True)
    return digest(command.folder, steps)


def end_undisturbed(command: Command) -> None:
    code = command.start().wait()
    if code:
        sys.exit(
            f"error: the run failed with exit code {code}; the end of {command.folder / 'shown.log'}:\n{shown(command)}"
        )


def shown(command: Command) -> str:
    return (command.folder / "shown.log").read_text(errors="replace")[-2000:]


def kill_until_it_ends(command: Command, arguments: argparse.Namespace) -> list[Kill]:
    """The kills; the run may have ended before the last of them would have come."""
    moments, kills = random.Random(arguments.seed), list[Kill]()
    faults = [name for name in FAULTS if name != WORKER or arguments.ranks > 1]
    while len(kills) < arguments.kills:
        fault = faults[len(kills) % len(faults)]
        before = segments()
        process, began = command.start(), time.monotonic()
        wait_for_row(command, process, began, began + moments.uniform(*arguments.seconds), kills)
        if process.poll() is not None:
            if process.returncode:
                sys.exit(f"error: the run failed with exit code {process.returncode}:\n{shown(command)}")
            print(f"the run has ended, {arguments.kills - len(kills)} kills before the last", flush=True)
            break
        kills.append(killed(command, process, fault, time.monotonic() - began, before))
        print(line_of(len(kills), kills[-1]), flush=True)
    return kills


def wait_for_row(
    command: Command, process: subprocess.Popen[bytes], began: float, until: float, kills: list[Kill]
) -> None:
    """Wait, and note when the first row came that the last kill had left to be made."""
    record = command.folder / "run.json"
    while process.poll() is None and time.monotonic() < until:
        if kills and kills[-1].resumed_after is None and record.is_file():
            # The launcher writes its record, takes the rows after the checkpoint out, and trains
            age = time.time() - record.stat().st_mtime
            is_new = 1.0 < age < time.monotonic() - began
            if is_new and max(recorded_steps(command.metrics), default=0) > kills[-1].saved:
                kills[-1].resumed_after = time.monotonic() - began
        for kill in kills:
            kill.remains.look()
        time.sleep(0.05)


def killed(command: Command, process: subprocess.Popen[bytes], fault: str, seconds: float, before: set[str]) -> Kill:
    """Kill, wait until the command has ended, and look at what is left."""
    words = FAULTS[fault]
    started = command.processes()
    doomed = [one for one in started if any(word in command_line(one) for word in words)]
    step = max(recorded_steps(command.metrics), default=0)
    for one in doomed:
        try:
            one.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            continue
    began = time.monotonic()
    try:
        process.wait(2 * SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    ended_after = time.monotonic() - began
    tracker = command.folder / "checkpoints" / TRACKER
    saved = int(tracker.read_text()) if tracker.is_file() else 0
    remains = Remains(started | command.processes(), segments() - before)
    return Kill(fault, seconds, step, saved, ended_after, not doomed, remains)


def segments() -> set[str]:
    return {f"{SHARED_MEMORY}/{path.name}" for path in SHARED_MEMORY.iterdir()}


def line_of(number: int, kill: Kill) -> str:
    return (
        f"kill {number:>2}, {kill.fault:<13} after {kill.seconds:4.1f} s: step {kill.step} was on record, {kill.saved} saved; "
        f"ended after {kill.ended_after:.1f} s{', NOTHING OF IT WAS THERE' if kill.nothing_there else ''}"
    )


def table(kills: Sequence[Kill]) -> str:
    """In Markdown, a line of each fault."""
    lines = [
        "| killed | times | steps made again, median (most) | s until the command had ended, median (most) | "
        "s from the next start to a new step, median (most) | s until none of its processes and segments was left (most) |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for fault in FAULTS:
        found = [kill for kill in kills if kill.fault == fault]
        if not found:
            continue
        again = [max(kill.step - kill.saved, 0) for kill in found]
        ended = [kill.ended_after for kill in found]
        resumed = [kill.resumed_after for kill in found if kill.resumed_after is not None]
        gone = [kill.remains.gone_after for kill in found if kill.remains.gone_after is not None]
        lines.append(
            f"| {fault} | {len(found)} | {median(again):.0f} ({max(again)}) | {median(ended):.1f} ({max(ended):.1f}) | "
            f"{f'{median(resumed):.0f} ({max(resumed):.0f})' if resumed else ''} | {f'{max(gone):.0f}' if len(gone) == len(found) else 'some are'} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
