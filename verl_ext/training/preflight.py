"""What can be known to go wrong before anything starts: each a ValueError that says what to do.

Nothing here imports verl, Ray or torch: a mistake is reported in a second, not after the stack has loaded. The checks
are in ``verl_ext/training/checks``, by what they are about.
"""

from typing import Any

from verl_ext.training.attention import check_attention
from verl_ext.training.checkpoints import Checkpoint
from verl_ext.training.checks.adapter import check_adapter
from verl_ext.training.checks.algorithm import check_estimator, check_loss, check_trainer
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
from verl_ext.training.checks.model import check_model
from verl_ext.training.checks.option_values import check_types
from verl_ext.training.checks.prompts import check_prompts
from verl_ext.training.checks.resume import check_resume
from verl_ext.training.deterministic import check_deterministic
from verl_ext.training.head import check_head
from verl_ext.training.memory import check_memory, settle
from verl_ext.training.processor_use import check_precision


def check(config: Any) -> Checkpoint | None:
    """Run every check, and settle what follows from the model and the machine; returns the checkpoint that the run goes on from.

    Raises:
        ValueError: The first thing found wrong, with the option as typed, its value and the way out.
    """
    check_launcher()
    check_grader()
    check_types(config)
    check_precision(config)
    check_dead_options(config)
    check_estimator(config)
    check_loss(config)
    check_trainer(config)
    check_early_end(config)
    check_deterministic(config)
    check_loggers(config)
    check_output(config)
    check_extensions(config)
    check_model(config)
    check_head(config)
    check_adapter(config)
    check_vllm(config)
    check_attention(config)
    check_ranks(config)
    check_data(config)
    check_template(config)
    check_batches(config)
    settle(config)
    check_micro_batches(config)
    check_memory(config)
    num_steps = check_steps(config, check_prompts(config))
    checkpoint = check_resume(config, num_steps)
    check_disk(config)
    return checkpoint
