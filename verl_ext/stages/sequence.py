"""Run the stages of a file one after the other, each from where it was, with a reset after each."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from verl_ext.evaluation.model_path import find_model, fingerprint
from verl_ext.host.folder_lock import locked
from verl_ext.host.parent_death import end_with_parent
from verl_ext.stages.history import Finished, read_history, write_history
from verl_ext.stages.stage_file import MODEL_PATH, Stage
from verl_ext.training.checkpoints import Checkpoint, resumed_checkpoint
from verl_ext.training.checks.resume import known_end, lacks_validation
from verl_ext.training.configuration import compose_on_device
from verl_ext.training.data_seed import DEFAULT_SEED
from verl_ext.training.ending import Ended, read_ended, write_ended
from verl_ext.training.preflight import check

REQUEST, MODELS = ".reset_now", "models"
LOCKED = "The stages"
INTERRUPTED = 130
SEED = "data.seed="


class StageError(Exception):
    """A stage or a reset ended with an exit code, and has said why."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exit code {code}")
        self.code = code


class Stages:
    """The stages of one output folder.

    Args:
        stages: In order.
        output: The folder: ``<number>-<name>`` is a stage's run, ``models/<number>-<name>`` the model it handed on.
        overrides: Options of the launcher that win over those of every stage.
    """

    def __init__(self, stages: Sequence[Stage], output: Path, overrides: Sequence[str]) -> None:
        self._stages, self._output, self._overrides = stages, output, list(overrides)
        self._configs: dict[tuple[str, ...], DictConfig] = {}

    def run(self, *, resets_now: bool) -> None:
        """Do what is left to do.

        Args:
            resets_now: End the stage that was interrupted at its last checkpoint.

        Raises:
            ValueError: The folder holds other stages, or a stage could not run; before anything starts.
            StageError: A run or a reset failed.
            BusyError: Somebody is at it.
        """
        with locked(self._output, LOCKED) as lock:
            finished = read_history(self._output)
            self._check_history(finished)
            if resets_now:
                self._end_at_last_checkpoint(len(finished))
            for number in range(len(finished), len(self._stages)):
                if self._ended(number) is None:
                    check(self._config(number))
            for number in range(len(finished), len(self._stages)):
                ended = self._ended(number) or self._train(number, lock)
                self._request(number).unlink(missing_ok=True)
                finished.append(self._reset(number, ended))
                write_history(self._output, finished)

    def ask_for_reset(self) -> None:
        """Let the stage that another process runs end after its next step; one that is being merged has ended."""
        number = len(read_history(self._output))
        if number < len(self._stages):
            self._request(number).touch()

    # ------------------------------------------------------------------ what a stage is

    def name(self, number: int) -> str:
        """Of its folders."""
        return f"{number}-{self._stages[number].name}"

    def _request(self, number: int) -> Path:
        """The file that ends a stage."""
        return self._output / f"{REQUEST}-{self.name(number)}"

    def options(self, number: int) -> list[str]:
        """The launcher's arguments for a stage."""
        options = [
            *self._stages[number].overrides,
            f"trainer.total_training_steps={self._stages[number].steps}",
            *self._overrides,
            f"trainer.output_dir={self._output / self.name(number)}",
            f"trainer.ends_early.request_file={self._request(number)}",
        ]
        # With one order of the data, every stage would see the first problems again.
        given = [
            option.removeprefix(SEED) for option in (f"{SEED}{DEFAULT_SEED}", *options) if option.startswith(SEED)
        ][-1]
        if given.isdecimal():
            options.append(f"{SEED}{int(given) + number}")
        if number:
            model = self._output / MODELS / self.name(number - 1)
            # Before the reset that makes it, the stage is checked with the first model, which has the same shape.
            options += [f"{MODEL_PATH}={model}"] if model.is_dir() else []
        return options

    def _config(self, number: int) -> DictConfig:
        options = self.options(number)
        if tuple(options) not in self._configs:
            self._configs[tuple(options)] = self._composed(number, options)
        return self._configs[tuple(options)]

    def _composed(self, number: int, options: Sequence[str]) -> DictConfig:
        config = compose_on_device(options)
        if config.trainer.save_freq < 1:
            raise ValueError(
                f"Stage {self._stages[number].name} needs checkpoints, which a reset merges: trainer.save_freq={config.trainer.save_freq}. "
                "Set it to a number of steps."
            )
        checkpoint = config.actor_rollout_ref.actor.checkpoint
        if not {"model", "optimizer", "extra"} <= set(checkpoint.save_contents) or checkpoint.get("save_lora_only"):
            raise ValueError(
                f"Stage {self._stages[number].name} needs whole checkpoints, to go on from and to merge: "
                f"actor_rollout_ref.actor.checkpoint.save_contents={list(checkpoint.save_contents)} must have model, optimizer "
                "and extra, and save_lora_only must be False."
            )
        return config

    def _checkpoint(self, number: int) -> Checkpoint | None:
        config = self._config(number)
        return resumed_checkpoint(config, known_end(config, config.trainer.total_training_steps))

    def _ended(self, number: int) -> Ended | None:
        """At which step a stage has ended, and why; None when it has not."""
        checkpoint = self._checkpoint(number)
        if checkpoint is None:
            return None
        early = read_ended(checkpoint.folder.parent)
        if early is not None and early.step == checkpoint.step:
            return early
        config = self._config(number)
        num_steps = config.trainer.total_training_steps
        is_over = checkpoint.step >= num_steps and not lacks_validation(config, checkpoint, num_steps)
        return Ended(checkpoint.step, "all steps made") if is_over else None

    # ------------------------------------------------------------------ doing it

    def _train(self, number: int, lock: int) -> Ended:
        print(f"\n=== stage {number + 1} of {len(self._stages)}: {self._stages[number].name}", flush=True)
        command = [sys.executable, "-m", "verl_ext.training.main", *self.options(number)]
        # The lock is the run's too: as long as it lives, nobody starts another.
        process = subprocess.Popen(command, pass_fds=[lock], preexec_fn=_end_with_parent)
        _wait(process)
        ended = self._ended(number)
        if ended is None:
            raise ValueError(
                f"Stage {self._stages[number].name} has ended before its {self._stages[number].steps} steps and left no "
                "checkpoint of its last one: its data was used up. Raise trainer.total_epochs."
            )
        return ended

    def _reset(self, number: int, ended: Ended) -> Finished:
        config = self._config(number)
        checkpoint = self._checkpoint(number)
        assert checkpoint is not None
        target = self._output / MODELS / self.name(number)
        print(f"\n=== reset: {ended.reason} at step {ended.step}; merging into {target}", flush=True)
        made = self._merge(checkpoint.folder / "actor", config.actor_rollout_ref.model.path, target)
        print(f"the merged model's logits differ by at most {made['logit_difference']:.2g} of the largest")
        return Finished(
            name=self._stages[number].name,
            options=dict(self._stages[number].options),
            steps=ended.step,
            ended=ended.reason,
            folder=str(target.relative_to(self._output)),
            **made,
        )

    def _merge(self, actor: Path, base: str, target: Path) -> dict[str, Any]:
        """The reset, in a process of its own; what it says of itself."""
        with tempfile.TemporaryDirectory() as folder:
            facts = Path(folder) / "facts.json"
            command = [sys.executable, "-m", "verl_ext.stages.reset", *map(str, (actor, base, target, facts))]
            _wait(subprocess.Popen(command, preexec_fn=_end_with_parent))
            made: dict[str, Any] = json.loads(facts.read_text())
        return made

    # ------------------------------------------------------------------ what was there before

    def _check_history(self, finished: Sequence[Finished]) -> None:
        """The finished stages are the first ones of this file, with the same options, from the same first model."""
        if finished:
            path = self._config(0).actor_rollout_ref.model.path
            if fingerprint(find_model(path).folder) != finished[0].base:
                raise ValueError(
                    f"{self._output} has stages that started from another model than {MODEL_PATH}={path}. Restore it, or choose "
                    "another trainer.output_dir."
                )
        for number, done in enumerate(finished):
            if number >= len(self._stages) or done.name != self._stages[number].name:
                raise ValueError(
                    f"{self._output} has finished stage {number + 1}, {done.name}, which is not there in this file. Restore "
                    "it, or choose another trainer.output_dir."
                )
            now = _plain(self._stages[number].options)
            changed = [name for name in {**done.options, **now} if done.options.get(name) != now.get(name)]
            if changed:
                name = changed[0]
                raise ValueError(
                    f"Stage {done.name} is finished in {self._output}, with {name}={done.options.get(name)}, and the file says "
                    f"{now.get(name)}. Restore it, or choose another trainer.output_dir."
                )

    def _end_at_last_checkpoint(self, number: int) -> None:
        if number == len(self._stages):
            raise ValueError(f"All stages in {self._output} are finished: there is none to reset.")
        checkpoint = self._checkpoint(number)
        if checkpoint is None:
            raise ValueError(
                f"Stage {self._stages[number].name} in {self._output} has no checkpoint yet, so there is nothing to merge. "
                "Leave --reset-now out."
            )
        if self._ended(number) is None:
            write_ended(checkpoint.folder.parent, checkpoint.step, "asked for by --reset-now")


class Terminated(KeyboardInterrupt):
    """This process was asked to end, and its child was not."""


def _wait(process: "subprocess.Popen[bytes]") -> None:
    """Wait for a child, also while it ends after an interrupt: left alone, it would be killed in its clean-up.

    Raises:
        StageError: It failed, or was interrupted.
    """
    try:
        code = process.wait()
    except KeyboardInterrupt as asked:
        if isinstance(asked, Terminated):
            process.terminate()  # an interrupt is ignored by what a script has started in the background
        process.wait()
        raise StageError(INTERRUPTED) from None
    if code:
        raise StageError(code)


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    """As they are after a way through JSON."""
    read: dict[str, Any] = json.loads(json.dumps(dict(options)))
    return read


def _end_with_parent() -> None:
    """In the child: be killed when the parent dies, so that a stage that is run again is not run twice."""
    end_with_parent(signal.SIGKILL)
    if os.getppid() == 1:
        os._exit(1)
