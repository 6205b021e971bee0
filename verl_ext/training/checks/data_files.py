"""The rows, their prompt template and the batches that are made of them."""

import glob
from typing import Any

from verl_ext.data.parquet import check_rows, first_template
from verl_ext.families import with_template
from verl_ext.tasks.templates import PASS_THROUGH_CHAT_TEMPLATE, RAW_TEMPLATES
from verl_ext.training.checks.agent_loops import row_check
from verl_ext.training.paths import is_remote, local_files, local_path

GRADERS_PATH = "pkg://verl_ext.rewards.reward"
VERL_DEFAULTS = {"train_files": "~/data/rlhf/gsm8k/train.parquet", "val_files": "~/data/rlhf/gsm8k/test.parquet"}
"""What verl's configuration holds when nobody names a file."""


def check_data(config: Any) -> None:
    """Every data file exists, and every row has a prompt, a ground truth and what its agent loop can use."""
    row_fault = row_check(config)
    is_graded_here = config.reward.custom_reward_function.path == GRADERS_PATH
    for option in ("train_files", "val_files"):
        files = local_files(config.data[option])
        if VERL_DEFAULTS[option] in files:
            raise ValueError(f"data.{option} is not given. Make files with scripts/prepare_data.py, or name your own.")
        if not files:
            raise ValueError(f"data.{option}=[] names no file.")
        for file in files:
            if is_remote(file):
                continue
            if glob.has_magic(file):
                raise ValueError(
                    f"data.{option}={file} has one of * ? [ in its name, which verl's reader takes for a pattern. Rename it, "
                    "or the folder that it is in."
                )
            try:
                check_rows(
                    local_path(file),
                    is_graded_here=is_graded_here,
                    prompt_key=config.data.prompt_key,
                    also=row_fault,
                )
            except (FileNotFoundError, ValueError) as error:
                raise ValueError(f"data.{option}: {error}") from error


def check_template(config: Any) -> None:
    """The rows were prepared with the prompt template that the preset needs, and a raw one gets no chat template on top."""
    template = config.prompt_template
    for option in ("train_files", "val_files"):
        for file in local_files(config.data[option]):
            if is_remote(file):
                continue
            found = first_template(local_path(file))
            if (
                found in RAW_TEMPLATES
                and config.actor_rollout_ref.model.custom_chat_template != PASS_THROUGH_CHAT_TEMPLATE
            ):
                raise ValueError(
                    f"data.{option}={file} holds raw prompts (template {found}), and verl would put the model's chat "
                    f"template on top. Set actor_rollout_ref.model.custom_chat_template='{PASS_THROUGH_CHAT_TEMPLATE}'."
                )
            if template is not None and found != template:
                family = with_template(template)
                consequence = f" {family.in_other_prompts}" if family and family.in_other_prompts else ""
                raise ValueError(
                    f"data.{option}={file} was prepared with the prompt template {found}, and this preset needs {template}."
                    f"{consequence} python scripts/prepare_data.py TASK --template {template} --out DIR makes the files, and "
                    "prompt_template=null takes any."
                )


def check_batches(config: Any) -> None:
    """Batch sizes fit each other and the number of ranks."""
    batch, n = config.data.train_batch_size, config.actor_rollout_ref.rollout.n
    mini = config.actor_rollout_ref.actor.ppo_mini_batch_size
    world_size = config.trainer.n_gpus_per_node * config.trainer.nnodes
    if min(batch, n, mini) < 1:
        raise ValueError(
            "data.train_batch_size, actor_rollout_ref.rollout.n and actor_rollout_ref.actor.ppo_mini_batch_size must be "
            f">= 1, got {batch}, {n} and {mini}."
        )
    if mini > batch or batch % mini:
        raise ValueError(
            f"actor_rollout_ref.actor.ppo_mini_batch_size={mini} prompts must divide data.train_batch_size={batch}. "
            f"Set actor_rollout_ref.actor.ppo_mini_batch_size={batch} or a divisor of it."
        )
    if (mini * n) % world_size:
        raise ValueError(
            f"A mini-batch of {mini} prompts x {n} responses (actor_rollout_ref.actor.ppo_mini_batch_size x "
            f"actor_rollout_ref.rollout.n) cannot be split over {world_size} ranks."
        )


def check_steps(config: Any, num_rows: int | None) -> int | None:
    """The rows that are left make at least one step. Returns the step at which the run ends; None when that is unknown."""
    batch, trainer = config.data.train_batch_size, config.trainer
    max_steps = trainer.total_training_steps
    if num_rows is None:
        return None if max_steps is None else int(max_steps)
    if batch > num_rows:
        short = " that are short enough" if config.data.filter_overlong_prompts else ""
        raise ValueError(f"data.train_batch_size={batch} prompts, but the training files have {num_rows} rows{short}.")
    steps = num_rows // batch * trainer.total_epochs
    if max_steps is not None and max_steps > steps:
        raise ValueError(
            f"trainer.total_training_steps={max_steps}, but {trainer.total_epochs} epochs of {num_rows} rows in batches of "
            f"{batch} are {steps} steps, where verl ends without the last checkpoint and validation. Raise "
            "trainer.total_epochs."
        )
    return int(steps if max_steps is None else max_steps)
