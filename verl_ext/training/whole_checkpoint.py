"""Whether a step's folder has all that a run reads of it to go on from there: verl itself starts the data over where it misses some."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from verl_ext.host.rank_files import MODEL, fault_of_contents, is_written
from verl_ext.objectives.names import OUR_ASYNC_TRAINER
from verl_ext.training.checks.critic import uses_critic

DATA, QUEUE = "data.pt", "transfer_queue"
"""How far the data was read, and of an asynchronous run the answers that were waiting."""
ASYNCHRONOUS = (OUR_ASYNC_TRAINER, "colocate_async", "separate_async")
FSDP = ("fsdp", "fsdp2")
"""The strategies whose files are known here."""


def written_last(config: Any) -> str:
    """What verl writes of a step after all else: without it the step was cut while it was written."""
    return QUEUE if config.trainer.v1.trainer_mode in ASYNCHRONOUS else DATA


def what_is_missing(config: Any, of_step: Path) -> str | None:
    """What keeps a run from going on from a step's folder as from where it was, in a sentence; None: nothing."""
    for part, section in _parts(config):
        if not (of_step / part).is_dir():
            return f"it has no {part}."
        # Without a model verl would go on with the first weights; what else is loaded is the user's to say.
        contents = {MODEL, *section.checkpoint.load_contents}
        fault = fault_of_contents(of_step / part, contents) if section.strategy in FSDP else None
        if fault:
            return fault
    if not (of_step / DATA).is_file():
        return f"it has no {DATA}, so the data would start over."
    if not is_written(of_step / DATA):
        return f"its {DATA} is cut."
    if not (of_step / written_last(config)).exists():
        return f"it has no {QUEUE}, so the answers that were waiting would be lost."
    return None


def _parts(config: Any) -> Iterator[tuple[str, Any]]:
    yield "actor", config.actor_rollout_ref.actor
    if uses_critic(config):
        yield "critic", config.critic
