"""Make the runs of a study one after the other or several at once, on warm stacks as far as they may share them; each goes
on from where it was.
"""

import shlex
import time
from collections.abc import Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path

from verl_ext.host.folder_lock import locked
from verl_ext.study.grid_file import GridRun
from verl_ext.study.study_record import RunEntry, RunState, StudyRecord
from verl_ext.training import several_runs
from verl_ext.training.checks.algorithm import check_estimator, check_loss
from verl_ext.training.checks.option_values import check_types
from verl_ext.training.configuration import compose_on_device
from verl_ext.training.one_run import INTERRUPTED, LOG_NAME
from verl_ext.training.resources import cluster_of

EXPERIMENT = "trainer.experiment_name"
INPUTS = ("actor_rollout_ref.model.path", "data.train_files", "data.val_files")
"""What a study's file names and does not bring."""
AT_ONCE = "--at_once"


def check_options(overrides: Sequence[str]) -> None:
    """Every option and objective of a run is there, whether or not the files are that they name; raises ValueError."""
    config = compose_on_device(overrides)
    check_types(config)
    check_estimator(config)
    check_loss(config)


class Grid:
    """The runs of a study in one output folder.

    Args:
        runs: In order.
        output: The folder: each run's is below it, by its name.
        overrides: Options of the launcher that win over what the file says for all runs.

    Raises:
        ValueError: An option of ``overrides`` is one that runs differ in.
    """

    def __init__(self, runs: Sequence[GridRun], output: Path, overrides: Sequence[str]) -> None:
        for override in overrides:
            name = override.partition("=")[0]
            setting = next((run.name for run in runs if name in run.own), None)
            if setting is not None:
                raise ValueError(
                    f"{name} cannot be set for all runs: the file sets it for some of them, such as {setting}."
                )
        self.runs, self._output, self._overrides = runs, output, list(overrides)

    def arguments(self, run: GridRun) -> list[str]:
        """The launcher's, for a run."""
        given = [*run.overrides, *self._overrides]
        is_named = any(option.startswith(f"{EXPERIMENT}=") for option in given)
        name = [] if is_named else [f"{EXPERIMENT}={run.name}"]
        return [*given, *name, f"trainer.output_dir={self._output / run.name}"]

    def selected(self, patterns: Sequence[str]) -> list[GridRun]:
        """The runs whose names fit one of the patterns, or all without patterns; raises ValueError where one fits none."""
        names = [run.name for run in self.runs]
        for pattern in patterns:
            if not any(fnmatchcase(name, pattern) for name in names):
                near = get_close_matches(pattern, names, n=1, cutoff=0.4)
                hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(names)}."
                raise ValueError(f"--only {pattern} fits no run. {hint} (* stands for any text.)")
        return [run for run in self.runs if not patterns or any(fnmatchcase(run.name, one) for one in patterns)]

    def described(self, runs: Sequence[GridRun]) -> str:
        """The runs with their arguments, what all of them have in a line of its own, quoted for a shell."""
        words = {run.name: self.arguments(run) for run in runs}
        common = [word for word in words[runs[0].name] if all(word in others for others in words.values())]
        lines = {"all runs": common} | {
            name: [word for word in own if word not in common] for name, own in words.items()
        }
        return "\n".join(f"{name}: {shlex.join(own)}" for name, own in (lines if len(runs) > 1 else words).items())

    def check_options(self, runs: Sequence[GridRun]) -> None:
        """Every option and objective is there, whether or not the files are that they name; raises ValueError."""
        for run in runs:
            try:
                check_options(self.arguments(run))
            except ValueError as error:
                raise ValueError(f"run {run.name}: {error}") from None

    def make(self, runs: Sequence[GridRun], file: Path, *, at_once: int = 1) -> int:
        """Make what is left of ``runs``, ``at_once`` of them at the same time.

        Returns:
            0 when they are done, else the code of the first that is not.

        Raises:
            ValueError: A run could not be made; nothing has started.
            BusyError: Somebody is at it.
        """
        with locked(self._output, "The runs of the study") as lock:
            record = StudyRecord(self._output, str(file), [self._entry(run) for run in self.runs])
            record.take_over()
            print(f"checking {len(runs)} runs", flush=True)
            members = self._prepared(runs, file)
            _check_checkpoints(members)
            check_room(members, at_once)
            watched = _Watched(record, members, [run.name for run in runs], at_once)
            several_runs.train(members, told=watched.ended, kept_open=[lock], at_once=at_once)
        return watched.summary()

    def _prepared(self, runs: Sequence[GridRun], file: Path) -> list[several_runs.Member]:
        try:
            return several_runs.prepare([self.arguments(run) for run in runs], [f"run {run.name}" for run in runs])
        except ValueError as error:
            is_of_inputs = any(option in str(error) for option in INPUTS)
            if not is_of_inputs or not file.read_text(encoding="utf-8").startswith("#"):
                raise
            raise ValueError(f"{error} The first lines of {file} say how its model and data are made.") from None

    def _entry(self, run: GridRun) -> RunEntry:
        return RunEntry(run.name, dict(run.place), self.arguments(run), run.name)


def _check_checkpoints(members: Sequence[several_runs.Member]) -> None:
    for member in members:
        if member.run is not None and member.run.config.trainer.save_freq < 1:
            raise ValueError(
                "A study needs checkpoints, to know which runs are done and to evaluate them: trainer.save_freq="
                f"{member.run.config.trainer.save_freq}. Set it to a number of steps."
            )


def check_room(members: Sequence[several_runs.Member], at_once: int) -> None:
    """Runs at the same time each get accelerators of their own, which only a cluster that they join sees to; raises ValueError."""
    configs = [member.run.config for member in members if member.run is not None]
    if at_once > 1 and any(config.trainer.device != "cpu" and cluster_of(config) is None for config in configs):
        raise ValueError(
            f"{AT_ONCE} {at_once} needs a Ray cluster that gives each run its accelerators: with a Ray of its own, each would "
            "take all of this machine. Start one with ray start --head, and add +ray_kwargs.ray_init.address=auto."
        )


class _Watched:
    """The record of a study while its runs are made."""

    def __init__(
        self, record: StudyRecord, members: Sequence[several_runs.Member], names: Sequence[str], at_once: int
    ) -> None:
        self._record = record
        entries = {entry.name: entry for entry in record.entries}
        self._entries = [entries[name] for name in names]
        """Of the members, in their order."""
        for member, entry in zip(members, self._entries, strict=True):
            entry.state = RunState.DONE if member.run is None else RunState.WAITING
            entry.code = 0 if member.run is None else None
        left = [entry for entry in self._entries if entry.state is RunState.WAITING]
        self._rows = several_runs.rows_of(left, at_once)
        self._since = [time.monotonic()] * len(self._rows)
        """When the present run of each row began."""
        for row in self._rows:
            row[0].state = RunState.RUNNING
        self._write()

    def ended(self, member: several_runs.Member) -> None:
        """Note the end of a run."""
        entry = self._entries[member.number - 1]
        number, row = next((number, row) for number, row in enumerate(self._rows) if entry in row)
        now = time.monotonic()
        entry.seconds = round((entry.seconds or 0.0) + now - self._since[number], 1)
        self._since[number] = now
        following = row[row.index(entry) + 1 :]
        entry.code = member.code
        assert member.code is not None
        entry.state = {0: RunState.DONE, INTERRUPTED: RunState.INTERRUPTED}.get(member.code, RunState.FAILED)
        if following and entry.state is not RunState.INTERRUPTED:
            following[0].state = RunState.RUNNING
        self._write()

    def _write(self) -> None:
        self._record.write()
        left = [entry for row in self._rows for entry in row if entry.state in (RunState.WAITING, RunState.RUNNING)]
        print(f"\nstudy: {self._record.progress(len(left), max(1, len(self._rows)))}", flush=True)

    def summary(self) -> int:
        """Say which runs are not done; returns the code of the first, or 0."""
        print()
        for entry in self._entries:
            if entry.state is RunState.FAILED:
                print(f"{entry.state} with code {entry.code}: {self._record.output / entry.folder / LOG_NAME}")
            elif entry.state is not RunState.DONE:
                print(f"{entry.state}: {entry.name}")
        return next((entry.code or INTERRUPTED for entry in self._entries if entry.state is not RunState.DONE), 0)
