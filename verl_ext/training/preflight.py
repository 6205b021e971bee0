"""What can be known to go wrong before anything starts: each a ValueError that says what to do.

Nothing here imports verl, Ray or torch: a mistake is reported in a second, not after the stack has loaded. The checks
are in ``verl_ext/training/checks``, by what they are about; ``verl_ext.doctor`` makes them one by one and goes on after a fault.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from verl_ext.training.attention import check_attention
from verl_ext.training.checkpoints import Checkpoint
from verl_ext.training.checks.adapter import check_adapter
from verl_ext.training.checks.agent_loops import check_agent_loop
from verl_ext.training.checks.algorithm import check_estimator, check_loss, check_trainer
from verl_ext.training.checks.asynchronous import check_asynchronous, check_separate
from verl_ext.training.checks.best_checkpoint import check_best_checkpoint
from verl_ext.training.checks.data_files import check_batches, check_data, check_steps, check_template
from verl_ext.training.checks.dead_options import check_dead_options
from verl_ext.training.checks.early_end import check_early_end
from verl_ext.training.checks.extensions import check_extensions
from verl_ext.training.checks.loggers import check_loggers
from verl_ext.training.checks.machine import (
    check_disk,
    check_grader,
    check_launcher,
    check_output,
    check_ranks,
    check_vllm,
)
from verl_ext.training.checks.micro_batches import check_micro_batches
from verl_ext.training.checks.model import check_model, check_weights
from verl_ext.training.checks.option_values import check_types
from verl_ext.training.checks.pass_at_k_options import check_pass_at_k
from verl_ext.training.checks.prompts import check_prompts, check_tokenizer
from verl_ext.training.checks.resume import check_resume
from verl_ext.training.checks.surroundings import refused, surroundings
from verl_ext.training.data_seed import settle_seed
from verl_ext.training.deterministic import check_deterministic
from verl_ext.training.head import check_head
from verl_ext.training.memory import check_memory, settle
from verl_ext.training.run_lock import check_alone


def check_progress(config: Any) -> Checkpoint | None:
    """There are steps left to make; returns the checkpoint that the run goes on from."""
    return check_resume(config, check_steps(config, check_prompts(config)))


class Subject(NamedTuple):
    """Checks of one thing, in the order in which they are made."""

    name: str
    checks: tuple[Callable[[Any], object], ...]
    needs: tuple[str, ...] = ()
    """Subjects that have to be right for these checks to make sense."""


OF_VALIDATIONS = (check_early_end, check_pass_at_k, check_best_checkpoint)
OF_TRAINER = (check_asynchronous, check_trainer, check_separate)
OF_ALGORITHM = (check_estimator, check_loss, *OF_TRAINER, *OF_VALIDATIONS, check_deterministic)
SUBJECTS = (
    Subject("types", (check_types, check_dead_options)),
    Subject("algorithm", (*OF_ALGORITHM, check_loggers, check_output, check_alone, check_extensions), needs=("types",)),
    Subject(
        "model", (check_model, check_weights, check_head, check_adapter, check_vllm, check_attention), needs=("types",)
    ),
    Subject("devices", (check_ranks,), needs=("types",)),
    Subject("data", (settle_seed, check_agent_loop, check_data, check_template, check_batches), needs=("types",)),
    Subject("memory", (settle, check_micro_batches, check_memory), needs=("types", "model", "devices", "data")),
    Subject("tokenizer", (check_tokenizer,), needs=("types", "model", "data")),
    Subject("steps", (check_progress,), needs=("types", "model", "data", "tokenizer")),
    Subject("disk", (check_disk,), needs=("types", "algorithm", "model")),
)
"""Of a run, the cheapest first; ``memory`` settles what follows from model and machine."""


def check(config: Any) -> Checkpoint | None:
    """Run every check, and settle what follows from the model and the machine; returns the checkpoint that the run goes on from.

    Raises:
        ValueError: The first thing found wrong, with the option as typed, its value and the way out.
    """
    check_launcher()
    check_grader()
    made = {one: one(config) for subject in SUBJECTS for one in subject.checks}
    for fault in refused(surroundings(config)):
        raise ValueError(fault)
    checkpoint = made[check_progress]
    assert checkpoint is None or isinstance(checkpoint, Checkpoint)
    return checkpoint
