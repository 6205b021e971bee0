"""Back to the last good checkpoint, with a smaller learning rate: what a run's folder has to hold for that.

The run ends, and is started again as after an interruption: weights, optimizer, order of the data and metrics are those of
the checkpoint. ``rollbacks.json`` beside the checkpoints says how often, and what the learning rate is multiplied by since.
Whoever starts the run again goes on from there, whether the launcher or a person does.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from verl_ext.host.files import read_object, write_whole
from verl_ext.training.checkpoints import (
    STEP_FOLDER,
    TRACKER,
    Checkpoint,
    checkpoints_folder,
    given_checkpoint,
    saved_steps,
)
from verl_ext.training.guards.guard import OPTIONS
from verl_ext.training.guards.guard_table import ROLL_BACK
from verl_ext.training.guards.guardrails import Alarm, Guardrails

RECORD = "rollbacks.json"
MOVED = "rolled_back_"
"""What folders of checkpoints that a run went back behind begin with."""


class GuardrailError(RuntimeError):
    """A guard has stopped the run."""


class RolledBackError(RuntimeError):
    """The run's folder is that of its last good checkpoint again: to go on, it has to be started again."""


class Rollback(NamedTuple):
    """A time that a run went back."""

    step: int
    """In which something was found."""
    guardrail: str
    said: str
    to_step: int
    learning_rate_factor: float
    """What the configured learning rate is multiplied by since."""


def rollbacks(folder: Path) -> list[Rollback]:
    """How often the run of these checkpoints went back."""
    if not (folder / RECORD).is_file():
        return []
    return [Rollback(*one) for one in read_object(folder / RECORD, "Delete it to go on.")["rollbacks"]]


def good_checkpoint(config: Any, own_steps: Sequence[int], before: int) -> Checkpoint | None:
    """The last checkpoint from before a step, of the run's own and the one that it was given to begin with."""
    folder = checkpoints_folder(config)
    given = given_checkpoint(config) if config.trainer.resume_mode == "resume_path" else None
    # The given one first: of its step the run has none of its own, whatever its folder had before.
    known = [given, *(Checkpoint(step, folder / f"{STEP_FOLDER}{step}") for step in own_steps)]
    earlier = [checkpoint for checkpoint in known if checkpoint is not None and checkpoint.step < before]
    return max(earlier, key=lambda checkpoint: checkpoint.step, default=None)


def ending_of(finding: Alarm, guardrails: Guardrails, config: Any, own_steps: Sequence[int]) -> RuntimeError:
    """Do to the run's folder what a finding asks for, and return the error that the run ends with.

    Args:
        finding: What a guard has found.
        guardrails: Of the run.
        config: Of the run.
        own_steps: Its checkpoints that it can go back to, in order.
    """
    if finding.action != ROLL_BACK:
        return GuardrailError(f"{finding}. The run stops ({OPTIONS}.{finding.guardrail}.action={finding.action}).")
    section, folder = config.trainer.guardrails, checkpoints_folder(config)
    earlier, since = rollbacks(folder), guardrails.trouble_since(finding)
    if len(earlier) >= section.max_rollbacks:
        return GuardrailError(
            f"{finding}. It has gone back {_times(len(earlier))}, and {OPTIONS}.max_rollbacks={section.max_rollbacks}: the run stops."
        )
    checkpoint = good_checkpoint(config, own_steps, before=since)
    if checkpoint is None:
        return GuardrailError(
            f"{finding}. There is no checkpoint in {folder} from before step {since}, in which it began, so the run stops and "
            "does not go back. Save more often (trainer.save_freq) or keep more (trainer.max_actor_ckpt_to_keep)."
        )
    factor = guardrails.learning_rate_factor * section.learning_rate_factor
    back = Rollback(finding.step, finding.guardrail, finding.trip.said, checkpoint.step, factor)
    _go_back(folder, checkpoint, [*earlier, back])
    guardrails.write_event(step=finding.step, went_back_to=checkpoint.step, learning_rate_factor=factor)
    return RolledBackError(
        f"{finding}. The run goes back to step {checkpoint.step}, with {factor:g} times the configured learning rate. The same "
        "command goes on from there."
    )


def _go_back(folder: Path, checkpoint: Checkpoint, record: list[Rollback]) -> None:
    """Make ``checkpoint`` the one that the same command goes on from.

    The record comes last: a run that is killed before finds the same trouble once more, and goes back then.
    """
    is_own = checkpoint.folder.parent == folder
    if is_own:
        write_whole(folder / TRACKER, str(checkpoint.step))
    else:
        (folder / TRACKER).unlink(missing_ok=True)
    later = [step for step in saved_steps(folder) if not is_own or step > checkpoint.step]
    if later:
        number = 1
        while (aside := folder / f"{MOVED}{number}").exists():
            number += 1
        aside.mkdir()
        for step in later:
            (folder / f"{STEP_FOLDER}{step}").rename(aside / f"{STEP_FOLDER}{step}")
    write_whole(folder / RECORD, json.dumps({"rollbacks": record}, indent=2) + "\n")


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def restart_options(config: Any) -> list[str]:
    """What a run that has gone back is started again with, beside its own options: its own checkpoint, where it has one."""
    has_own = (checkpoints_folder(config) / TRACKER).is_file()
    return ["trainer.resume_mode=auto"] if has_own and config.trainer.resume_mode != "auto" else []


def described(folder: Path) -> str:
    """What a reader should know of a run that has gone back; empty for one that has not."""
    past = rollbacks(folder)
    if not past:
        return ""
    last = past[-1]
    return (
        f"gone back {_times(len(past))}, last from step {last.step} to step {last.to_step} ({last.guardrail}): "
        f"{last.learning_rate_factor:g} times the configured learning rate"
    )
